"""Pooling over any number of spatial dimensions; window positions are looped over, never pixels."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import Array, array_module
from engine.dispatch import Op, count
from engine.graph import apply

if TYPE_CHECKING:
    from engine.tensor import Tensor

Ints = tuple[int, ...]


def pooled_size(n: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """PyTorch's formula: with ``ceil_mode`` a window that starts inside the input or its left padding counts too."""
    span = n + 2 * padding - dilation * (kernel - 1) - 1
    out = (-(-span // stride) if ceil_mode else span // stride) + 1
    if ceil_mode and (out - 1) * stride >= n + padding:
        out -= 1
    return out


def _padded(x: Array, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, out: Ints, value: Any) -> Array:
    """``x`` with a border of ``value``, wide enough on the right for the last window."""
    xp = array_module(x)
    need = [(m - 1) * s + d * (k - 1) + 1 for m, s, d, k in zip(out, stride, dilation, kernel, strict=True)]
    full = xp.full((*x.shape[:2], *(max(a, p + n) for a, p, n in zip(need, padding, x.shape[2:], strict=True))), value, x.dtype)
    full[(slice(None), slice(None), *(slice(p, p + n) for p, n in zip(padding, x.shape[2:], strict=True)))] = x
    return full


def _windows(kernel: Ints, stride: Ints, dilation: Ints, out: Ints) -> Iterator[tuple[Ints, tuple[slice, ...]]]:
    """Each position in the window, and the slices that pick the elements under it for all outputs."""
    for at in itertools.product(*map(range, kernel)):
        yield at, tuple(slice(a * d, a * d + s * (m - 1) + 1, s) for a, d, s, m in zip(at, dilation, stride, out, strict=True))


def _lowest(dtype: Any) -> Any:
    return -np.inf if np.dtype(dtype).kind not in "iu" else np.iinfo(dtype).min


def _max_kernel(outs: list[Array], x: Array, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool) -> None:
    y, index = outs
    xp = array_module(y)
    size = y.shape[2:]
    full = _padded(x, kernel, stride, padding, dilation, size, _lowest(x.dtype))
    starts = xp.zeros(size, np.int64)  # flat index, in the unpadded input, of each window's first element
    for axis, (m, s, p) in enumerate(zip(size, stride, padding, strict=True)):
        along = (xp.arange(m) * s - p) * count(x.shape[3 + axis :])
        starts += along.reshape((-1,) + (1,) * (len(size) - 1 - axis))
    first = True
    for at, window in _windows(kernel, stride, dilation, size):
        candidate = full[(slice(None), slice(None), *window)]
        offset = sum(a * d * count(x.shape[3 + i :]) for i, (a, d) in enumerate(zip(at, dilation, strict=True)))
        if first:
            y[...], index[...], first = candidate, starts + offset, False
            continue
        better = (candidate > y) | xp.isnan(candidate)
        xp.copyto(y, candidate, where=better)
        xp.copyto(index, xp.broadcast_to(starts + offset, y.shape), where=better)


def _planes(x: Array) -> Array:
    return x.reshape(*x.shape[:2], count(x.shape[2:]))


def _unpool_kernel(out: Array, g: Array, index: Array, size: Ints) -> None:
    """Adds each element to the place it was taken from. Windows that overlap may hit a place more than once."""
    xp = array_module(out)
    planes = out.shape[0] * out.shape[1]
    flat = index.reshape(planes, count(index.shape[2:])) + (xp.arange(planes) * count(size)).reshape(-1, 1)
    out[...] = xp.bincount(flat.reshape(-1), weights=g.reshape(-1), minlength=out.size).reshape(out.shape)


_max_pool: Op = Op(
    "max_pool",
    ["x"],
    infer=lambda x, kernel, stride, padding, dilation, ceil_mode: [
        ((*x.shape[:2], *map(pooled_size, x.shape[2:], kernel, stride, padding, dilation, (ceil_mode,) * len(kernel))), d)
        for d in (x.dtype, np.int64)
    ],
    kernel=_max_kernel,
    vjps={"x": lambda g, y1, x_shape: apply(_unpool, g, y1, size=x_shape[2:])},
    flops=lambda outs, ins, attrs: outs[0].size * count(attrs["kernel"]),
)
_take: Op = Op(
    "pool_take",
    ["x", "index"],
    infer=lambda x, index: (index.shape, x.dtype),
    kernel=lambda out, x, index: out.__setitem__(..., array_module(x).take_along_axis(_planes(x), _planes(index), 2).reshape(out.shape)),
    vjps={"x": lambda g, index, x_shape: apply(_unpool, g, index, size=x_shape[2:])},
)
_unpool: Op = Op(
    "unpool",
    ["g", "index"],
    infer=lambda g, index, size: ((*g.shape[:2], *size), g.dtype),
    kernel=_unpool_kernel,
    vjps={"g": lambda v, index: apply(_take, v, index)},
)
_avg_pool: Op = Op(
    "avg_pool",
    ["x"],
    infer=lambda x, kernel, stride, padding, scale: ((*x.shape[:2], *scale.shape), x.dtype),
    kernel=lambda out, x, **attrs: _avg_kernel(out, x, **attrs),
    adds_up=True,
    vjps={
        "x": lambda g, x_shape, kernel, stride, padding, scale: apply(
            _avg_data, g, kernel=kernel, stride=stride, padding=padding, scale=scale, size=x_shape[2:]
        )
    },
    flops=lambda outs, ins, attrs: outs[0].size * count(attrs["kernel"]),
)
_avg_data: Op = Op(
    "avg_pool_data",
    ["g"],
    infer=lambda g, kernel, stride, padding, scale, size: ((*g.shape[:2], *size), g.dtype),
    kernel=lambda out, g, **attrs: _avg_data_kernel(out, g, **attrs),
    adds_up=True,
    vjps={"g": lambda v, kernel, stride, padding, scale: apply(_avg_pool, v, kernel=kernel, stride=stride, padding=padding, scale=scale)},
)


def _avg_kernel(out: Array, x: Array, kernel: Ints, stride: Ints, padding: Ints, scale: np.ndarray[Any, Any]) -> None:
    ones = (1,) * len(kernel)
    full = _padded(x, kernel, stride, padding, ones, out.shape[2:], 0)
    out.fill(0)
    for _, window in _windows(kernel, stride, ones, out.shape[2:]):
        out += full[(slice(None), slice(None), *window)]
    xp = array_module(out)
    if out.dtype.kind in "iu":  # integers divide towards zero
        out[...] = xp.trunc(out / xp.rint(1 / xp.asarray(scale)))
    else:
        out *= xp.asarray(scale, out.dtype)


def _avg_data_kernel(out: Array, g: Array, kernel: Ints, stride: Ints, padding: Ints, scale: np.ndarray[Any, Any], size: Ints) -> None:
    xp = array_module(out)
    ones = (1,) * len(kernel)
    full = _padded(xp.zeros(out.shape, out.dtype), kernel, stride, padding, ones, g.shape[2:], 0)
    scaled = g * xp.asarray(scale, g.dtype)
    for _, window in _windows(kernel, stride, ones, g.shape[2:]):
        full[(slice(None), slice(None), *window)] += scaled
    out[...] = full[(slice(None), slice(None), *(slice(p, p + n) for p, n in zip(padding, size, strict=True)))]


def max_pool(x: Tensor, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool) -> tuple[Tensor, Tensor]:
    """The greatest element under each window of ``(N, C, *size)``, and its flat index in the plane."""
    y, index = apply(_max_pool, x, kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil_mode=ceil_mode)
    return y, index


def avg_pool(x: Tensor, kernel: Ints, stride: Ints, padding: Ints, scale: np.ndarray[Any, Any]) -> Tensor:
    """Window sums of ``(N, C, *size)``, each multiplied by ``scale (*out)``, one over the number of elements that count."""
    return apply(_avg_pool, x, kernel=kernel, stride=stride, padding=padding, scale=scale)
