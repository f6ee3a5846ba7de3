"""Convolution layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from engine.creation import empty
from engine.dtypes import dtype as DType
from engine.nn import functional as F
from engine.nn.linear import reset_affine
from engine.nn.module import Module, Parameter
from engine.tensor import Tensor

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]
Padding = Literal["same", "valid"]


class _Conv(Module):
    """What convolutions of ``n`` spatial dimensions share; the weight is ``(out, in / groups, *kernel)``."""

    def __init__(
        self, n: int, function: Callable[..., Tensor], in_channels: int, out_channels: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
        groups: int, bias: bool, padding_mode: str, device: Any, dtype: DType | None,
    ) -> None:  # fmt: skip
        super().__init__()
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups:
            raise ValueError(f"in_channels must be divisible by groups (in_channels={in_channels}, groups={groups})")
        if out_channels % groups:
            raise ValueError(f"out_channels must be divisible by groups (out_channels={out_channels}, groups={groups})")
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise ValueError(f"Invalid padding string {padding!r}, should be one of 'valid', 'same'")
        if padding_mode not in ("zeros", "reflect", "replicate", "circular"):
            raise ValueError(
                f"padding_mode must be one of 'zeros', 'reflect', 'replicate', 'circular', but got padding_mode={padding_mode!r}"
            )
        self._function = function
        self.in_channels, self.out_channels, self.groups, self.padding_mode = in_channels, out_channels, groups, padding_mode
        self.kernel_size, self.stride = F.tuple_of(kernel_size, n, "kernel_size"), F.tuple_of(stride, n, "stride")
        self.dilation = F.tuple_of(dilation, n, "dilation")
        self.padding = padding if isinstance(padding, str) else F.tuple_of(padding, n, "padding")
        for name, values, least in (
            ("kernel_size", self.kernel_size, 1),
            ("stride", self.stride, 1),
            ("dilation", self.dilation, 1),
            ("padding", self.padding, 0),
        ):
            if not isinstance(values, str) and min(values) < least:
                raise ValueError(f"{name} must be at least {least}, got {values}")
        if padding == "same" and any(s != 1 for s in self.stride):
            raise ValueError("padding='same' is not supported for strided convolutions")
        self.weight = Parameter(empty(out_channels, in_channels // groups, *self.kernel_size, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        reset_affine(self.weight, self.bias)

    def _border(self) -> list[int]:
        """Widths for ``pad``, last dimension first."""
        padding: Any = self.padding
        if padding == "valid":
            return [0] * 2 * len(self.kernel_size)
        if padding == "same":
            totals = [d * (k - 1) for k, d in zip(self.kernel_size, self.dilation, strict=True)]
            return [w for t in reversed(totals) for w in (t // 2, t - t // 2)]
        return [p for p in reversed(padding) for _ in range(2)]

    def forward(self, x: Tensor) -> Tensor:
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            x, padding = F.pad(x, self._border(), self.padding_mode), 0
        return self._function(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        n = len(self.kernel_size)
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        if self.padding != (0,) * n:
            parts.append(f"padding={self.padding}")
        if self.dilation != (1,) * n:
            parts.append(f"dilation={self.dilation}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class ConvTranspose2d(Module):
    """The gradient of a convolution with respect to its input, as a layer: ``(N, in, H, W)`` to ``(N, out, H_out, W_out)``,
    ``H_out = (H - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1``; the weight is ``(in, out / groups, *kernel)``."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | tuple[int, int], stride: int | tuple[int, int] = 1, padding: int | tuple[int, int] = 0,
        output_padding: int | tuple[int, int] = 0, groups: int = 1, bias: bool = True, dilation: int | tuple[int, int] = 1, device: Any = None, dtype: DType | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if groups <= 0 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"in_channels and out_channels must be divisible by groups (in_channels={in_channels}, out_channels={out_channels}, groups={groups})"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = F.tuple_of(kernel_size, 2, "kernel_size"), F.tuple_of(stride, 2, "stride")
        self.padding, self.dilation = F.tuple_of(padding, 2, "padding"), F.tuple_of(dilation, 2, "dilation")
        self.output_padding = F.tuple_of(output_padding, 2, "output_padding")
        self.weight = Parameter(empty(in_channels, out_channels // groups, *self.kernel_size, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None)
        reset_affine(self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation)

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        for name, default in (("padding", (0, 0)), ("dilation", (1, 1)), ("output_padding", (0, 0)), ("groups", 1)):
            if getattr(self, name) != default:
                parts.append(f"{name}={getattr(self, name)}")
        return ", ".join(parts + (["bias=False"] if self.bias is None else []))


class Conv1d(_Conv):
    """``(N, C, L)`` to ``(N, out_channels, L_out)``."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | tuple[int], stride: int | tuple[int] = 1, padding: int | tuple[int] | Padding = 0,
        dilation: int | tuple[int] = 1, groups: int = 1, bias: bool = True, padding_mode: PaddingMode = "zeros", device: Any = None, dtype: DType | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            1, F.conv1d, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )


class Conv2d(_Conv):
    """``(N, C, H, W)`` to ``(N, out_channels, H_out, W_out)``, ``H_out = floor((H + 2 padding - dilation (kernel - 1) - 1) / stride + 1)``."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | tuple[int, int], stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | Padding = 0, dilation: int | tuple[int, int] = 1, groups: int = 1, bias: bool = True,
        padding_mode: PaddingMode = "zeros", device: Any = None, dtype: DType | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            2, F.conv2d, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )
