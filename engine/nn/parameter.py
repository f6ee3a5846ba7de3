"""``Parameter``: a tensor that a module trains."""

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
