"""Convolution layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from engine.creation import empty
from engine.dtypes import dtype as DType
from engine.nn import functional as F
from engine.nn.facts import Facts
from engine.nn.linear import reset_affine
from engine.nn.module import Module
from engine.nn.parameter import Parameter
from engine.tensor import Tensor

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]
Padding = Literal["same", "valid"]


class _Conv(Module):
    """What convolutions of ``n`` spatial dimensions share; the weight is ``(out, in / groups, *kernel)``."""

    spec_facts = Facts(infers={"in_channels": (0, 1)})

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

    def forward(self, input: Tensor) -> Tensor:
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._border(), self.padding_mode), 0
        return self._function(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

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
        self, in_channels: int, out_channels: int, kernel_size: int | tuple[int, int], stride: int | tuple[int, int] = 1, padding: int | tuple[int, int] | Padding = 0,
        dilation: int | tuple[int, int] = 1, groups: int = 1, bias: bool = True, padding_mode: PaddingMode = "zeros", device: Any = None, dtype: DType | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            2, F.conv2d, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )


class Conv3d(_Conv):
    """``(N, C, D, H, W)`` to ``(N, out_channels, D_out, H_out, W_out)``."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | tuple[int, int, int], stride: int | tuple[int, int, int] = 1, padding: int | tuple[int, int, int] | Padding = 0,
        dilation: int | tuple[int, int, int] = 1, groups: int = 1, bias: bool = True, padding_mode: PaddingMode = "zeros", device: Any = None, dtype: DType | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            3, F.conv3d, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype
        )


class _ConvTranspose(Module):
    """What transposed convolutions of ``n`` spatial dimensions share; the weight is ``(in, out / groups, *kernel)``."""

    def __init__(
        self, n: int, function: Callable[..., Tensor], in_channels: int, out_channels: int, kernel_size: Any, stride: Any, padding: Any, output_padding: Any,
        groups: int, bias: bool, dilation: Any, padding_mode: str, device: Any, dtype: DType | None,
    ) -> None:  # fmt: skip
        super().__init__()
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        if groups <= 0 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"in_channels and out_channels must be divisible by groups (in_channels={in_channels}, out_channels={out_channels}, groups={groups})"
            )
        self._function = function
        self.in_channels, self.out_channels, self.groups, self.padding_mode = in_channels, out_channels, groups, padding_mode
        self.kernel_size, self.stride = F.tuple_of(kernel_size, n, "kernel_size"), F.tuple_of(stride, n, "stride")
        self.padding, self.dilation = F.tuple_of(padding, n, "padding"), F.tuple_of(dilation, n, "dilation")
        self.output_padding = F.tuple_of(output_padding, n, "output_padding")
        self.weight = Parameter(empty(in_channels, out_channels // groups, *self.kernel_size, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_channels, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        reset_affine(self.weight, self.bias)

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        extra = self.output_padding if output_size is None else self._reaching(input, output_size)
        return self._function(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)

    def _reaching(self, x: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        """The output padding that makes the output ``output_size``. Raises ValueError where a stride does not reach."""
        n = len(self.kernel_size)
        wanted = tuple(output_size)[-n:]
        least = [
            (m - 1) * s - 2 * p + d * (k - 1) + 1
            for m, s, p, d, k in zip(x.shape[-n:], self.stride, self.padding, self.dilation, self.kernel_size, strict=True)
        ]
        for m, low, s in zip(wanted, least, self.stride, strict=True):
            if not low <= m < low + s:
                raise ValueError(
                    f"requested an output size of {list(wanted)}, but valid sizes range from {least} to {[b + t - 1 for b, t in zip(least, self.stride, strict=True)]} (for an input of {list(x.shape[2:])})"
                )
        return tuple(m - low for m, low in zip(wanted, least, strict=True))

    def extra_repr(self) -> str:
        n = len(self.kernel_size)
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        for name, default in (("padding", (0,) * n), ("dilation", (1,) * n), ("output_padding", (0,) * n), ("groups", 1)):
            if getattr(self, name) != default:
                parts.append(f"{name}={getattr(self, name)}")
        return ", ".join(parts + (["bias=False"] if self.bias is None else []))


class ConvTranspose1d(_ConvTranspose):
    """The gradient of ``Conv1d`` with respect to its input, as a layer: ``(N, in, L)`` to ``(N, out, L_out)``."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | tuple[int], stride: int | tuple[int] = 1, padding: int | tuple[int] = 0,
        output_padding: int | tuple[int] = 0, groups: int = 1, bias: bool = True, dilation: int | tuple[int] = 1, padding_mode: Literal["zeros"] = "zeros", device: Any = None,
        dtype: DType | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            1,
            F.conv_transpose1d,
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
            groups,
            bias,
            dilation,
            padding_mode,
            device,
            dtype,
        )


class ConvTranspose2d(_ConvTranspose):
    """The gradient of ``Conv2d`` with respect to its input, as a layer: ``(N, in, H, W)`` to ``(N, out, H_out, W_out)``,
    ``H_out = (H - 1) stride - 2 padding + dilation (kernel - 1) + output_padding + 1``."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | tuple[int, int], stride: int | tuple[int, int] = 1, padding: int | tuple[int, int] = 0,
        output_padding: int | tuple[int, int] = 0, groups: int = 1, bias: bool = True, dilation: int | tuple[int, int] = 1, padding_mode: Literal["zeros"] = "zeros", device: Any = None,
        dtype: DType | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            2,
            F.conv_transpose2d,
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
            groups,
            bias,
            dilation,
            padding_mode,
            device,
            dtype,
        )


class ConvTranspose3d(_ConvTranspose):
    """The gradient of ``Conv3d`` with respect to its input, as a layer: ``(N, in, D, H, W)`` to ``(N, out, D_out, H_out, W_out)``."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | tuple[int, int, int], stride: int | tuple[int, int, int] = 1, padding: int | tuple[int, int, int] = 0,
        output_padding: int | tuple[int, int, int] = 0, groups: int = 1, bias: bool = True, dilation: int | tuple[int, int, int] = 1, padding_mode: Literal["zeros"] = "zeros", device: Any = None,
        dtype: DType | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            3,
            F.conv_transpose3d,
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
            groups,
            bias,
            dilation,
            padding_mode,
            device,
            dtype,
        )
