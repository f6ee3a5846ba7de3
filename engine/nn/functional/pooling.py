"""Pooling over one, two and three spatial dimensions."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.dtypes import int64
from engine.nn.functional.sizes import Ints, tuple_of
from engine.ops import pool as _pool
from engine.tensor import Tensor


def _pooled(x: Tensor, n: int, name: str, function: Callable[[Tensor], Any]) -> Any:
    """Applies a pooling of batches to a batch or to a single sample."""
    if x.ndim not in (n + 1, n + 2):
        raise RuntimeError(f"{name}: Expected {n + 1}D or {n + 2}D input, but got input of size: {list(x.shape)}")
    if 0 in x.shape[x.ndim - n - 1 :]:
        raise RuntimeError(
            f"{name}: Expected {n + 1}D or {n + 2}D (batch mode) tensor with optional 0 dim batch size for input, but got: {list(x.shape)}"
        )
    if x.ndim == n + 2:
        return function(x)
    result = function(x.unsqueeze(0))
    return tuple(r.squeeze(0) for r in result) if isinstance(result, tuple) else result.squeeze(0)


def _check_pool(x: Tensor, name: str, out: Sequence[int], kernel: Sequence[int], padding: Sequence[int]) -> None:
    if min(padding) < 0:
        raise RuntimeError(f"pad must be non-negative, but got pad: {list(padding)}")
    if any(p > k // 2 for p, k in zip(padding, kernel, strict=True)):
        raise RuntimeError(
            f"pad should be at most half of effective kernel size, but got pad={list(padding)} and kernel_size={list(kernel)}"
        )
    if any(m < 1 for m in out):
        raise RuntimeError(
            f"Given input size: ({'x'.join(map(str, x.shape[1:]))}). Calculated output size: ({'x'.join(map(str, (x.shape[1], *out)))}). Output size is too small ({name})"
        )


def _strides(stride: Any, kernel: tuple[int, ...]) -> tuple[int, ...]:
    return kernel if stride is None or stride == () or stride == [] else tuple_of(stride, len(kernel), "stride")


def _max_pool(
    x: Tensor, kernel_size: Ints, stride: Ints | None, padding: Ints, dilation: Ints, ceil_mode: bool, return_indices: bool, n: int
) -> Any:
    kernel = tuple_of(kernel_size, n, "kernel_size")
    steps, pads, spread = _strides(stride, kernel), tuple_of(padding, n, "padding"), tuple_of(dilation, n, "dilation")
    name = f"max_pool{n}d"
    for what, values, least in (("kernel_size", kernel, 1), ("stride", steps, 1), ("dilation", spread, 1), ("padding", pads, 0)):
        if min(values) < least:
            raise RuntimeError(f"{name}: {what} must be {'greater than zero' if least else 'non-negative'}, but got {values}")

    def pool(x: Tensor) -> Any:
        out = tuple(map(_pool.pooled_size, x.shape[2:], kernel, steps, pads, spread, (ceil_mode,) * n))
        _check_pool(x, name, out, kernel, pads)
        y, index = _pool.max_pool(x, kernel, steps, pads, spread, ceil_mode)
        return (y, index) if return_indices else y

    return _pooled(x, n, name, pool)


def max_pool1d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The greatest element under each window, ``(N, C, L)`` to ``(N, C, L_out)``; with its flat index if asked."""
    return _max_pool(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, 1)


def max_pool2d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The greatest element under each window, ``(N, C, H, W)`` to ``(N, C, H_out, W_out)``; with its flat index if asked."""
    return _max_pool(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, 2)


def max_pool3d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The greatest element under each window, ``(N, C, D, H, W)`` to ``(N, C, D_out, H_out, W_out)``; with its flat index if asked."""
    return _max_pool(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, 3)


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


def _avg_pool(
    x: Tensor, kernel_size: Ints, stride: Any, padding: Ints, ceil_mode: bool, count_include_pad: bool, divisor: int | None, n: int
) -> Tensor:
    kernel = tuple_of(kernel_size, n, "kernel_size")
    steps, pads, name = _strides(stride, kernel), tuple_of(padding, n, "padding"), f"avg_pool{n}d"
    if divisor == 0:
        raise RuntimeError("divisor must be not zero")
    for what, values in (("kernel_size", kernel), ("stride", steps)):
        if min(values) < 1:
            raise RuntimeError(f"{name}: {what} should be greater than zero, but got {values}")

    def pool(x: Tensor) -> Tensor:
        out = tuple(map(_pool.pooled_size, x.shape[2:], kernel, steps, pads, (1,) * n, (ceil_mode,) * n))
        _check_pool(x, name, out, kernel, pads)
        return _pool.avg_pool(
            x, kernel, steps, pads, _window_scale(tuple(x.shape[2:]), out, kernel, steps, pads, count_include_pad, divisor)
        )

    return _pooled(x, n, name, pool)


