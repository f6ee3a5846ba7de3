"""Define-by-run differentiation: every op applied to a tensor that requires a gradient leaves a node; ``backward`` walks them.

Nodes are numbered as they come into being, so walking them from the highest number down meets each node after all of its
consumers: no recursion, no sorting beforehand, graphs of any depth.
"""

from __future__ import annotations

import heapq
import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from engine.backend import Array, full, quietly, shares_memory
from engine.dispatch import Op, run
from engine.dtypes import FLOAT
from engine.hooks import Hooks, RemovableHandle, register, replaced
from engine.modes import state

if TYPE_CHECKING:
    from engine.tensor import Tensor

_numbers = itertools.count()
graded: list[Callable[[Tensor], None]] = []
"""Called with each leaf that ``backward`` is about to give a gradient."""

Grads = list["Tensor | None"]
"""The gradients of a node's results, None where nothing depends on one."""


class Node:
    """One recorded op: whom its gradient goes to, and what its derivative needs."""

    __slots__ = ("__weakref__", "attrs", "edges", "hooks", "number", "op", "outputs", "results", "saved", "shapes", "sources")

    def __init__(self, op: Op, inputs: Sequence[Any], attrs: dict[str, Any]) -> None:
        self.op, self.attrs = op, attrs
        self.number = next(_numbers)
        self.edges: list[tuple[Tensor | Node, int] | None] = []
        self.sources: list[tuple[tuple[int, ...], Any]] = []
        self.saved: Any = {}  # input -> it and its version; None once released
        self.results: dict[int, tuple[Array, list[int], int]] | None = None
        self.outputs: list[weakref.ref[Tensor]] = []
        self.hooks: dict[int, Hooks] | None = None
        self.shapes: list[tuple[tuple[int, ...], Any, Any]] = []
        tensor, saved = state.tensor, self.saved
        for name, x in zip(op.inputs, inputs, strict=False):
            if not isinstance(x, tensor):
                self.sources.append(((), None))
                self.edges.append(None)
                continue
            self.sources.append((x._data.shape, x.dtype))
            if x.requires_grad and name in op.plans:
                maker = x.grad_fn
                self.edges.append((x, 0) if maker is None else (maker, x._output_index))
                for i in op.needs[name][0]:
                    if i < len(inputs) and i not in saved:
                        needed = inputs[i]
                        saved[i] = (needed, needed._version[0]) if isinstance(needed, tensor) else (needed.item(), -1)
            else:
                self.edges.append(None)

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes that this node's gradients go to, as PyTorch lists them."""
        return tuple((AccumulateGrad(e[0]) if isinstance(e[0], state.tensor) else e[0], e[1]) if e else (None, 0) for e in self.edges)

    def register_result_hook(self, index: int, hook: Callable[[Tensor], Any]) -> RemovableHandle:
        """``hook(gradient)`` runs once the gradient of the result ``index`` is complete, before this node uses it."""
        self.hooks = {} if self.hooks is None else self.hooks
        return register(self.hooks.setdefault(index, {}), hook)

    def name(self) -> str:
        return "".join(part.capitalize() for part in self.op.name.split("_")) + "Backward0"

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"

    def keep_results(self, outs: list[Array], tensors: list[Tensor]) -> None:
        """Saves results as arrays: saving the tensors would tie node and tensors into a cycle."""
        kept = {at for name, edge in zip(self.op.inputs, self.edges, strict=False) if edge for at in self.op.needs[name][1]}
        self.results = {i: (outs[i], tensors[i]._version, tensors[i]._version[0]) for i in kept}

    def keep_before_writing(self, x: Tensor) -> None:
        """``x``, about to be overwritten with this node's result, was its input: what the derivative needs of it is copied."""
        for i, (saved, version) in (self.saved or {}).items():
            if saved is x and version == x._version[0]:
                before = x.detach().clone()
                before._requires_grad, before._grad_fn, before._output_index = x.requires_grad, x.grad_fn, x._output_index
                assert self.saved is not None
                self.saved[i] = (before, 0)

    def _input(self, i: int) -> Any:
        assert self.saved is not None
        if i not in self.saved:
            return None  # an input that was left out
        x, version = self.saved[i]
        if version >= 0:
            self._check(x._version[0], version, x._data.shape)
        return x

    def _result(self, i: int) -> Tensor:
        assert self.results is not None
        array, version, then = self.results[i]
        self._check(version[0], then, array.shape)
        y = state.tensor._wrap(array)
        y._version = version
        if i < self.op.differentiable:
            y._requires_grad, y._grad_fn, y._output_index = True, self, i
        elif state.enabled and y.is_floating_point():
            raise RuntimeError(f"{self.name()} has no derivative of higher order: it needs a result that carries no gradient")
        return y

    def _constant(self, i: int) -> Tensor:
        """A result that a derivative uses only while nobody differentiates it again."""
        assert self.results is not None
        array, version, then = self.results[i]
        self._check(version[0], then, array.shape)
        return state.tensor._wrap(array)

    def _zeros(self, i: int) -> Tensor:
        """The gradient of a result that nothing depends on."""
        shape, dtype, device = self.shapes[i]
        return state.tensor._wrap(full(shape, 0, dtype, device))

    def _check(self, now: int, then: int, shape: tuple[int, ...]) -> None:
        if now != then:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace operation: "
                f"a tensor {list(shape)} that {self.name()} needs is at version {now}; expected version {then} instead"
            )

    def gradients(self, grads: Grads) -> list[tuple[int, Tensor]]:
        """The gradient for each input that asked for one, from those of the results."""
        if self.saved is None:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly access saved tensors after they have already been "
                "freed). Specify retain_graph=True if you need to backward through the graph a second time."
            )
        op = self.op
        if op.arrays and not state.enabled:
            return self._array_gradients(grads[0])
        grads = [self._zeros(i) if g is None else g for i, g in enumerate(grads)]
        g = grads[0]
        found = []
        for i, (name, edge) in enumerate(zip(op.inputs, self.edges, strict=False)):
            if edge is None:
                continue
            args: list[Any] = []
            for kind, at in op.plans[name]:
                if kind == "input":
                    args.append(self._input(at))
                elif kind == "result":
                    args.append(self._result(at))
                elif kind == "constant":
                    args.append(self._constant(at))
                elif kind == "gradient":
                    args.append(grads[at])
                elif kind == "shape":
                    args.append(self.sources[at][0])
                else:
                    args.append(self.attrs[at])
            gx = op.vjps[name](g, *args)
            if gx is not None:
                found.append((i, gx))
        return found

    def _array_gradients(self, g: Tensor | None) -> list[tuple[int, Tensor]]:
        """The same of an op with one result that carries gradients, where nobody differentiates them again."""
        wrap, op = state.tensor._wrap, self.op
        given = self._zeros(0)._data if g is None else g._data
        found = []
        for i, (name, edge) in enumerate(zip(op.inputs, self.edges, strict=False)):
            if edge is not None:
                function, plan = op.arrays[name]
                args = [
                    self._input(at)._data if kind == "input" else self._constant(at)._data if kind == "result" else self.attrs[at]
                    for kind, at in plan
                ]
                found.append((i, wrap(function(given, *args))))
        return found

    def release(self) -> None:
        self.saved = self.results = None


