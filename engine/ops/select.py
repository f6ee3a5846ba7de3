"""Ops that pick, order and mirror elements: triangles, diagonals, rolls, sorting, sampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import Array, array_module
from engine.dispatch import Op
from engine.dtypes import float64, int64
from engine.graph import apply
from engine.ops.elementwise import cast
from engine.ops.random import Generator, uniform_like
from engine.ops.reduce import ValuesIndices, cumsum
from engine.ops.shape import _index_put, cat, flip, gather, getitem, reshape, wrap_dim

if TYPE_CHECKING:
    from engine.tensor import Tensor


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


def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangles of matrices ``(..., n, m)``, zeros above ``diagonal``."""
    _matrix(x, "tril")
    return apply(_triangles["tril"], x, diagonal=diagonal)


def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangles of matrices ``(..., n, m)``, zeros below ``diagonal``."""
    _matrix(x, "triu")
    return apply(_triangles["triu"], x, diagonal=diagonal)


def diag(x: Tensor, diagonal: int = 0) -> Tensor:
    """A vector as a matrix with it on a diagonal, or a matrix's diagonal as a vector."""
    if x.ndim not in (1, 2):
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {x.ndim}D")
    if x.ndim == 2:
        n = max(0, min(x.shape[0] + min(diagonal, 0), x.shape[1] - max(diagonal, 0)))
        rows = np.arange(n)
        return getitem(x, (rows + max(-diagonal, 0), rows + max(diagonal, 0)))
    rows = np.arange(x.shape[0])
    size = x.shape[0] + abs(diagonal)
    return apply(_index_put, x, index=(rows + max(-diagonal, 0), rows + max(diagonal, 0)), shape=(size, size))


def roll(x: Tensor, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> Tensor:
    """Elements moved along dimensions, those pushed out coming in again; without ``dims``, along the flattened tensor."""
    if dims is None:
        if not isinstance(shifts, int):
            raise RuntimeError("shifts and dimensions must align")
        return reshape(roll(reshape(x, -1), shifts, 0), x.shape)
    steps, along = ([shifts] if isinstance(shifts, int) else shifts), ([dims] if isinstance(dims, int) else dims)
    if len(steps) != len(along):
        raise RuntimeError(f"shifts and dimensions must align. shifts: {len(steps)}, dims:{len(along)}")
    for step, dim in zip(steps, along, strict=True):
        at = wrap_dim(dim, x.ndim)
        cut = x.shape[at] - step % max(1, x.shape[at])
        lead = (slice(None),) * at
        x = cat([getitem(x, (*lead, slice(cut, None))), getitem(x, (*lead, slice(0, cut)))], at)
    return x


def narrow(x: Tensor, dim: int, start: int, length: int) -> Tensor:
    """A view of ``length`` elements along ``dim`` from ``start``."""
    at = wrap_dim(dim, x.ndim)
    first = start + x.shape[at] if start < 0 else start
    if not 0 <= first <= first + length <= x.shape[at]:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({x.shape[at]}).")
    return getitem(x, (slice(None),) * at + (slice(first, first + length),))


def flip_dims(x: Tensor, *dims: Any) -> Tensor:
    """The elements in reverse along each of ``dims``."""
    for dim in dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims:
        x = flip(x, dim)
    return x


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


def argsort(x: Tensor, dim: int = -1, descending: bool = False) -> Tensor:
    """The indices that sort ``x`` along ``dim``; equal elements keep their order."""
    return apply(_argsort, x.detach(), dim=wrap_dim(dim, x.ndim), descending=descending) if x.ndim else cast(x.detach() * 0, int64)


def sort(x: Tensor, dim: int = -1, descending: bool = False) -> ValuesIndices:
    """(values, indices) in order along ``dim``."""
    index = argsort(x, dim, descending)
    return ValuesIndices(gather(x, dim, index) if x.ndim else x, index)


def topk(x: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesIndices:
    """The ``k`` greatest (or smallest) along ``dim``, in order, with their indices."""
    at = wrap_dim(dim, x.ndim)
    if not 0 <= k <= (x.shape[at] if x.ndim else 1):
        raise RuntimeError("selected index k out of range")
    index = narrow(argsort(x, dim, descending=largest), at, 0, k)
    return ValuesIndices(gather(x, at, index), index)


def multinomial(x: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None) -> Tensor:
    """Indices drawn by the weights in each row ``(..., n)``: ``(..., num_samples)`` int64. Raises RuntimeError for weights that are none."""
    values = np.asarray(x.detach().cpu().numpy(), np.float64)
    if x.ndim not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if not np.isfinite(values).all() or (values < 0).any():
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if (values.sum(-1) <= 0).any():
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    if not replacement and num_samples > x.shape[-1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    weights = cast(x.detach(), float64)
    if not replacement:  # the order of exponential races (Efraimidis and Spirakis, 2006)
        return topk(uniform_like(weights, generator).clamp(min=1e-300).log() / weights.clamp(min=1e-300), num_samples).indices
    total = cumsum(weights, -1)
    draws = uniform_like(total.new_zeros((*x.shape[:-1], num_samples)), generator) * total[..., -1:]
    return (draws.unsqueeze(-1) >= total.unsqueeze(-2)).sum(-1)