def avg_pool1d(
    input: Tensor, kernel_size: Ints, stride: Any = None, padding: Ints = 0, ceil_mode: bool = False, count_include_pad: bool = True
) -> Tensor:
    """The mean under each window, ``(N, C, L)`` to ``(N, C, L_out)``."""
    return _avg_pool(input, kernel_size, stride, padding, ceil_mode, count_include_pad, None, 1)


def avg_pool2d(
    input: Tensor, kernel_size: Ints, stride: Any = None, padding: Ints = 0, ceil_mode: bool = False, count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean under each window, ``(N, C, H, W)`` to ``(N, C, H_out, W_out)``."""
    return _avg_pool(input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, 2)


def avg_pool3d(
    input: Tensor, kernel_size: Ints, stride: Any = None, padding: Ints = 0, ceil_mode: bool = False, count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """The mean under each window, ``(N, C, D, H, W)`` to ``(N, C, D_out, H_out, W_out)``."""
    return _avg_pool(input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, 3)


# -- adaptive


def _cells(n: int, m: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Where each of ``m`` cells over ``n`` elements begins and ends; neighbours overlap by an element where sizes do not divide."""
    i = np.arange(m)
    return i * n // m, -(-(i + 1) * n // m)


def _output_size(x: Tensor, output_size: Any, n: int, name: str) -> tuple[int, ...]:
    """The size asked for, None keeping a dimension's own."""
    if n > 1 and x.ndim <= n:
        raise ValueError(f"Input dimension should be at least {n + 1}, got an input {list(x.shape)}")
    if x.ndim not in (n + 1, n + 2):
        raise RuntimeError(f"{name}: Expected {n + 1}D or {n + 2}D tensor, but got {list(x.shape)}")
    if any(k == 0 for k in x.shape[-n:]):
        raise RuntimeError(f"{name}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes {list(x.shape)}")
    wanted = (output_size,) * n if output_size is None or isinstance(output_size, int) else tuple(output_size)
    if len(wanted) != n:
        raise RuntimeError(f"{name}: internal error: output_size.size() must be {n}, got {wanted}")
    found = tuple(k if m is None else int(m) for m, k in zip(wanted, x.shape[-n:], strict=True))
    if min(found) < 0:
        raise RuntimeError(f"{name}: elements of output_size must be greater than or equal to 0 but received {found}")
    return found


def _adaptive_avg_pool(x: Tensor, output_size: Any, n: int) -> Tensor:
    """Equal windows where the sizes divide; else a matrix product an axis: each cell's mean is a row of weights."""
    wanted = _output_size(x, output_size, n, f"adaptive_avg_pool{n}d")
    if not x.is_floating_point():
        raise NotImplementedError(f"\"adaptive_avg_pool{n}d\" not implemented for '{x.dtype.legacy_name}'")
    if x.numel() and all(m and k % m == 0 for m, k in zip(wanted, x.shape[-n:], strict=True)):
        return _avg_pool(x, tuple(k // m for m, k in zip(wanted, x.shape[-n:], strict=True)), None, 0, False, True, None, n)
    for axis, m in enumerate(wanted):
        at = x.ndim - n + axis
        start, end = _cells(x.shape[at], m)
        k = np.arange(x.shape[at])[:, None]
        weights = ((k >= start) & (k < end)) / (end - start)
        x = (x.transpose(at, -1) @ x.new_tensor(weights)).transpose(at, -1)
    return x


def _adaptive_max_pool(x: Tensor, output_size: Any, return_indices: bool, n: int) -> Any:
    out = _output_size(x, output_size, n, f"adaptive_max_pool{n}d")
    lead, size = x.shape[: x.ndim - n], x.shape[x.ndim - n :]
    table = x.new_tensor(_cell_members(tuple(size), out), dtype=int64)
    flat = x.flatten(-n)
    best = flat.detach()[..., table].argmax(-1, keepdim=True)
    index = table.expand(*lead, *table.shape).gather(-1, best).squeeze(-1)
    y = flat.gather(-1, index).reshape(*lead, *out)
    return (y, index.reshape(y.shape)) if return_indices else y


@functools.lru_cache(64)
def _cell_members(size: tuple[int, ...], out: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """The flat indices of what lies in each cell, ``(cells, members)``; a cell with fewer names its last ones again."""
    table = np.zeros((1, 1), np.int64)
    for n, m in zip(size, out, strict=True):
        start, end = _cells(n, m)
        members = np.minimum(start[:, None] + np.arange((end - start).max(initial=1)), end[:, None] - 1)
        table = (table[:, None, :, None] * n + members[None, :, None, :]).reshape(len(table) * m, table.shape[1] * members.shape[1])
    return table


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """Means over a grid of ``output_size`` cells."""
    return _adaptive_avg_pool(input, output_size, 1)


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The greatest elements of a grid of ``output_size`` cells; with their flat indices if asked."""
    return _adaptive_max_pool(input, output_size, return_indices, 1)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Means over a grid of ``output_size`` cells."""
    return _adaptive_avg_pool(input, output_size, 2)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The greatest elements of a grid of ``output_size`` cells; with their flat indices if asked."""
    return _adaptive_max_pool(input, output_size, return_indices, 2)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Means over a grid of ``output_size`` cells."""
    return _adaptive_avg_pool(input, output_size, 3)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The greatest elements of a grid of ``output_size`` cells; with their flat indices if asked."""
    return _adaptive_max_pool(input, output_size, return_indices, 3)


# -- powers, and back


def _lp_pool(x: Tensor, norm_type: float, kernel_size: Ints, stride: Any, ceil_mode: bool, n: int) -> Tensor:
    k = math.prod(tuple_of(kernel_size, n, "kernel_size"))
    mean = _avg_pool(x**norm_type, kernel_size, stride, 0, ceil_mode, True, None, n)
    return (mean.sign() * mean.abs().relu() * k) ** (1.0 / norm_type)


def lp_pool1d(input: Tensor, norm_type: float, kernel_size: Ints, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """``(sum x^p)^(1/p)`` under each window of ``(N, C, L)``."""
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, 1)


def lp_pool2d(input: Tensor, norm_type: float, kernel_size: Ints, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """``(sum x^p)^(1/p)`` under each window of ``(N, C, H, W)``."""
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, 2)


def lp_pool3d(input: Tensor, norm_type: float, kernel_size: Ints, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """``(sum x^p)^(1/p)`` under each window of ``(N, C, D, H, W)``."""
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, 3)


def _max_unpool(x: Tensor, indices: Tensor, kernel_size: Ints, stride: Any, padding: Ints, output_size: Any, n: int) -> Tensor:
    kernel = tuple_of(kernel_size, n, "kernel_size")
    steps, pads = _strides(stride, kernel), tuple_of(padding, n, "padding")
    lead, size = x.shape[: x.ndim - n], x.shape[x.ndim - n :]
    if x.shape != indices.shape:
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor ({list(x.shape)}) but got indices tensor with shape: {list(indices.shape)}"
        )
    out = tuple((m - 1) * s - 2 * p + k for m, s, p, k in zip(size, steps, pads, kernel, strict=True))
    if output_size is not None:
        wanted = tuple(output_size)[-n:]
        for m, k, s in zip(wanted, out, steps, strict=True):
            if not k - s < m < k + s:
                raise ValueError(f"invalid output_size {list(wanted)}: each dimension must be within a stride of {list(out)}")
        out = wanted
    flat = x.new_zeros((*lead, math.prod(out))).scatter(-1, indices.flatten(-n), x.flatten(-n))
    return flat.reshape(*lead, *out)


def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Ints, stride: Any = None, padding: Ints = 0, output_size: Any = None
) -> Tensor:
    """Elements back at the places that ``max_pool1d`` took them from, zeros elsewhere."""
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 1)


def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Ints, stride: Any = None, padding: Ints = 0, output_size: Any = None
) -> Tensor:
    """Elements back at the places that ``max_pool2d`` took them from, zeros elsewhere."""
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 2)


def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Ints, stride: Any = None, padding: Ints = 0, output_size: Any = None
) -> Tensor:
    """Elements back at the places that ``max_pool3d`` took them from, zeros elsewhere."""
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 3)


__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d", "avg_pool1d",
    "avg_pool2d", "avg_pool3d", "lp_pool1d", "lp_pool2d", "lp_pool3d", "max_pool1d", "max_pool2d", "max_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d",
]  # fmt: skip
