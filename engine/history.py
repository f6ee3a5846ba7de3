"""How a tensor came to be: whether it is recorded, its node in the graph, its place in another tensor, and what writing to it means.

A view shares the version counter of its base and remembers the way from the base to itself. Writing to a view therefore rewrites the
base's history, and every view finds its own history anew when it is asked for it next: gradients through views are never stale.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from engine import graph, hooks
from engine.backend import Array, array_module, is_writeable
from engine.dispatch import DevicesDiffer, Op, is_constant, launch, unseen
from engine.dtypes import FLOAT
from engine.graph import apply
from engine.hooks import RemovableHandle
from engine.modes import enable_grad, state, tensor_class
from engine.node import Node
from engine.ops import elementwise, select
from engine.ops import index as indexing

if TYPE_CHECKING:
    from engine.tensor import Tensor

Path = tuple[tuple[Op, dict[str, Any]], ...]
"""The view ops that lead from a base to a view of it."""


def _along(path: Path, x: Tensor) -> Tensor:
    for op, attrs in path:
        x = apply(op, x, **attrs)
    return x


def _copy_slices_kernel(out: Array, base: Array, value: Array, path: Path) -> None:
    """Where the view's elements lie is found by sending the base's indices along the path: right for any layout."""
    index = array_module(out).arange(out.size).reshape(out.shape)
    for op, attrs in path:
        assert op.view is not None
        index = op.view(index, **attrs)
    out[...] = base
    out.reshape(-1)[index] = value


_copy_slices: Op = Op(
    "copy_slices",
    ["base", "value"],
    infer=lambda base, value, path: (base.shape, base.dtype),
    kernel=_copy_slices_kernel,
    vjps={
        "base": lambda g, path, value_shape: apply(_copy_slices, g, g.new_zeros(value_shape), path=path),
        "value": lambda g, path: _along(path, g),
    },
)


_assign: Op = Op("assign", ["x"], infer=lambda x: (x.shape, x.dtype), kernel=lambda out, x: out.__setitem__(..., x))
"""Writing into memory that was there before; history is kept by whoever asks for it."""


class History:
    """The part of ``Tensor`` that autograd works on."""

    __slots__ = ()

    if TYPE_CHECKING:
        _data: Array
        _base: Tensor | None
        _path: Path
        _seen: int
        _changes: int
        _version: list[int]
        _grad_fn: Node | None
        _requires_grad: bool
        _retains_grad: bool
        _output_index: int
        _hooks: hooks.Hooks | None
        _after: hooks.Hooks | None

    @property
    def grad_fn(self) -> Node | None:
        """The node that made this tensor; None for a leaf."""
        if self._base is not None and self._seen != self._base._changes:
            self._find_history()
        return self._grad_fn

    @property
    def requires_grad(self) -> bool:
        if self._base is not None and self._seen != self._base._changes:
            self._find_history()
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self.requires_grad_(wanted)

    def requires_grad_(self: Any, requires_grad: bool = True) -> Tensor:
        """Raises RuntimeError for a dtype without derivatives, or for a tensor inside of the graph."""
        if requires_grad and self.dtype.category != FLOAT:
            raise RuntimeError("only Tensors of floating point and complex dtype can require gradients")
        if not requires_grad and self.grad_fn is not None:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph "
                "that doesn't require differentiation use var_no_grad = var.detach()."
            )
        self._requires_grad = requires_grad
        return self

    def _find_history(self: Any) -> None:
        """The base was written to: goes the way from the base to this view again."""
        base = self._base
        self._seen = base._changes
        with enable_grad():
            again = _along(self._path, base)
        self._grad_fn, self._requires_grad, self._output_index = again._grad_fn, again._requires_grad, again._output_index
        if self._grad_fn is not None:
            self._grad_fn.outputs[0] = weakref.ref(self)

    @property
    def is_leaf(self) -> bool:
        return self.grad_fn is None

    @property
    def retains_grad(self) -> bool:
        return self._retains_grad

    def retain_grad(self: Any) -> None:
        """Keeps the gradient of a tensor that is not a leaf."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        self._retains_grad = self.grad_fn is not None

    def detach(self: Any) -> Tensor:
        """The same elements, outside of the graph."""
        x: Tensor = tensor_class()._wrap(self._data)
        x._version = self._version
        return x

    def detach_(self: Any) -> Tensor:
        if self._base is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        self._requires_grad, self._grad_fn = False, None
        return self

    def is_view(self) -> bool:
        return self._base is not None

    def register_hook(self: Any, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """``hook(gradient)`` runs once this tensor's gradient is complete; what it returns takes the gradient's place."""
        if not self.requires_grad:
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        if self.grad_fn is not None:
            return self.grad_fn.register_result_hook(self._output_index, hook)
        if self._hooks is None:
            self._hooks = {}
        return hooks.register(self._hooks, hook)

    def register_post_accumulate_grad_hook(self: Any, hook: Callable[[Tensor], None]) -> RemovableHandle:
        """``hook(tensor)`` runs after a leaf's ``.grad`` was added to."""
        if self.grad_fn is not None:
            raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
        if self._after is None:
            self._after = {}
        return hooks.register(self._after, hook)

    def backward(
        self: Any,
        gradient: Any = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Sequence[Tensor] | None = None,
    ) -> None:
        """Adds this tensor's gradient to the leaves it depends on, or to ``inputs`` only; ``gradient`` weights a tensor that is not a scalar."""
        graph.backward([self], None if gradient is None else [gradient], retain_graph, create_graph, inputs)

    # -- writing

    def _become(self: Any, result: Tensor) -> Tensor:
        """In-place assignment of a computed result, elements and history. Raises RuntimeError where a gradient would be wrong."""
        own, dtype = self._data, self.dtype
        if result._data.shape != own.shape:
            raise RuntimeError(f"output with shape {list(self.shape)} doesn't match the broadcast shape {list(result.shape)}")
        if result.dtype.category > dtype.category:
            raise RuntimeError(f"result type {result.dtype.legacy_name} can't be cast to the desired output type {dtype.legacy_name}")
        if not is_writeable(own):
            raise RuntimeError(
                "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
                "Please clone() the tensor before performing the operation."
            )
        if state.enabled and (self.requires_grad or result.requires_grad):
            self._rewrite(result if result.dtype is dtype else elementwise.cast(result, dtype))
        launch(_assign, [own], [result._data], {})
        self._version[0] += 1
        return self

    def _rewrite(self: Any, value: Tensor) -> None:
        """From here on this tensor's history is that of ``value``, and its base's that of a base with ``value`` put in."""
        target = self if self._base is None else self._base
        maker = value.grad_fn
        if target.requires_grad and target.grad_fn is None:
            what = "a leaf Variable" if target is self else "a view of a leaf Variable"
            raise RuntimeError(f"{what} that requires grad is being used in an in-place operation.")
        if maker is not None:
            maker.keep_before_writing(self)
        if target is self and maker is not None and value is not self:
            node, index = maker, value._output_index
            node.outputs[index] = weakref.ref(target)
        else:
            node, index = Node(_copy_slices, (target, value), {"path": self._path}), 0
            node.outputs.append(weakref.ref(target))
        target._grad_fn, target._requires_grad, target._output_index = node, True, index
        target._changes += 1

    def _reshaped(self: Any, result: Tensor) -> Tensor:
        """In-place change of shape: this tensor becomes the view ``result`` of itself."""
        if self._base is not None or (self.requires_grad and self.grad_fn is None):
            raise RuntimeError("a leaf Variable that requires grad, or a view, cannot change its shape in place")
        self._data, self._grad_fn, self._requires_grad = result._data, result._grad_fn, result._requires_grad
        if self._grad_fn is not None:
            self._grad_fn.outputs[0] = weakref.ref(self)
        return self

    def _arrived(self: Any, value: Any, index: Any) -> Any:
        """What is assigned, copied from another device as by ``copy_``. Raises DevicesDiffer where it goes to listed places: it has to be here."""
        if not hasattr(value, "_data") or value.device == self.device:
            return value
        if value.ndim and not indexing.is_basic(index):
            raise DevicesDiffer(self.device, value.device, "an assignment")
        return value.to(self.device)

    def _write(self: Any, index: Any, value: Any) -> None:
        """``x[index] = value``, recorded where a gradient is wanted."""
        index = indexing.plain_index(index, self)
        view, rest = indexing.apart(index)
        if view is not None:
            self[view]._write(rest, value)
            return
        value = self._arrived(value, index)
        if not state.enabled or not (self.requires_grad or getattr(value, "requires_grad", False)):
            plain = value._data if isinstance(value, History) else value
            if not (is_constant(self._data) and (is_constant(plain) or not hasattr(plain, "dtype"))):
                unseen("an assignment to a part of a tensor")
            try:
                self._data[index] = plain
            except ValueError as error:
                raise RuntimeError(f"shape mismatch in an indexed assignment to a tensor {list(self.shape)}: {error}") from None
            self._version[0] += 1
            return
        value = value if isinstance(value, History) else self.new_tensor(value)
        if indexing.is_basic(index):
            self[index].copy_(value)
        else:
            self._become(select.index_set(self, index, value))
