"""Order statistics, histograms, covariances and distances."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import array_module
from engine.dispatch import unseen
from engine.dtypes import BOOL, FLOAT, int64
from engine.ops.dims import wrap_dim
from engine.ops.elementwise import cast, where
from engine.ops.linalg import matmul
from engine.ops.mathematics import lerp
from engine.ops.order import ValuesIndices, argsort, kthvalue, sort
from engine.ops.reduce import amax, any_, sum, vector_norm
from engine.ops.scatter import gather
from engine.ops.shape import diagonal, expand, flatten, reshape, transpose, unsqueeze

if TYPE_CHECKING:
    from engine.tensor import Tensor


def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median; with ``dim`` the pair (values, indices). NaN where there is one."""
    if dim is None:
        if input.numel() == 0:
            return input.new_full((), math.nan) if input.dtype.category == FLOAT else input.new_full((), np.iinfo(input.dtype.numpy).min)
        return median(flatten(input), 0).values
    _orderable(input, dim)
    n = input.shape[dim] if input.ndim else 1
    middle = kthvalue(input, (n + 1) // 2, dim, keepdim=True)
    if input.dtype.category == FLOAT and input.ndim:
        first = cast(input.isnan(), input.dtype).argmax(dim, keepdim=True)
        holds = any_(input.isnan(), dim, keepdim=True)
        index = where(holds, first, middle.indices)
        middle = ValuesIndices(gather(input, dim, index), index)
    return _kept(input, middle, dim, keepdim)


def _orderable(x: Tensor, dim: int) -> None:
    at = wrap_dim(dim, x.ndim)
    if x.dtype.category == BOOL:
        raise NotImplementedError("\"median_out\" not implemented for 'Bool'")
    if x.ndim and x.shape[at] == 0:
        raise IndexError(f"median(): Expected reduction dim {at} to have non-zero size.")


def _kept(x: Tensor, found: ValuesIndices, dim: int, keepdim: bool) -> ValuesIndices:
    return found if keepdim or not x.ndim else ValuesIndices(found.values.squeeze(dim), found.indices.squeeze(dim))


def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The median of what is not NaN."""
    if dim is None:
        return nanmedian(flatten(input), 0).values if input.numel() else median(input)
    _orderable(input, dim)
    if input.dtype.category != FLOAT or not input.ndim:
        return median(input, dim, keepdim)
    at = wrap_dim(dim, input.ndim)
    known = sum(~input.isnan(), at, keepdim=True)
    middle = ((known + 1).div(2, rounding_mode="floor") - 1).clamp(min=0)
    index = gather(argsort(input, at), at, middle)
    return _kept(input, ValuesIndices(gather(input, at, index), index), at, keepdim)


def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The most frequent element along ``dim``, the smallest of several, and the last place where it occurs."""
    at = wrap_dim(dim, input.ndim)
    if input.ndim == 0:
        return ValuesIndices(input.clone(), argsort(input))
    if input.shape[at] == 0:
        raise IndexError(f"mode(): Expected reduction dim {at} to have non-zero size.")
    ordered = sort(input.detach(), at).values
    one, other = unsqueeze(ordered, at), unsqueeze(ordered, at + 1)
    same = (one == other) | ((one != one) & (other != other))  # (.., i, j, ..), NaN like NaN
    times = sum(same, at)
    first = times.argmax(at, keepdim=True)
    value = gather(ordered, at, first)
    positions = reshape(input.new_tensor(np.arange(input.shape[at]), dtype=int64), [-1 if i == at else 1 for i in range(input.ndim)])
    index = amax(
        where((input.detach() == value) | ((input.detach() != input.detach()) & (value != value)), positions, -1), at, keepdim=True
    )
    return _kept(input, ValuesIndices(gather(input, at, index), index), at, keepdim)


_BETWEEN = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(x: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, ignore_nan: bool) -> Tensor:
    if x.dtype.name not in ("float32", "float64"):
        raise RuntimeError(f"quantile() input tensor must be either float or double dtype, got {x.dtype.name}")
    if interpolation not in _BETWEEN:
        raise RuntimeError(f"quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {interpolation}")
    if x.numel() == 0:
        raise RuntimeError("quantile() input tensor must be non-empty")
    at_q: Tensor = q if hasattr(q, "_data") else x.new_tensor(float(q))
    if at_q.dtype is not x.dtype:
        raise RuntimeError("quantile() q tensor must be same dtype as the input tensor")
    if at_q.ndim > 1:
        raise RuntimeError(f"quantile() q must be a scalar or 1D tensor, got {at_q.ndim}D")
    if not bool(((at_q >= 0) & (at_q <= 1)).all()):
        raise RuntimeError("quantile() q values must be in the range [0, 1]")
    whole = dim is None
    ndim = x.ndim
    x = flatten(x) if dim is None else x if ndim else reshape(x, 1)
    at = 0 if dim is None else wrap_dim(dim, max(ndim, 1))
    ordered = transpose(sort(x, at).values, at, -1)  # NaN comes last
    known = sum(~ordered.isnan(), -1, keepdim=True)
    top = (known - 1).clamp(min=0) if ignore_nan else ordered.new_full(known.shape, ordered.shape[-1] - 1)
    rank = cast(top, x.dtype) * reshape(at_q, -1)
    low, high = rank.floor(), rank.ceil()
    if interpolation == "nearest":
        low = high = rank.round()
    low, high = (high, high) if interpolation == "higher" else (low, low) if interpolation == "lower" else (low, high)
    below, above = (gather(ordered, -1, r.long()) for r in (low, high))
    weight = rank - low if interpolation == "linear" else rank * 0 + 0.5
    y = below if interpolation in ("lower", "higher", "nearest") else lerp(below, above, weight)
    if not ignore_nan:
        y = where(expand(known < ordered.shape[-1], y.shape), math.nan, y)
    y = y.movedim(-1, 0)  # the quantiles come first, the folded dimension is gone
    if whole:
        y = reshape(y, (y.shape[0], *(1,) * ndim)) if keepdim else reshape(y, (y.shape[0],))
    else:
        y = y.movedim(at + 1, -1) if at < x.ndim - 1 else y  # the old last dimension stands where the folded one was
        y = unsqueeze(y, at + 1) if keepdim and ndim else y
    return y[0] if at_q.ndim == 0 else y


def quantile(input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear") -> Tensor:
    """The ``q``-th quantiles (one number, or a vector of them, which becomes the first dimension); NaN where there is one."""
    return _quantile(input, q, dim, keepdim, interpolation, False)


def nanquantile(input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear") -> Tensor:
    """The quantiles of what is not NaN."""
    return _quantile(input, q, dim, keepdim, interpolation, True)


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements fall into each of equal bins between ``min`` and ``max`` (those of the data, if both are equal)."""
    if bins <= 0:
        raise RuntimeError("bins must be > 0")
    if min > max:
        raise RuntimeError("max must be larger than min")
    if input.dtype.category != FLOAT:
        raise RuntimeError(f"\"histogram_cpu\" not implemented for '{input.dtype.legacy_name}'")
    unseen("a histogram (histc)")
    xp, values = array_module(input._data), input._data.reshape(-1)
    if min == max and values.size:
        min, max = values.min().item(), values.max().item()
    if min == max:
        min, max = min - 1, max + 1
    if not (math.isfinite(min) and math.isfinite(max)):
        raise RuntimeError(f"range of [{min}, {max}] is not finite")
    return input._wrap(xp.histogram(values, bins, (min, max))[0].astype(input.dtype.numpy))


# -- second moments


def cov(input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None) -> Tensor:
    """The covariances of variables in rows over observations in columns, each observation weighted."""
    if input.ndim > 2:
        raise RuntimeError(f"cov(): expected input to have two or fewer dimensions but got an input with {input.ndim} dimensions")
    if input.dtype.name == "bool":
        raise RuntimeError("cov(): bool dtype is not supported for input")
    rows = input if input.ndim == 2 else reshape(input, (1, -1))
    n = rows.shape[1]
    weights: Tensor | None = None
    for name, w, integral in (("fweights", fweights, True), ("aweights", aweights, False)):
        if w is None:
            continue
        if w.ndim > 1:
            raise RuntimeError(f"cov(): expected {name} to have one or fewer dimensions but got {name} with {w.ndim} dimensions")
        if (w.dtype.category == FLOAT) == integral or w.dtype.name == "bool":
            raise RuntimeError(
                f"cov(): expected {name} to have {'integral' if integral else 'floating point'} dtype but got {name} with {w.dtype.legacy_name} dtype"
            )
        if w.numel() != n:
            raise RuntimeError(
                f"cov(): expected {name} to have the same numel as there are observations in the input but got {w.numel()} != {n}"
            )
        if bool((w < 0).any()):
            raise RuntimeError(f"cov(): {name} cannot be negative")
        weights = w if weights is None else weights * w
    rows = rows if rows.dtype.category == FLOAT else rows * 1.0
    if weights is None:
        total: Any = n
        centred = rows - rows.mean(1, keepdim=True)
        weighted = centred
        divisor: Any = max(n - correction, 0)
    else:
        total = weights.sum()
        centred = rows - (rows * weights).sum(1, keepdim=True) / total
        weighted = centred * weights
        norm = total - correction if aweights is None else total - correction * (weights * aweights).sum() / total
        divisor = norm.clamp(min=0)
    y = matmul(centred, transpose(weighted, 0, 1)) / divisor
    return reshape(y, ()) if y.numel() == 1 else y


def corrcoef(input: Tensor) -> Tensor:
    """Pearson's correlations of variables in rows."""
    if input.ndim > 2:
        raise RuntimeError(f"corrcoef(): expected input to have two or fewer dimensions but got an input with {input.ndim} dimensions")
    c = cov(input)
    if c.ndim == 0:
        return c / c
    spread = diagonal(c).sqrt()
    return (c / unsqueeze(spread, 1) / unsqueeze(spread, 0)).clamp(-1, 1)


# -- distances


def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The ``p``-norm of the difference."""
    return vector_norm(input - other, p)


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary") -> Tensor:
    """Distances between all rows of two batches, ``(*, n, d) (*, m, d)`` to ``(*, n, m)``."""
    for name, x in (("X1", x1), ("X2", x2)):
        if x.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {name} got: {x.ndim}D")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}")
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    return vector_norm(unsqueeze(x1, -2) - unsqueeze(x2, -3), p, -1)


def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Slices along ``dim`` whose ``p``-norm exceeds ``maxnorm`` scaled down to it."""
    if input.ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions")
    if p <= 0 or maxnorm < 0:
        raise RuntimeError(f"renorm: expected p > 0 and maxnorm >= 0, got p={p} and maxnorm={maxnorm}")
    at = wrap_dim(dim, input.ndim)
    length = vector_norm(input, p, [i for i in range(input.ndim) if i != at], keepdim=True)
    return input * where(length > maxnorm, maxnorm / (length + 1e-7), 1.0)


__all__ = [
    "cdist", "corrcoef", "cov", "dist", "histc", "median", "mode", "nanmedian", "nanquantile", "quantile", "renorm",
]  # fmt: skip
