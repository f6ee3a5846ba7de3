"""Running sums, products and extremes along a dimension, and what is made of neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import Array, array_module
from engine.dispatch import Op
from engine.dtypes import BOOL, FLOAT, dtype, int64
from engine.graph import apply
from engine.ops.dims import along, wrap_dim
from engine.ops.elementwise import cast, where
from engine.ops.index import getitem
from engine.ops.join import cat
from engine.ops.order import ValuesIndices, flip
from engine.ops.reduce import amax, sum
from engine.ops.scatter import gather
from engine.ops.shape import narrow, reshape
from engine.ops.unary import exp, log

if TYPE_CHECKING:
    from engine.tensor import Tensor

_cumsum: Op = Op(
    "cumsum",
    ["x"],
    infer=lambda x, dim: (x.shape, x.dtype),
    kernel=lambda out, x, dim: array_module(out).cumsum(x, axis=dim, out=out),
    adds_up=True,
    vjps={"x": lambda g, dim: flip(apply(_cumsum, flip(g, dim), dim=dim), dim)},
)
_cumprod: Op = Op(
    "cumprod",
    ["x"],
    infer=lambda x, dim: (x.shape, x.dtype),
    kernel=lambda out, x, dim: array_module(out).cumprod(x, axis=dim, out=out),
    adds_up=True,
    vjps={"x": lambda g, x, y, dim: _cumprod_vjp(g, x, y, dim)},
)


def _cumprod_vjp(g: Tensor, x: Tensor, y: Tensor, dim: int) -> Tensor:
    """``sum_j>=i g_j prod_k<=j,k!=i x_k``: by division where nothing is zero, else term by term."""
    if not bool((x == 0).any()):
        return flip(apply(_cumsum, flip(g * y, dim), dim=dim), dim) / x
    parts = []
    for i in range(x.shape[dim]):
        ones = x.new_ones((*x.shape[:dim], 1, *x.shape[dim + 1 :]))
        before, after = narrow(x, dim, 0, i), narrow(x, dim, i + 1, x.shape[dim] - i - 1)
        others = apply(_cumprod, cat([before, ones, after], dim), dim=dim)
        rest = x.shape[dim] - i
        parts.append(sum(narrow(g, dim, i, rest) * narrow(others, dim, i, rest), dim, keepdim=True))
    return cat(parts, dim)


def _whole_type(x: Tensor, d: dtype | None) -> Tensor:
    return cast(x, d) if d is not None else x if x.dtype.category == FLOAT else cast(x, int64)


def cumsum(input: Tensor, dim: int, *, dtype: dtype | None = None) -> Tensor:
    """The running sum along ``dim``."""
    input, at = _whole_type(input, dtype), wrap_dim(dim, input.ndim)
    return apply(_cumsum, input, dim=at) if input.ndim else input.clone()


def cumprod(input: Tensor, dim: int, *, dtype: dtype | None = None) -> Tensor:
    """The running product along ``dim``."""
    input, at = _whole_type(input, dtype), wrap_dim(dim, input.ndim)
    return apply(_cumprod, input, dim=at) if input.ndim else input.clone()


def _leader_kernel(out: Array, x: Array, dim: int, greatest: bool) -> None:
    """The index of the last element that no earlier one exceeds; a NaN stays the leader.

    By doubling: after the step of width ``w``, each place knows the leader of the ``2 w`` elements that end there (Hillis and Steele, 1986).
    """
    xp = array_module(out)
    n = x.shape[dim]
    out[...] = xp.arange(n).reshape([-1 if i == dim else 1 for i in range(x.ndim)])
    width = 1
    while width < n:
        mine, theirs = out[along(dim, slice(width, None))], out[along(dim, slice(0, n - width))]
        a, b = xp.take_along_axis(x, mine, dim), xp.take_along_axis(x, theirs, dim)
        ahead = (a >= b) if greatest else (a <= b)
        mine[...] = xp.where((a != a) | (ahead & (b == b)), mine, theirs.copy())
        width *= 2


_leader = Op("leader", ["x"], infer=lambda x, dim, greatest: (x.shape, np.int64), kernel=_leader_kernel)


def _running(x: Tensor, dim: int, greatest: bool) -> ValuesIndices:
    at = wrap_dim(dim, x.ndim)
    if x.ndim == 0:
        return ValuesIndices(x.clone(), x.new_zeros((), dtype=int64))
    index: Tensor = apply(_leader, x.detach(), dim=at, greatest=greatest)
    return ValuesIndices(gather(x, at, index), index)


def cummax(input: Tensor, dim: int) -> ValuesIndices:
    """The running maximum along ``dim`` and where it was attained last."""
    return _running(input, dim, True)


def cummin(input: Tensor, dim: int) -> ValuesIndices:
    """The running minimum along ``dim`` and where it was attained last."""
    return _running(input, dim, False)


def logcumsumexp(input: Tensor, dim: int) -> Tensor:
    """``log(cumsum(exp(x)))`` without overflow."""
    at = wrap_dim(dim, input.ndim)
    if input.ndim == 0 or input.numel() == 0:
        return input.clone()
    top = amax(input.detach(), at, keepdim=True)
    top = where(top.isfinite(), top, 0)
    return log(cumsum(exp(input - top), at)) + top


# -- neighbours


def diff(input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None) -> Tensor:
    """The ``n``-th differences of neighbours along ``dim``."""
    if input.ndim == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    at = wrap_dim(dim, input.ndim)
    parts = [p for p in (prepend, input, append) if p is not None]
    for p in parts:
        if p.ndim not in (input.ndim,):
            raise RuntimeError("diff expects prepend or append to be the same dimension as input")
        if any(a != b for i, (a, b) in enumerate(zip(p.shape, input.shape, strict=True)) if i != at):
            raise RuntimeError(
                f"diff expects the shape of tensor to prepend or append to match that of input except along the differencing dimension; got {list(p.shape)} and {list(input.shape)}"
            )
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    if n == 0:
        return input.clone()
    input = cat(parts, at) if len(parts) > 1 else input
    for _ in range(min(n, input.shape[at])):
        ahead, behind = getitem(input, along(at, slice(1, None))), getitem(input, along(at, slice(0, max(input.shape[at] - 1, 0))))
        input = ahead ^ behind if input.dtype.category == BOOL else ahead - behind
    return input


def _spacing(y: Tensor, x: Any, dx: Any, dim: int) -> tuple[Any, int]:
    at = wrap_dim(dim, y.ndim)
    if x is None:
        return (1 if dx is None else dx), at
    if x.ndim == 1 and y.ndim > 1:
        x = reshape(x, [-1 if i == at else 1 for i in range(y.ndim)])
    elif x.ndim < y.ndim:
        x = reshape(x, (*(1,) * (y.ndim - x.ndim), *x.shape))
    if x.ndim and x.shape[wrap_dim(dim, x.ndim)] not in (y.shape[at], 1):
        raise RuntimeError(
            f"trapezoid: x and y must have the same number of points along dimension {dim}: got {list(x.shape)} and {list(y.shape)}"
        )
    return diff(x, dim=dim), at


def _areas(y: Tensor, x: Any, dx: Any, dim: int) -> tuple[Tensor, int]:
    if y.dtype.category == BOOL:
        raise RuntimeError("trapezoid: received a bool input for `x` or `y`, but bool is not supported")
    widths, at = _spacing(y, x, dx, dim)
    n = y.shape[at]
    left, right = getitem(y, along(at, slice(0, max(n - 1, 0)))), getitem(y, along(at, slice(1, None)))
    return (left + right) * widths / 2.0, at


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1) -> Tensor:
    """The integral along ``dim`` by the trapezoidal rule, over the points ``x`` or steps of ``dx``."""
    areas, at = _areas(y, x, dx, dim)
    return sum(areas, at - y.ndim)


trapz = trapezoid


def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1) -> Tensor:
    """The running integral by the trapezoidal rule."""
    areas, at = _areas(y, x, dx, dim)
    return cumsum(areas, at - y.ndim)


__all__ = ["cummax", "cummin", "cumprod", "cumsum", "cumulative_trapezoid", "diff", "logcumsumexp", "trapezoid", "trapz"]
