"""``torch.nn.functional``: layers as functions."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.nn.criteria import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from engine.nn.normalize import batch_norm, group_norm, layer_norm
from engine.ops import conv as _conv
from engine.ops import pool as _pool
from engine.ops.elementwise import where
from engine.ops.linalg import linear
from engine.ops.loss import log_softmax, softmax
from engine.ops.pad import pad
from engine.ops.random import dropout_mask
from engine.ops.unary import relu, sigmoid, softplus, tanh
from engine.tensor import Tensor

Ints = int | Sequence[int]


def tuple_of(value: Ints, n: int, name: str) -> tuple[int, ...]:
    """``value`` for each of ``n`` dimensions. Raises ValueError for another number of them."""
    if isinstance(value, int):
        return (value,) * n
    found = tuple(int(v) for v in value)
    if len(found) == 1:
        return found * n
    if len(found) != n:
        raise ValueError(f"{name} must be an int or {n} ints, got {tuple(value)}")
    return found


# -- activations


def relu_(x: Tensor) -> Tensor:
    return x.relu_()


def leaky_relu(x: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    y = where(x > 0, x, x * negative_slope)
    return x._become(y) if inplace else y


def elu(x: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    y = where(x > 0, x, (x.clamp(max=0).exp() - 1) * alpha)
    return x._become(y) if inplace else y


def silu(x: Tensor) -> Tensor:
    """``x sigmoid(x)`` (Elfwing et al., 2017)."""
    return x * sigmoid(x)


def gelu(x: Tensor, approximate: str = "tanh") -> Tensor:
    """``0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`` (Hendrycks and Gimpel, 2016). Raises NotImplementedError for the erf form."""
    if approximate != "tanh":
        raise NotImplementedError("gelu is available with approximate='tanh'")
    return x * 0.5 * (tanh((x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)) + 1)


# -- linear maps and convolutions


def _convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Ints, padding: Ints | str, dilation: Ints, groups: int, n: int
) -> Tensor:
    name = f"conv{n}d"
    if x.ndim not in (n + 1, n + 2):
        raise RuntimeError(f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {name}, but got input of size: {list(x.shape)}")
    if x.ndim == n + 1:
        return _convolution(x.unsqueeze(0), weight, bias, stride, padding, dilation, groups, n).squeeze(0)
    if x.shape[1] != weight.shape[1] * groups:
        raise RuntimeError(
            f"Given groups={groups}, weight of size {list(weight.shape)}, expected input{list(x.shape)} to have {weight.shape[1] * groups} channels, "
            f"but got {x.shape[1]} channels instead"
        )
    if x.dtype is not weight.dtype:
        raise RuntimeError(f"Input type ({x.dtype.name}) and bias type ({weight.dtype.name}) should be the same")
    steps, spread = tuple_of(stride, n, "stride"), tuple_of(dilation, n, "dilation")
    if isinstance(padding, str):
        x, pads = _named_padding(x, padding, weight.shape[2:], steps, spread)
    else:
        pads = tuple_of(padding, n, "padding")
    for axis in range(n):
        window = spread[axis] * (weight.shape[2 + axis] - 1) + 1
        if x.shape[2 + axis] + 2 * pads[axis] < window:
            padded = [x.shape[2 + i] + 2 * pads[i] for i in range(n)]
            raise RuntimeError(
                f"Calculated padded input size per channel: {padded}. Kernel size: {list(weight.shape[2:])}. Kernel size can't be greater than actual input size"
            )
    y = _conv.conv(x, weight, steps, pads, spread, groups)
    return y if bias is None else y + bias.reshape(-1, *(1,) * n)


def _named_padding(
    x: Tensor, padding: str, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> tuple[Tensor, tuple[int, ...]]:
    """'valid' pads nothing; 'same' keeps the size, the odd element on the right."""
    if padding == "valid":
        return x, (0,) * len(kernel)
    if padding != "same":
        raise ValueError(f"Invalid padding string {padding!r}, should be one of 'valid', 'same'")
    if any(s != 1 for s in stride):
        raise ValueError("padding='same' is not supported for strided convolutions")
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if any(t % 2 for t in total):
        x = pad(x, [w for t in reversed(total) for w in (0, t % 2)])
    return x, tuple(t // 2 for t in total)


def conv1d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = 1, padding: Ints | str = 0, dilation: Ints = 1, groups: int = 1
) -> Tensor:
    """``(N, C, L)`` with ``(O, C/groups, K)`` to ``(N, O, L_out)``."""
    return _convolution(x, weight, bias, stride, padding, dilation, groups, 1)


def conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Ints = 1, padding: Ints | str = 0, dilation: Ints = 1, groups: int = 1
) -> Tensor:
    """``(N, C, H, W)`` with ``(O, C/groups, KH, KW)`` to ``(N, O, H_out, W_out)``."""
    return _convolution(x, weight, bias, stride, padding, dilation, groups, 2)


def conv_transpose2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Tensor:
    """``(N, C, H, W)`` with ``(C, O/groups, KH, KW)`` to ``(N, O, H_out, W_out)``: the gradient of ``conv2d`` with respect to its input."""
    if x.ndim == 3:
        return conv_transpose2d(x.unsqueeze(0), weight, bias, stride, padding, output_padding, groups, dilation).squeeze(0)
    if x.ndim != 4 or x.shape[1] != weight.shape[0]:
        raise RuntimeError(
            f"Given transposed=1, weight of size {list(weight.shape)}, expected input{list(x.shape)} to have {weight.shape[0]} channels, but got {x.shape[1]} channels instead"
        )
    steps, pads, spread = tuple_of(stride, 2, "stride"), tuple_of(padding, 2, "padding"), tuple_of(dilation, 2, "dilation")
    extra = tuple_of(output_padding, 2, "output_padding")
    if any(e >= max(s, d) for e, s, d in zip(extra, steps, spread, strict=True)):
        raise RuntimeError(
            f"output padding must be smaller than either stride or dilation, but got output_padding: {extra}, stride: {steps}, dilation: {spread}"
        )
    size = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(x.shape[2:], steps, pads, spread, weight.shape[2:], extra, strict=True)
    )
    y = _conv.conv_data(x, weight, steps, pads, spread, groups, size)
    return y if bias is None else y + bias.reshape(-1, 1, 1)


def pixel_shuffle(x: Tensor, upscale_factor: int) -> Tensor:
    """``(*, C r^2, H, W)`` to ``(*, C, H r, W r)`` (Shi et al., 2016)."""
    r = upscale_factor
    *lead, c, h, w = x.shape
    if c % (r * r):
        raise RuntimeError(
            f"pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but input.size(-3)={c} is not divisible by {r * r}"
        )
    n = len(lead)
    y = x.reshape(*lead, c // (r * r), r, r, h, w).permute(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return y.reshape(*lead, c // (r * r), h * r, w * r)


# -- pooling


def _pooled(x: Tensor, n: int, name: str, function: Callable[[Tensor], Any]) -> Any:
    """Applies a pooling of batches to a batch or to a single sample."""
    if x.ndim not in (n + 1, n + 2):
        raise RuntimeError(f"{name}: Expected {n + 1}D or {n + 2}D input, but got input of size: {list(x.shape)}")
    if x.ndim == n + 2:
        return function(x)
    result = function(x.unsqueeze(0))
    return tuple(r.squeeze(0) for r in result) if isinstance(result, tuple) else result.squeeze(0)


def _check_pool(x: Tensor, name: str, out: Sequence[int], kernel: Sequence[int], padding: Sequence[int]) -> None:
    if any(p > k // 2 for p, k in zip(padding, kernel, strict=True)):
        raise RuntimeError(
            f"pad should be at most half of effective kernel size, but got pad={list(padding)} and kernel_size={list(kernel)}"
        )
    if any(m < 1 for m in out):
        raise RuntimeError(
            f"Given input size: ({'x'.join(map(str, x.shape[1:]))}). Calculated output size: ({'x'.join(map(str, (x.shape[1], *out)))}). Output size is too small ({name})"
        )


def max_pool2d(
    x: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The greatest element under each window, ``(N, C, H, W)`` to ``(N, C, H_out, W_out)``; with its flat index if asked."""
    kernel = tuple_of(kernel_size, 2, "kernel_size")
    steps = kernel if stride is None else tuple_of(stride, 2, "stride")
    pads, spread = tuple_of(padding, 2, "padding"), tuple_of(dilation, 2, "dilation")

    def pool(x: Tensor) -> Any:
        _check_pool(
            x, "max_pool2d", tuple(map(_pool.pooled_size, x.shape[2:], kernel, steps, pads, spread, (ceil_mode,) * 2)), kernel, pads
        )
        y, index = _pool.max_pool(x, kernel, steps, pads, spread, ceil_mode)
        return (y, index) if return_indices else y

    return _pooled(x, 2, "max_pool2d", pool)


