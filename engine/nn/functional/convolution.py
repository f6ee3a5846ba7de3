"""Convolutions of one, two and three spatial dimensions, and the transposed ones."""

from __future__ import annotations

from collections.abc import Sequence

from engine.modes import lowered
from engine.nn.functional.sizes import Ints, tuple_of, windows
from engine.ops import conv as _conv
from engine.ops.pad import pad
from engine.tensor import Tensor

Bias = Tensor | None


def _convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Ints, padding: Ints | str, dilation: Ints, groups: int, n: int
) -> Tensor:
    name = f"conv{n}d"
    x, weight, bias = lowered(x, weight, bias)
    if x.ndim not in (n + 1, n + 2):
        raise RuntimeError(f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {name}, but got input of size: {list(x.shape)}")
    if weight.ndim != n + 2:
        raise RuntimeError(f"{name}: expected a weight of {n + 2} dimensions, got {list(weight.shape)}")
    if x.ndim == n + 1:
        return _convolution(x.unsqueeze(0), weight, bias, stride, padding, dilation, groups, n).squeeze(0)
    if x.shape[1] != weight.shape[1] * groups:
        raise RuntimeError(
            f"Given groups={groups}, weight of size {list(weight.shape)}, expected input{list(x.shape)} to have {weight.shape[1] * groups} channels, "
            f"but got {x.shape[1]} channels instead"
        )
    if 0 in (weight.shape[0], *weight.shape[2:]):
        raise RuntimeError(f"{name}: expected a weight of at least 1 output channel and kernel position, got {list(weight.shape)}")
    for what, other in (("weight", weight), ("bias", bias)):
        if other is not None and x.dtype is not other.dtype:
            raise RuntimeError(f"Input type ({x.dtype.name}) and {what} type ({other.dtype.name}) should be the same")
    steps, pads, spread = windows(n, stride, 0 if isinstance(padding, str) else padding, dilation)
    if isinstance(padding, str):
        x, pads = _named_padding(x, padding, weight.shape[2:], steps, spread)
    for axis in range(n):
        window = spread[axis] * (weight.shape[2 + axis] - 1) + 1
        if x.shape[2 + axis] + 2 * pads[axis] < window:
            padded = [x.shape[2 + i] + 2 * pads[i] for i in range(n)]
            raise RuntimeError(
                f"Calculated padded input size per channel: {padded}. Kernel size: {list(weight.shape[2:])}. Kernel size can't be greater than actual input size"
            )
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise RuntimeError(f"{name}: expected a bias of one element for each of {weight.shape[0]} output channels, got {list(bias.shape)}")
    return _conv.conv(x, weight, steps, pads, spread, groups, bias)


def _named_padding(
    x: Tensor, padding: str, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> tuple[Tensor, tuple[int, ...]]:
    """'valid' pads nothing; 'same' keeps the size, the odd element on the right."""
    if padding == "valid":
        return x, (0,) * len(kernel)
    if padding != "same":
        raise RuntimeError(f"Invalid padding string {padding!r}, should be one of 'valid', 'same'")
    if any(s != 1 for s in stride):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if any(t % 2 for t in total):
        x = pad(x, [w for t in reversed(total) for w in (0, t % 2)])
    return x, tuple(t // 2 for t in total)


def conv1d(
    input: Tensor, weight: Tensor, bias: Bias = None, stride: Ints = 1, padding: Ints | str = 0, dilation: Ints = 1, groups: int = 1
) -> Tensor:
    """``(N, C, L)`` with ``(O, C/groups, K)`` to ``(N, O, L_out)``."""
    return _convolution(input, weight, bias, stride, padding, dilation, groups, 1)


def conv2d(
    input: Tensor, weight: Tensor, bias: Bias = None, stride: Ints = 1, padding: Ints | str = 0, dilation: Ints = 1, groups: int = 1
) -> Tensor:
    """``(N, C, H, W)`` with ``(O, C/groups, KH, KW)`` to ``(N, O, H_out, W_out)``."""
    return _convolution(input, weight, bias, stride, padding, dilation, groups, 2)


def conv3d(
    input: Tensor, weight: Tensor, bias: Bias = None, stride: Ints = 1, padding: Ints | str = 0, dilation: Ints = 1, groups: int = 1
) -> Tensor:
    """``(N, C, D, H, W)`` with ``(O, C/groups, KD, KH, KW)`` to ``(N, O, D_out, H_out, W_out)``."""
    return _convolution(input, weight, bias, stride, padding, dilation, groups, 3)


def _transposed(
    x: Tensor, weight: Tensor, bias: Bias, stride: Ints, padding: Ints, output_padding: Ints, groups: int, dilation: Ints, n: int
) -> Tensor:
    x, weight, bias = lowered(x, weight, bias)
    if x.ndim == n + 1:
        return _transposed(x.unsqueeze(0), weight, bias, stride, padding, output_padding, groups, dilation, n).squeeze(0)
    if x.ndim != n + 2 or x.shape[1] != weight.shape[0]:
        raise RuntimeError(
            f"Given transposed=1, weight of size {list(weight.shape)}, expected input{list(x.shape)} to have {weight.shape[0]} channels, but got {x.shape[1] if x.ndim > 1 else 0} channels instead"
        )
    if x.dtype is not weight.dtype:
        raise RuntimeError(f"Input type ({x.dtype.name}) and weight type ({weight.dtype.name}) should be the same")
    steps, pads, spread = windows(n, stride, padding, dilation)
    extra = tuple_of(output_padding, n, "output_padding")
    if any(e >= max(s, d) for e, s, d in zip(extra, steps, spread, strict=True)):
        raise RuntimeError(
            f"output padding must be smaller than either stride or dilation, but got output_padding: {extra}, stride: {steps}, dilation: {spread}"
        )
    size = tuple(
        (m - 1) * s - 2 * p + d * (k - 1) + e + 1
        for m, s, p, d, k, e in zip(x.shape[2:], steps, pads, spread, weight.shape[2:], extra, strict=True)
    )
    if min(size) < 1:
        raise RuntimeError(
            f"Given input size per channel: {list(x.shape[2:])}. Calculated output size per channel: {list(size)}. Output size is too small"
        )
    y = _conv.conv_data(x, weight, steps, pads, spread, groups, size)
    return y if bias is None else y + bias.reshape(-1, *(1,) * n)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Bias = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Tensor:
    """``(N, C, L)`` with ``(C, O/groups, K)`` to ``(N, O, L_out)``: the gradient of ``conv1d`` with respect to its input."""
    return _transposed(input, weight, bias, stride, padding, output_padding, groups, dilation, 1)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Bias = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Tensor:
    """``(N, C, H, W)`` with ``(C, O/groups, KH, KW)`` to ``(N, O, H_out, W_out)``: the gradient of ``conv2d`` with respect to its input."""
    return _transposed(input, weight, bias, stride, padding, output_padding, groups, dilation, 2)


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Bias = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Tensor:
    """``(N, C, D, H, W)`` with ``(C, O/groups, KD, KH, KW)`` to ``(N, O, D_out, H_out, W_out)``: the gradient of ``conv3d`` with respect to its input."""
    return _transposed(input, weight, bias, stride, padding, output_padding, groups, dilation, 3)


__all__ = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]
