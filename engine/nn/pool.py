"""Pooling layers."""

from __future__ import annotations

from typing import Any

from engine.nn import functional as F
from engine.nn.facts import Facts
from engine.nn.functional.sizes import tuple_of
from engine.nn.module import Module
from engine.tensor import Tensor

Single = int | tuple[int]
Sizes = int | tuple[int, ...]
MaybeSizes = int | tuple[int | None, ...] | None


class _MaxPool(Module):
    """The greatest element under each window; with its flat index if asked."""

    spec_facts = Facts(range="kept")

    n: int

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation, self.return_indices, self.ceil_mode = padding, dilation, return_indices, ceil_mode

    def forward(self, input: Tensor) -> Any:
        pool = getattr(F, f"max_pool{self.n}d")
        return pool(input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, ceil_mode={self.ceil_mode}"


class MaxPool1d(_MaxPool):
    """The greatest element under each window, ``(N, C, L)`` to ``(N, C, L_out)``."""

    n = 1


class MaxPool2d(_MaxPool):
    """The greatest element under each window, ``(N, C, H, W)`` to ``(N, C, H_out, W_out)``."""

    n = 2


class MaxPool3d(_MaxPool):
    """The greatest element under each window, ``(N, C, D, H, W)`` to ``(N, C, D_out, H_out, W_out)``."""

    n = 3


class _MaxUnpool(Module):
    """Elements back at the places that a max pooling took them from."""

    spec_facts = Facts(excluded="takes the indices that a pooling layer returns beside its maxima")

    n = 1

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        super().__init__()
        self.kernel_size = tuple_of(kernel_size, self.n, "kernel_size")
        self.stride = self.kernel_size if stride is None else tuple_of(stride, self.n, "stride")
        self.padding = tuple_of(padding, self.n, "padding")

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        unpool = getattr(F, f"max_unpool{self.n}d")
        return unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """The inverse of ``MaxPool1d``, zeros elsewhere."""

    n = 1


class MaxUnpool2d(_MaxUnpool):
    """The inverse of ``MaxPool2d``, zeros elsewhere."""

    n = 2


class MaxUnpool3d(_MaxUnpool):
    """The inverse of ``MaxPool3d``, zeros elsewhere."""

    n = 3


class AvgPool1d(Module):
    """The mean under each window, ``(N, C, L)`` to ``(N, C, L_out)``."""

    def __init__(
        self,
        kernel_size: Single,
        stride: Single | None = None,
        padding: Single = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = tuple_of(kernel_size, 1, "kernel_size")
        self.stride = self.kernel_size if stride is None else tuple_of(stride, 1, "stride")
        self.padding, self.ceil_mode, self.count_include_pad = tuple_of(padding, 1, "padding"), ceil_mode, count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """The mean under each window, ``(N, C, H, W)`` to ``(N, C, H_out, W_out)``."""

    n = 2

    def __init__(
        self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0, ceil_mode: bool = False, count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding
        self.ceil_mode, self.count_include_pad, self.divisor_override = ceil_mode, count_include_pad, divisor_override

    def forward(self, input: Tensor) -> Tensor:
        pool = getattr(F, f"avg_pool{self.n}d")
        return pool(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad, self.divisor_override)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool3d(AvgPool2d):
    """The mean under each window, ``(N, C, D, H, W)`` to ``(N, C, D_out, H_out, W_out)``."""

    n = 3


class _LPPool(Module):
    """``(sum x^p)^(1/p)`` under each window."""

    n: int

    def __init__(self, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False) -> None:
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        pool = getattr(F, f"lp_pool{self.n}d")
        return pool(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, ceil_mode={self.ceil_mode}"


class LPPool1d(_LPPool):
    """The power mean under each window of ``(N, C, L)``."""

    n = 1


class LPPool2d(_LPPool):
    """The power mean under each window of ``(N, C, H, W)``."""

    n = 2


class LPPool3d(_LPPool):
    """The power mean under each window of ``(N, C, D, H, W)``."""

    n = 3


class _AdaptiveAvgPool(Module):
    """Means over a grid of ``output_size`` cells, whatever the input's size; None keeps a dimension."""

    spec_facts = Facts(range="kept")

    n: int

    def __init__(self, output_size: MaybeSizes) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Tensor) -> Any:
        return getattr(F, f"adaptive_avg_pool{self.n}d")(input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Means over cells of ``(N, C, L)``."""

    n = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Means over a grid of cells of ``(N, C, H, W)``."""

    n = 2


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Means over a grid of cells of ``(N, C, D, H, W)``."""

    n = 3


class _AdaptiveMaxPool(_AdaptiveAvgPool):
    def __init__(self, output_size: MaybeSizes, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        return getattr(F, f"adaptive_max_pool{self.n}d")(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The greatest elements of cells of ``(N, C, L)``."""

    n = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The greatest elements of a grid of cells of ``(N, C, H, W)``."""

    n = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The greatest elements of a grid of cells of ``(N, C, D, H, W)``."""

    n = 3