@functools.lru_cache(64)
def _window_scale(
    size: tuple[int, ...],
    out: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    include_pad: bool,
    divisor: int | None,
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """One over the number of elements that each average counts."""
    if divisor is not None:
        return np.full(out, 1 / divisor)
    per_axis = []
    for n, m, k, s, p in zip(size, out, kernel, stride, padding, strict=True):
        start = np.arange(m) * s - p
        low, high = (-p, n + p) if include_pad else (0, n)
        per_axis.append(np.minimum(start + k, high) - np.maximum(start, low))
    return np.asarray(1 / functools.reduce(np.multiply.outer, per_axis))


def avg_pool2d(
    x: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean under each window, ``(N, C, H, W)`` to ``(N, C, H_out, W_out)``."""
    kernel = tuple_of(kernel_size, 2, "kernel_size")
    steps = kernel if stride is None else tuple_of(stride, 2, "stride")
    pads = tuple_of(padding, 2, "padding")

    def pool(x: Tensor) -> Tensor:
        out = tuple(map(_pool.pooled_size, x.shape[2:], kernel, steps, pads, (1, 1), (ceil_mode,) * 2))
        _check_pool(x, "avg_pool2d", out, kernel, pads)
        return _pool.avg_pool(
            x, kernel, steps, pads, _window_scale(tuple(x.shape[2:]), out, kernel, steps, pads, count_include_pad, divisor_override)
        )

    return _pooled(x, 2, "avg_pool2d", pool)


def adaptive_avg_pool2d(x: Tensor, output_size: Ints) -> Tensor:
    """Means over a grid of ``output_size`` cells; cells may overlap by an element where sizes do not divide."""
    out = tuple_of(output_size, 2, "output_size")

    def pool(x: Tensor) -> Tensor:
        for axis, m in enumerate(out):
            n = x.shape[2 + axis]
            weights = np.zeros((n, m))
            for i in range(m):
                a, b = i * n // m, -(-(i + 1) * n // m)
                weights[a:b, i] = 1 / (b - a)
            w = x.new_tensor(weights)
            x = (x.transpose(2, 3) @ w).transpose(2, 3) if axis == 0 else x @ w
        return x

    return _pooled(x, 2, "adaptive_avg_pool2d", pool)


# -- regularization


def dropout(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes elements with probability ``p`` and scales the others by ``1 / (1 - p)``, in training (Hinton et al., 2012)."""
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not training or p == 0:
        return x
    y = x * 0 if p == 1 else x * dropout_mask(x, p)
    return x._become(y) if inplace else y


def dropout2d(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes whole channels of ``(N, C, H, W)`` with probability ``p``, in training (Tompson et al., 2014)."""
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not training or p == 0:
        return x
    y = x * 0 if p == 1 else x * dropout_mask(x.detach()[:, :, :1, :1], p)
    return x._become(y) if inplace else y


__all__ = [
    "conv_transpose2d",
    "dropout2d",
    "group_norm",
    "pixel_shuffle",
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "cross_entropy",
    "dropout",
    "elu",
    "gelu",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "pad",
    "relu",
    "relu_",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
]