class AccumulateGrad:
    """What stands in ``next_functions`` for a leaf."""

    def __init__(self, variable: Tensor) -> None:
        self.variable = variable
        self.next_functions = ()

    def name(self) -> str:
        return "AccumulateGrad"

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {id(self):#x}>"


def apply(op: Op, *inputs: Any, **attrs: Any) -> Any:
    """Runs ``op`` on tensors (and NumPy scalars); records it where a gradient is wanted. A list of tensors for several results."""
    tensor = state.tensor
    outs = run(op, [x._data if isinstance(x, tensor) else x for x in inputs], attrs)
    tensors = [tensor._wrap(o) for o in outs]
    y = tensors[0]
    if op.view is not None and shares_memory(outs[0], inputs[0]._data):
        x = inputs[0]
        y._base, y._path = (x, ((op, attrs),)) if x._base is None else (x._base, (*x._path, (op, attrs)))
        y._version, y._seen = x._version, y._base._changes
    if op.vjps and state.enabled:
        for x in inputs:
            if isinstance(x, tensor) and x.requires_grad:
                _record(op, inputs, attrs, outs, tensors)
                break
    return y if len(tensors) == 1 else tensors


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


class _Pending:
    """Gradients on their way: by node and result, and the nodes to visit, latest first."""

    def __init__(self) -> None:
        self.grads: dict[Node, Grads] = {}
        self.heap: list[tuple[int, Node]] = []
        self.leaves: dict[int, tuple[Tensor, Tensor]] = {}

    def add(self, to: Tensor | Node, index: int, g: Tensor) -> None:
        if isinstance(to, Node):
            held = self.grads.get(to)
            if held is None:
                heapq.heappush(self.heap, (-to.number, to))
                held = self.grads[to] = [None] * len(to.outputs)
            before = held[index]
            held[index] = g if before is None else before + g
        else:
            leaf = self.leaves.get(id(to))
            self.leaves[id(to)] = (to, g if leaf is None else leaf[1] + g)

    def pop(self) -> tuple[Node, Grads]:
        node = heapq.heappop(self.heap)[1]
        return node, self.grads.pop(node)


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
    pending = _Pending()
    before, state.enabled = state.enabled, create_graph
    try:
        with quietly():
            for root, g in zip(roots, grads, strict=True):
                pending.add(root.grad_fn if root.grad_fn is not None else root, root._output_index, _seed(root, g))
            while pending.heap:
                node, complete = pending.pop()
                for index, hooks in node.hooks.items() if node.hooks else ():
                    if complete[index] is not None:
                        complete[index] = replaced(hooks, complete[index])
                visit(node, complete)
                for i, gx in node.gradients(complete):
                    edge, (shape, dtype) = node.edges[i], node.sources[i]
                    assert edge is not None
                    if state.looks_for_nan and bool(gx.isnan().any()):
                        raise RuntimeError(f"Function '{node.name()}' returned nan values in its {i}th output.")
                    fits = gx.dtype is dtype and gx._data.shape == shape
                    pending.add(*edge, gx if fits else _fit(gx, shape, dtype))
                if not retain_graph:
                    node.release()
            return [(leaf, replaced(leaf._hooks, g) if leaf._hooks else g) for leaf, g in pending.leaves.values()]
    finally:
        state.enabled = before


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
        for reference, g in zip(node.outputs, complete, strict=True):
            t = reference()
            if t is not None and t._retains_grad and g is not None:
                t.grad = g if t.grad is None else t.grad + g

    if inputs is not None:
        wanted = [inputs] if isinstance(inputs, state.tensor) else list(inputs)
        if not wanted:
            raise RuntimeError("'inputs' argument to backward() cannot be empty.")
        found = grad(roots, wanted, grads, retain_graph, create_graph, allow_unused=True)
        leaves = [(x, g) for x, g in zip(wanted, found, strict=True) if g is not None]
    else:
        leaves = _walk(roots, grads, create_graph if retain_graph is None else retain_graph, create_graph, visit)
    taken = {id(g._data) for g in grads if g is not None}  # arrays that somebody else holds already
    before, state.enabled = state.enabled, create_graph
    try:
        for leaf, g in leaves:
            for tell in graded:
                tell(leaf)
            if leaf.grad is not None:
                leaf.grad = leaf.grad + g
            else:
                shared = id(g._data) in taken or not g.is_contiguous() or getattr(g._data, "base", None) is not None
                leaf.grad = g.clone() if shared and not create_graph else g
                taken.add(id(g._data))
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
