"""Ops that order and mirror elements: sorting, flips and rolls, triangles, distinct values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine.backend import Array, array_module
from engine.dispatch import Op, unseen
from engine.dtypes import INTEGER, int64
from engine.graph import apply
from engine.ops.dims import along, sizes, wrap_dim, wrap_dims
from engine.ops.index import getitem, spread
from engine.ops.join import cat
from engine.ops.scatter import gather
from engine.ops.shape import diagonal, flatten, movedim, narrow, reshape, transpose

if TYPE_CHECKING:
    from engine.tensor import Tensor


class ValuesIndices(NamedTuple):
    """What ``max(x, dim)``, ``sort`` and their like return."""

    values: Tensor
    indices: Tensor


# -- mirrors and triangles

_flip: Op = Op(
    "flip",
    ["x"],
    infer=lambda x, dims: (x.shape, x.dtype),
    kernel=lambda out, x, dims: out.__setitem__(..., array_module(out).flip(x, dims)),
    vjps={"x": lambda g, dims: flip(g, dims)},
)


def flip(input: Tensor, *given: Any, dims: Sequence[int] | None = None) -> Tensor:
    """The elements in reverse along each of ``dims``."""
    dims = sizes(given) if dims is None else dims
    return apply(_flip, input, dims=wrap_dims(dims, input.ndim)) if input.ndim else apply(_flip, input, dims=())


def fliplr(input: Tensor) -> Tensor:
    if input.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


def flipud(input: Tensor) -> Tensor:
    if input.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Turned by 90 degrees ``k`` times in the plane of two dimensions, from the first towards the second."""
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if input.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {input.ndim}")
    for d in dims:
        wrap_dim(d, input.ndim)
    a, b = (wrap_dim(d, input.ndim) for d in dims)
    if a == b:
        raise RuntimeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}")
    turns = k % 4
    if turns == 1:
        return transpose(flip(input, b), a, b)
    return flip(input, (a, b)) if turns == 2 else flip(transpose(input, a, b), b) if turns == 3 else input.clone()


def roll(input: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
    """Elements moved along dimensions, those pushed out coming in again; without ``dims``, along the flattened tensor."""
    steps = [shifts] if isinstance(shifts, int) else list(shifts)
    over = [] if dims is None else [dims] if isinstance(dims, int) else list(dims)
    if not steps:
        raise RuntimeError("`shifts` required")
    if not over and len(steps) == 1:
        return reshape(roll(flatten(input), steps[0], 0), input.shape)
    if len(steps) != len(over):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(steps)}, dims:{len(over)}")
    for step, dim in zip(steps, over, strict=True):
        if input.numel() == 0:
            return input.clone()
        at = wrap_dim(dim, input.ndim)
        cut = input.shape[at] - step % input.shape[at]
        input = cat([getitem(input, along(at, slice(cut, None))), getitem(input, along(at, slice(0, cut)))], at)
    return input


def _triangle(name: str) -> Op:
    return Op(
        name,
        ["x"],
        infer=lambda x, diagonal: (x.shape, x.dtype),
        kernel=lambda out, x, diagonal: out.__setitem__(..., getattr(array_module(out), name)(x, diagonal)),
        vjps={"x": lambda g, diagonal: apply(_triangles[name], g, diagonal=diagonal)},
    )


_triangles = {name: _triangle(name) for name in ("tril", "triu")}


def _matrix(x: Tensor, name: str) -> None:
    if x.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangles of matrices ``(..., n, m)``, zeros above ``diagonal``."""
    _matrix(input, "tril")
    return apply(_triangles["tril"], input, diagonal=diagonal)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangles of matrices ``(..., n, m)``, zeros below ``diagonal``."""
    _matrix(input, "triu")
    return apply(_triangles["triu"], input, diagonal=diagonal)


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The last dimension on a diagonal of two new ones, zeros elsewhere."""
    n = input.ndim + 1
    a, b = wrap_dim(dim1, n), wrap_dim(dim2, n)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    k = np.arange(input.shape[-1])
    size = input.shape[-1] + abs(offset)
    rows, columns = k + max(-offset, 0), k + max(offset, 0)
    placed = spread(input, (Ellipsis, rows, columns), (*input.shape[:-1], size, size))
    return movedim(placed, (-2, -1), (a, b))


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """A vector as a matrix with it on a diagonal, or a matrix's diagonal as a vector."""
    if input.ndim not in (1, 2):
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    return input.diagonal(diagonal).clone() if input.ndim == 2 else diag_embed(input, diagonal)


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    return diag_embed(flatten(input), offset)


def trace(input: Tensor) -> Tensor:
    """The sum of a matrix's diagonal."""
    if input.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, got a tensor of {input.ndim} dimensions")
    return diagonal(input).sum()


# -- sorting

_argsort = Op(
    "argsort",
    ["x"],
    infer=lambda x, dim, descending: (x.shape, np.int64),
    kernel=lambda out, x, dim, descending: _argsort_kernel(out, x, dim, descending),
)


def _argsort_kernel(out: Array, x: Array, dim: int, descending: bool) -> None:
    """Stable in both directions: a descending order is an ascending one of the mirrored elements, mirrored."""
    xp = array_module(out)
    if not descending:
        out[...] = xp.argsort(x, axis=dim, kind="stable")
        return
    out[...] = x.shape[dim] - 1 - xp.flip(xp.argsort(xp.flip(x, dim), axis=dim, kind="stable"), dim)


