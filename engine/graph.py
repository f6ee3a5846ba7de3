"""Define-by-run differentiation: every op applied to a tensor that requires a gradient leaves a node; ``backward`` walks them.

Nodes are numbered as they come into being, so walking them from the highest number down meets each node after all of its
consumers: no recursion, no sorting beforehand, graphs of any depth.
"""

from __future__ import annotations

import heapq
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from engine.backend import CPU, Array, full, quietly, shares_memory
from engine.dispatch import DevicesDiffer, Op, run
from engine.dtypes import FLOAT
from engine.hooks import replaced
from engine.modes import state
from engine.node import Grads, Node

if TYPE_CHECKING:
    from engine.tensor import Tensor

graded: list[Callable[[Tensor], None]] = []
"""Called with each leaf that ``backward`` is about to give a gradient."""


def apply(op: Op, *inputs: Any, **attrs: Any) -> Any:
    """Runs ``op`` on tensors (and NumPy scalars); records it where a gradient is wanted. A list of tensors for several results."""
    tensor = state.tensor
    try:
        outs = run(op, [x._data if isinstance(x, tensor) else x for x in inputs], attrs)
    except DevicesDiffer:
        inputs = _together(inputs)
        outs = run(op, [x._data if isinstance(x, tensor) else x for x in inputs], attrs)
    y = tensor._wrap(outs[0])
    tensors = [y] if len(outs) == 1 else [y, *map(tensor._wrap, outs[1:])]
    if op.view is not None and shares_memory(outs[0], inputs[0]._data):
        x = inputs[0]
        y._base, y._path = (x, ((op, attrs),)) if x._base is None else (x._base, (*x._path, (op, attrs)))
        y._version, y._seen = x._version, y._base._changes
    if op.vjps and state.enabled:
        for x in inputs:
            if isinstance(x, tensor) and (x._requires_grad if x._base is None else x.requires_grad):
                _record(op, inputs, attrs, outs, tensors)
                break
    return y if len(tensors) == 1 else tensors


def _together(inputs: Sequence[Any]) -> tuple[Any, ...]:
    """The inputs of an op with numbers that lie on the CPU, as tensors of no dimensions, moved to where the others are."""
    tensor = state.tensor
    there = next((x.device for x in inputs if isinstance(x, tensor) and x.device is not CPU), CPU)
    return tuple(x.to(there) if isinstance(x, tensor) and x.device is CPU and x.ndim == 0 else x for x in inputs)


def _record(op: Op, inputs: Sequence[Any], attrs: dict[str, Any], outs: list[Array], tensors: list[Tensor]) -> None:
    """Leaves a node for ``op``, and a way to it with each result that carries a gradient."""
    node = Node(op, inputs, attrs)
    if op.keeps:
        node.keep_results(outs, tensors)
    if op.differentiable > 1:
        node.shapes = [(o.shape, o.dtype, t.device) for o, t in zip(outs, tensors, strict=True)]
    for i, y in enumerate(tensors[: op.differentiable]):
        node.outputs.append(weakref.ref(y))
        if y.dtype.category == FLOAT:
            y._requires_grad, y._grad_fn, y._output_index = True, node, i


def differentiable_again() -> bool:
    """Whether the backward pass under way is itself recorded: a derivative is then written in ops that have derivatives."""
    return state.enabled


def _fit(g: Tensor, shape: tuple[int, ...], dtype: Any) -> Tensor:
    """Undoes promotion and broadcasting: ``g`` in ``dtype``, summed over the dimensions along which ``shape`` was stretched."""
    if g.dtype is not dtype:
        g = g.to(dtype)
    if g._data.shape == shape:
        return g
    extra = g.ndim - len(shape)
    if g.shape[extra:] == shape:
        return g.sum(dim=tuple(range(extra)))
    dims = [*range(extra), *(i + extra for i, n in enumerate(shape) if n == 1 and g.shape[i + extra] != 1)]
    return (g.sum(dim=tuple(dims), keepdim=True) if dims else g).reshape(shape)


def _seed(root: Tensor, g: Tensor | None) -> Tensor:
    if not root.requires_grad:
        raise RuntimeError("element 0 of tensors does not require grad and does not have a grad_fn")
    if g is None:
        if root.numel() != 1:
            raise RuntimeError(f"grad can be implicitly created only for scalar outputs (the output has shape {list(root.shape)})")
        return state.tensor._wrap(full(root._data.shape, 1, root._data.dtype, root.device))
    if g.shape != root.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[0] has a shape of {list(g.shape)} and output[0] has a shape of {list(root.shape)}."
        )
    return g


