"""``Parameter``: a tensor that a module trains; ``Buffer``: one that it keeps."""

from __future__ import annotations

from typing import Any

from engine.tensor import Tensor


class Parameter(Tensor):
    """A tensor that a module trains: assigned to an attribute, it is listed in ``parameters()``."""

    __slots__ = ()

    def __init__(self, data: Tensor, requires_grad: bool = True) -> None:
        self._adopt(data._data)
        self.requires_grad = requires_grad

    @classmethod
    def _wrap(cls, array: Any) -> Tensor:
        return cls(Tensor._wrap(array))

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __reduce__(self) -> Any:
        return Parameter, (self.detach(), self.requires_grad)


class Buffer(Tensor):
    """A tensor that is part of a module's state but not trained: assigned to an attribute, it is listed in ``buffers()``."""

    __slots__ = ("persistent",)

    def __init__(self, data: Tensor, *, persistent: bool = True) -> None:
        self._adopt(data._data)
        self.persistent = persistent

    @classmethod
    def _wrap(cls, array: Any) -> Tensor:
        return Tensor._wrap(array)

    def __reduce__(self) -> Any:
        return _buffer, (self.detach(), self.persistent)


def _buffer(data: Tensor, persistent: bool) -> Buffer:
    return Buffer(data, persistent=persistent)