def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that sort ``input`` along ``dim``; equal elements keep their order."""
    at = wrap_dim(dim, input.ndim)
    return apply(_argsort, input.detach(), dim=at, descending=descending) if input.ndim else input.new_zeros((), dtype=int64)


def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> ValuesIndices:
    """(values, indices) in order along ``dim``."""
    index = argsort(input, dim, descending)
    return ValuesIndices(gather(input, dim, index), index)


def msort(input: Tensor) -> Tensor:
    return sort(input, 0).values


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesIndices:
    """The ``k`` greatest (or smallest) along ``dim``, in order, with their indices."""
    at = wrap_dim(dim, input.ndim)
    if not 0 <= k <= (input.shape[at] if input.ndim else 1):
        raise RuntimeError(f"selected index k out of range: k={k} of {input.shape[at] if input.ndim else 1} element(s)")
    index = argsort(input, dim, descending=largest)
    index = narrow(index, at, 0, k) if input.ndim else index
    return ValuesIndices(gather(input, at, index), index)


def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The ``k``-th smallest along ``dim``, counted from 1, with its index."""
    at = wrap_dim(dim, input.ndim)
    n = input.shape[at] if input.ndim else 1
    if input.ndim and n == 0:
        raise IndexError(f"kthvalue(): Expected reduction dim {at} to have non-zero size.")
    if not 1 <= k <= n:
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {dim}: k={k} of {n} element(s)")
    if input.ndim == 0:
        return ValuesIndices(input.clone(), argsort(input))
    index = narrow(argsort(input, at), at, k - 1, 1)
    values = gather(input, at, index)
    return ValuesIndices(values, index) if keepdim else ValuesIndices(values.squeeze(at), index.squeeze(at))


# -- distinct values and places in an order


def unique(x: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None) -> Any:
    """The distinct elements (or slices of ``dim``) in order; on request where each element went and how often each occurs."""
    array = x._data
    unseen("distinct elements (unique), whose number depends on them")
    found, inverse, counts = array_module(array).unique(array, return_inverse=True, return_counts=True, axis=dim, equal_nan=False)
    return _with_extras(x, found, inverse.reshape(array.shape if dim is None else -1), counts, return_inverse, return_counts)


def unique_consecutive(x: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None) -> Any:
    """``unique`` of neighbours only: equal elements in a row become one."""
    array = x._data
    unseen("distinct elements (unique_consecutive), whose number depends on them")
    xp = array_module(array)
    rows = array.reshape(-1) if dim is None else xp.moveaxis(array, dim, 0)
    n = rows.shape[0]
    first = xp.ones(n, bool)
    if n > 1:
        first[1:] = (rows[1:] != rows[:-1]).reshape(n - 1, -1).any(1)
    starts = xp.flatnonzero(first)
    inverse = xp.cumsum(first) - 1
    counts = xp.diff(xp.append(starts, xp.asarray(n)))
    found = rows[starts] if dim is None else xp.moveaxis(rows[starts], 0, dim)
    return _with_extras(x, found, inverse.reshape(array.shape) if dim is None else inverse, counts, return_inverse, return_counts)


def _with_extras(x: Tensor, found: Any, inverse: Any, counts: Any, return_inverse: bool, return_counts: bool) -> Any:
    parts = [array_module(found).ascontiguousarray(found)]
    parts += [inverse.astype(np.int64)] if return_inverse else []
    parts += [counts.astype(np.int64)] if return_counts else []
    results = tuple(x._wrap(p) for p in parts)
    return results if len(results) > 1 else results[0]


def searchsorted(
    sorted_sequence: Tensor,
    values: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where each value would go in its sorted row; before equal elements, after them with ``right``."""
    if side is not None and side not in ("left", "right"):
        raise RuntimeError(f"side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise RuntimeError("side and right can't be set to opposites, got side of left while right was True")
    where: Any = "right" if right or side == "right" else "left"
    if sorter is not None:
        sorted_sequence = gather(sorted_sequence, -1, sorter)
    rows = sorted_sequence._data
    xp = array_module(rows)
    wanted = values._data if hasattr(values, "_data") else xp.asarray(values)
    unseen("places in an order (searchsorted)")
    if rows.ndim > 1 and rows.shape[:-1] != wanted.shape[:-1]:
        raise RuntimeError(
            f"boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and input value tensor must match, but we got boundaries tensor {list(rows.shape)} and input value tensor {list(wanted.shape)}"
        )
    if rows.ndim <= 1:
        found = xp.searchsorted(rows.reshape(-1), wanted, where)
    else:
        found = xp.zeros(wanted.shape, np.int64)
        for at in np.ndindex(rows.shape[:-1]):
            found[at] = xp.searchsorted(rows[at], wanted[at], where)
    return sorted_sequence._wrap(xp.asarray(found, np.int32 if out_int32 else np.int64))


def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The bucket, between boundaries in order, that each element falls into."""
    if boundaries.ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each integer from 0 on occurs, or the sum of its weights."""
    if input.dtype.category != INTEGER or input.ndim != 1 or bool((input < 0).any()):
        raise RuntimeError(f"bincount only supports 1-d non-negative integral inputs, got {input.dtype.name} of {input.ndim} dimension(s)")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    xp = array_module(input._data)
    if weights is None:
        return input._wrap(xp.bincount(input._data, minlength=minlength).astype(np.int64))
    w = weights._data
    return input._wrap(xp.bincount(input._data, w, minlength=minlength).astype(w.dtype if w.dtype.name == "float32" else np.float64))


__all__ = [
    "argsort", "bincount", "bucketize", "diag", "diag_embed", "diagflat", "flip", "fliplr", "flipud", "kthvalue", "msort", "roll", "rot90", "searchsorted",
    "sort", "topk", "trace", "tril", "triu", "unique", "unique_consecutive",
]  # fmt: skip
