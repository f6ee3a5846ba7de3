"""Rows by index: what ``nn.Embedding`` does. One op forward and one backward, so that a step of a model of tokens can be captured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import Array, array_module
from engine.dispatch import Op
from engine.dtypes import int64
from engine.graph import apply
from engine.ops.elementwise import cast, ne

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _look_up(out: Array, weight: Array, index: Array, padding_idx: int | None) -> None:
    n = len(weight)
    if isinstance(index, np.ndarray) and index.size and not (index.min() >= 0 and index.max() < n):
        bad = int(index.max()) if index.max() >= n else int(index.min())
        raise IndexError(f"index out of range in self: {bad}, where the weight has {n} rows")
    out[...] = weight[index]


def _add_rows(out: Array, g: Array, index: Array, n: int, padding_idx: int | None) -> None:
    out.fill(0)
    array_module(out).add.at(out, index, g)
    if padding_idx is not None and n:
        out[padding_idx] = 0


_embedding: Op = Op(
    "embedding",
    ["weight", "index"],
    infer=lambda weight, index, padding_idx: ((*index.shape, weight.shape[1]), weight.dtype),
    kernel=_look_up,
    vjps={
        "weight": lambda g, index, padding_idx, weight_shape: apply(_embedding_weight, g, index, n=weight_shape[0], padding_idx=padding_idx)
    },
)
_embedding_weight: Op = Op(
    "embedding_weight",
    ["g", "index"],
    infer=lambda g, index, n, padding_idx: ((n, g.shape[-1]), g.dtype),
    kernel=_add_rows,
    adds_up=True,
    vjps={"g": lambda g, index, n, padding_idx: _but_padding(g, index, padding_idx)},
)


def _bag_of(index: Array, starts: Array) -> Array:
    """The bag of each index."""
    xp = array_module(index)
    return xp.searchsorted(starts, xp.arange(len(index)), side="right") - 1


def _counted(index: Array, starts: Array, padding_idx: int | None, dtype: Any) -> tuple[Array, Array]:
    """Which indices count, and one over how many do in each bag."""
    xp = array_module(index)
    counts = xp.ones(len(index), np.bool_) if padding_idx is None else index != padding_idx
    sizes = xp.bincount(_bag_of(index, starts), weights=counts.astype(np.float64), minlength=len(starts))
    return counts, (1 / xp.maximum(sizes, 1)).astype(dtype)


def _sum_bags(out: Array, weight: Array, index: Array, starts: Array, mean: bool, padding_idx: int | None) -> None:
    found = array_module(out).empty((len(index), weight.shape[1]), weight.dtype)
    _look_up(found, weight, index, padding_idx)
    counts, share = _counted(index, starts, padding_idx, out.dtype)
    out.fill(0)
    array_module(out).add.at(out, _bag_of(index, starts)[counts], found[counts])
    if mean:
        out *= share[:, None]


def _sum_bags_weight(out: Array, g: Array, index: Array, starts: Array, n: int, mean: bool, padding_idx: int | None) -> None:
    counts, share = _counted(index, starts, padding_idx, out.dtype)
    out.fill(0)
    array_module(out).add.at(out, index[counts], (g * share[:, None] if mean else g)[_bag_of(index, starts)[counts]])


_bags: Op = Op(
    "embedding_bag",
    ["weight", "index", "starts"],
    infer=lambda weight, index, starts, mean, padding_idx: ((len(starts), weight.shape[1]), weight.dtype),
    kernel=_sum_bags,
    adds_up=True,
    vjps={
        "weight": lambda g, index, starts, mean, padding_idx, weight_shape: apply(
            _bags_weight, g, index, starts, n=weight_shape[0], mean=mean, padding_idx=padding_idx
        )
    },
)
_bags_weight: Op = Op(
    "embedding_bag_weight",
    ["g", "index", "starts"],
    infer=lambda g, index, starts, n, mean, padding_idx: ((n, g.shape[1]), g.dtype),
    kernel=_sum_bags_weight,
    adds_up=True,
    vjps={"g": lambda v, index, starts, mean, padding_idx: apply(_bags, v, index, starts, mean=mean, padding_idx=padding_idx)},
)


def bags(weight: Tensor, index: Tensor, starts: Tensor, mean: bool, padding_idx: int | None) -> Tensor:
    """The sum or mean of the rows of ``weight (n, d)`` in each bag: ``index (count)`` from ``starts (bags)`` on. Raises IndexError."""
    return apply(_bags, weight, cast(index, int64), cast(starts, int64), mean=mean, padding_idx=padding_idx)


def _but_padding(g: Tensor, index: Tensor, padding_idx: int | None) -> Tensor:
    y = apply(_embedding, g, index, padding_idx=padding_idx)
    return y if padding_idx is None else y * cast(ne(index, padding_idx), y.dtype).unsqueeze(-1)


def rows(weight: Tensor, index: Tensor, padding_idx: int | None = None) -> Tensor:
    """The rows of ``weight (n, d)`` that ``index (*)`` names: ``(*, d)``. No gradient reaches row ``padding_idx``. Raises IndexError."""
    return apply(_embedding, weight, cast(index, int64), padding_idx=padding_idx)