def _walk(
    roots: Sequence[Tensor], grads: Sequence[Tensor | None], retain_graph: bool, create_graph: bool, visit: Callable[[Node, Grads], None]
) -> list[tuple[Tensor, Tensor]]:
    """Propagates from the roots; calls ``visit`` with each node's complete gradient; the leaves with theirs are the result."""
    waiting: dict[Node, Grads] = {}
    latest: list[tuple[int, Node]] = []  # a heap of those that wait
    leaves: dict[int, tuple[Tensor, Tensor]] = {}

    def add(to: Tensor | Node, index: int, g: Tensor) -> None:
        if isinstance(to, Node):
            held = waiting.get(to)
            if held is None:
                heapq.heappush(latest, (-to.number, to))
                held = waiting[to] = [None] * len(to.outputs)
            before = held[index]
            held[index] = g if before is None else before + g
        else:
            leaf = leaves.get(id(to))
            leaves[id(to)] = (to, g if leaf is None else leaf[1] + g)

    before, state.enabled, state.autocast = (state.enabled, state.autocast), create_graph, None
    try:
        with quietly():
            for root, g in zip(roots, grads, strict=True):
                add(root.grad_fn if root.grad_fn is not None else root, root._output_index, _seed(root, g))
            looks_for_nan = state.looks_for_nan
            while latest:
                node = heapq.heappop(latest)[1]
                complete = waiting.pop(node)
                for index, hooks in node.hooks.items() if node.hooks else ():
                    if complete[index] is not None:
                        complete[index] = replaced(hooks, complete[index])
                visit(node, complete)
                edges, sources = node.edges, node.sources
                for i, gx in node.gradients(complete):
                    (to, index), (shape, dtype) = edges[i], sources[i]  # type: ignore[misc]  # only inputs with an edge have a gradient
                    if looks_for_nan and bool(gx.isnan().any()):
                        raise RuntimeError(f"Function '{node.name()}' returned nan values in its {i}th output.")
                    fits = gx.dtype is dtype and gx._data.shape == shape
                    add(to, index, gx if fits else _fit(gx, shape, dtype))
                if not retain_graph:
                    node.release()
            return [(leaf, replaced(leaf._hooks, g) if leaf._hooks else g) for leaf, g in leaves.values()]
    finally:
        state.enabled, state.autocast = before


def backward(
    tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None, create_graph: bool = False, inputs: Any = None
) -> None:
    """Adds the gradients of ``tensors``, weighted by ``grad_tensors``, to the ``.grad`` of the leaves they depend on, or of ``inputs`` only.

    Raises RuntimeError for a tensor that is not a scalar without a weight, a weight of another shape, or a graph freed already.
    """
    roots = [tensors] if isinstance(tensors, state.tensor) else list(tensors)
    grads = (
        [None] * len(roots) if grad_tensors is None else [grad_tensors] if isinstance(grad_tensors, state.tensor) else list(grad_tensors)
    )

    def visit(node: Node, complete: Grads) -> None:
        for i, (reference, g) in enumerate(zip(node.outputs, complete, strict=True)):
            t = reference()  # an in-place operation left it to an earlier node too, whose gradient is that of what was overwritten
            if t is not None and t._retains_grad and g is not None and t.grad_fn is node and t._output_index == i:
                t.grad = g if t.grad is None else t.grad + g

    if inputs is not None:
        wanted = [inputs] if isinstance(inputs, state.tensor) else list(inputs)
        if not wanted:
            raise RuntimeError("'inputs' argument to backward() cannot be empty.")
        found = grad(roots, wanted, grads, retain_graph, create_graph, allow_unused=True)
        leaves = [(x, g) for x, g in zip(wanted, found, strict=True) if g is not None]
    else:
        leaves = _walk(roots, grads, create_graph if retain_graph is None else retain_graph, create_graph, visit)
    taken = set() if grad_tensors is None else {id(g._data) for g in grads if g is not None}  # arrays that somebody else holds already
    before, state.enabled = state.enabled, create_graph
    try:
        for leaf, g in leaves:
            for tell in graded:
                tell(leaf)
            if leaf.grad is not None:
                leaf.grad = leaf.grad + g
            else:
                array = g._data
                shared = id(array) in taken or getattr(array, "base", None) is not None or not g.is_contiguous()
                leaf.grad = g.clone() if shared and not create_graph else g
                taken.add(id(array))
            for hook in list(leaf._after.values()) if leaf._after else ():
                hook(leaf)
    finally:
        state.enabled = before


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of ``outputs`` with respect to ``inputs``; no ``.grad`` is touched (``torch.autograd.grad``).

    ``materialize_grads`` gives zeros instead of None for an input that is not used.

    Raises RuntimeError for an input that the outputs do not depend on, unless ``allow_unused``.
    """
    roots = [outputs] if isinstance(outputs, state.tensor) else list(outputs)
    wanted = [inputs] if isinstance(inputs, state.tensor) else list(inputs)
    weights = (
        [None] * len(roots) if grad_outputs is None else [grad_outputs] if isinstance(grad_outputs, state.tensor) else list(grad_outputs)
    )
    for x in wanted:
        if not x.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    at_node: dict[Node | None, Grads] = {}
    targets = {x.grad_fn for x in wanted if x.grad_fn is not None}

    def visit(node: Node, complete: Grads) -> None:
        if node in targets:
            at_node[node] = complete

    leaves = _walk(roots, weights, create_graph if retain_graph is None else retain_graph, create_graph, visit)
    at_leaf = {id(leaf): g for leaf, g in leaves}
    found = tuple(at_node[x.grad_fn][x._output_index] if x.grad_fn in at_node else at_leaf.get(id(x)) for x in wanted)
    if materialize_grads:
        return tuple(x.new_zeros(x.shape) if g is None else g for g, x in zip(found, wanted, strict=True))
    if not allow_unused and any(g is None for g in found):
        raise RuntimeError(
            "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True if this is the desired behavior."
        )
    return found


def Variable(data: Tensor, requires_grad: bool = False) -> Tensor:
    """A tensor that shares ``data``'s elements; kept for programs from before Tensor and Variable became one."""
    return data.detach().requires_grad_(requires_grad)
