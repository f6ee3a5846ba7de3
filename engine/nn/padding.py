"""Padding layers: by zeros or a constant, by reflection, by the edge, around."""

from __future__ import annotations

from engine.nn import functional as F
from engine.nn.functional.sizes import tuple_of
from engine.nn.module import Module
from engine.tensor import Tensor

Widths = int | tuple[int, ...]


class _Pad(Module):
    """Pads the last ``n`` dimensions of ``(N, C, *)`` or ``(C, *)`` by (left, right, top, bottom, ...)."""

    n = 1
    mode = "constant"

    def __init__(self, padding: Widths) -> None:
        super().__init__()
        self.padding = tuple_of(padding, 2 * self.n, "padding")

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    def __init__(self, padding: Widths, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Pads sequences with one value."""


class ConstantPad2d(_ConstantPad):
    """Pads images with one value."""

    n = 2


class ConstantPad3d(_ConstantPad):
    """Pads volumes with one value."""

    n = 3


class ZeroPad1d(_Pad):
    """Pads sequences with zeros."""


class ZeroPad2d(_Pad):
    """Pads images with zeros."""

    n = 2


class ZeroPad3d(_Pad):
    """Pads volumes with zeros."""

    n = 3


class ReflectionPad1d(_Pad):
    """Pads sequences by their mirror image, the edge not repeated."""

    mode = "reflect"


class ReflectionPad2d(ReflectionPad1d):
    """Pads images by their mirror image, the edge not repeated."""

    n = 2


class ReflectionPad3d(ReflectionPad1d):
    """Pads volumes by their mirror image, the edge not repeated."""

    n = 3


class ReplicationPad1d(_Pad):
    """Pads sequences by their edge."""

    mode = "replicate"


class ReplicationPad2d(ReplicationPad1d):
    """Pads images by their edge."""

    n = 2


class ReplicationPad3d(ReplicationPad1d):
    """Pads volumes by their edge."""

    n = 3


class CircularPad1d(_Pad):
    """Pads sequences by their other end."""

    mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (self.n + 1, self.n + 2):
            raise ValueError(f"expected {self.n + 1}D or {self.n + 2}D input (got {input.ndim}D input)")
        return super().forward(input)


class CircularPad2d(CircularPad1d):
    """Pads images by their other end."""

    n = 2


class CircularPad3d(CircularPad1d):
    """Pads volumes by their other end."""

    n = 3
