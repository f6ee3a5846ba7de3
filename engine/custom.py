"""``autograd.Function``: an operation with a derivative of the user's own."""

from __future__ import annotations

import weakref
from typing import Any

from engine.dispatch import Op
from engine.modes import is_grad_enabled, no_grad
from engine.node import Grads, Node
from engine.tensor import Tensor

_OP = Op("custom_function", [], infer=list)


class Context:
    """What a Function's ``forward`` leaves for its ``backward``."""

    def __init__(self) -> None:
        self.needs_input_grad: tuple[bool, ...] = ()
        self._saved: list[tuple[Tensor | None, int]] = []
        self._not_differentiable: set[int] = set()
        self._dirty: set[int] = set()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        self._saved = [(t, 0 if t is None else t._version[0]) for t in tensors]

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """Raises RuntimeError where one has been modified in place since it was saved."""
        for t, version in self._saved:
            if t is not None and t._version[0] != version:
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an inplace operation: "
                    f"a saved tensor {list(t.shape)} is at version {t._version[0]}; expected version {version} instead"
                )
        return tuple(t for t, _ in self._saved)

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        self._not_differentiable = {id(t) for t in tensors}

    def mark_dirty(self, *tensors: Tensor) -> None:
        self._dirty = {id(t) for t in tensors}


class FunctionNode(Node):
    """The node of a custom function: its gradients are what ``backward`` returns."""

    __slots__ = ("ctx", "function", "likes")

    def __init__(self, function: type[Function], ctx: Context, inputs: tuple[Any, ...]) -> None:
        super().__init__(_OP, (), {})
        self.function, self.ctx = function, ctx
        for x, needed in zip(inputs, ctx.needs_input_grad, strict=True):
            self.sources.append((x.shape, x.dtype) if isinstance(x, Tensor) else ((), None))
            self.edges.append(((x if x.grad_fn is None else x.grad_fn), x._output_index) if needed else None)
        self.likes: list[Tensor] = []

    def name(self) -> str:
        return f"{self.function.__name__}Backward"

    def gradients(self, grads: Grads) -> list[tuple[int, Tensor]]:
        if self.saved is None:
            raise RuntimeError("Trying to backward through the graph a second time. Specify retain_graph=True if you need to.")
        filled = [like.new_zeros(like.shape) if g is None else g for g, like in zip(grads, self.likes, strict=True)]
        found = self.function.backward(self.ctx, *filled)
        found = found if isinstance(found, tuple) else (found,)
        if len(found) != len(self.edges):
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected {len(self.edges)}, got {len(found)})"
            )
        wanted = [(i, gx) for i, (gx, edge) in enumerate(zip(found, self.edges, strict=True)) if gx is not None and edge is not None]
        for i, gx in wanted:
            if gx.shape != self.sources[i][0]:
                raise RuntimeError(
                    f"Function {self.name()} returned an invalid gradient at index {i} - got {list(gx.shape)} but expected shape compatible with {list(self.sources[i][0])}"
                )
        return wanted


class Function:
    """The base: static ``forward(ctx, *args)`` and ``backward(ctx, *grads)``; called by ``apply``."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        raise NotImplementedError(
            "You must implement the backward function for your custom autograd.Function to use it with backward mode AD."
        )

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Runs ``forward`` unrecorded; the results' history is this function."""
        ctx = Context()
        ctx.needs_input_grad = tuple(isinstance(x, Tensor) and x.requires_grad for x in args)
        with no_grad():
            results = cls.forward(ctx, *args)
        outputs = results if isinstance(results, tuple) else (results,)
        if is_grad_enabled() and any(ctx.needs_input_grad):
            node = FunctionNode(cls, ctx, args)
            outputs = tuple(_linked(node, i, y, ctx, args) for i, y in enumerate(outputs))
        return outputs if isinstance(results, tuple) else outputs[0]


def _linked(node: FunctionNode, index: int, y: Any, ctx: Context, args: tuple[Any, ...]) -> Any:
    """A result with the function as its history; an input that is returned untouched becomes a tensor of its own."""
    if not isinstance(y, Tensor):
        raise TypeError(f"{node.name()}: expected a tensor as result {index}, got {type(y).__name__}")
    if id(y) not in ctx._dirty and any(y is x for x in args):
        y = y.detach()
    node.outputs.append(weakref.ref(y))
    node.likes.append(y.detach())
    if y.dtype.is_floating_point and id(y) not in ctx._not_differentiable:
        y._requires_grad, y._grad_fn, y._output_index = True, node, index
    return y
