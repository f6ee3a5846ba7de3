"""The node that a recorded op leaves: whom its gradients go to, what its derivative needs, and the derivative."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from engine.backend import Array, full
from engine.dispatch import Op
from engine.hooks import Hooks, RemovableHandle, register
from engine.modes import state

if TYPE_CHECKING:
    from engine.tensor import Tensor

_numbers = itertools.count()

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
        edges, sources, needs = self.edges, self.sources, op.needs
        for name, x in zip(op.inputs, inputs, strict=False):
            if not isinstance(x, tensor):
                sources.append(((), None))
                edges.append(None)
                continue
            sources.append((x._data.shape, x.dtype))
            need = needs.get(name)
            if need is not None and (x._requires_grad if x._base is None else x.requires_grad):
                maker = x._grad_fn  # up to date since it was asked whether it requires a gradient
                edges.append((x, 0) if maker is None else (maker, x._output_index))
                for i in need[0]:
                    if i < len(inputs) and i not in saved:
                        needed = inputs[i]
                        saved[i] = (needed, needed._version[0]) if isinstance(needed, tensor) else (needed.item(), -1)
            else:
                edges.append(None)

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
        if version >= 0 and x._version[0] != version:
            self._changed(x._version[0], version, x._data.shape)
        return x

    def _kept(self, i: int) -> Array:
        assert self.results is not None
        array, version, then = self.results[i]
        if version[0] != then:
            self._changed(version[0], then, array.shape)
        return array

    def _result(self, i: int) -> Tensor:
        assert self.results is not None
        y = state.tensor._wrap(self._kept(i))
        y._version = self.results[i][1]
        if i < self.op.differentiable:
            y._requires_grad, y._grad_fn, y._output_index = True, self, i
        elif state.enabled and y.is_floating_point():
            raise RuntimeError(f"{self.name()} has no derivative of higher order: it needs a result that carries no gradient")
        return y

    def _constant(self, i: int) -> Tensor:
        """A result that a derivative uses only while nobody differentiates it again."""
        return state.tensor._wrap(self._kept(i))

    def _zeros(self, i: int) -> Tensor:
        """The gradient of a result that nothing depends on."""
        shape, dtype, device = self.shapes[i]
        return state.tensor._wrap(full(shape, 0, dtype, device))

    def _changed(self, now: int, then: int, shape: tuple[int, ...]) -> NoReturn:
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
        asked = [i for i, edge in enumerate(self.edges) if edge is not None]
        if op.joint is not None:
            wanted = [op.inputs[i] for i in asked]
            made: Any = op.joint(grads[0], *self._arguments(op.plans[wanted[0]], grads), wanted)
            return [(i, made[op.inputs[i]]) for i in asked]
        found = []
        for i in asked:
            name = op.inputs[i]
            gx = op.vjps[name](grads[0], *self._arguments(op.plans[name], grads))
            if gx is not None:
                found.append((i, gx))
        return found

    def _arguments(self, plan: Sequence[tuple[str, Any]], grads: Grads) -> list[Any]:
        args: list[Any] = []
        for kind, at in plan:
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
        return args

    def _array_gradients(self, g: Tensor | None) -> list[tuple[int, Tensor]]:
        """The same of an op with one result that carries gradients, where nobody differentiates them again."""
        wrap, op = state.tensor._wrap, self.op
        given = self._zeros(0)._data if g is None else g._data
        found = []
        for i, edge in enumerate(self.edges):
            if edge is not None:
                function, plan = op.arrays[op.inputs[i]]
                args = [given]
                for kind, at in plan:
                    args.append(self._input(at)._data if kind == "input" else self._kept(at) if kind == "result" else self.attrs[at])
                found.append((i, wrap(function(*args))))
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
