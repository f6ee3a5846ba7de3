"""Distances and similarities of vectors."""

from __future__ import annotations

import numpy as np

from engine.dispatch import broadcast_shapes
from engine.ops.reduce import vector_norm
from engine.ops.statistics import cdist
from engine.tensor import Tensor


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """``|x1 - x2 + eps|_p`` along the last dimension."""
    return vector_norm(x1 - x2 + eps, p, max(x1.ndim, x2.ndim) - 1, keepdim)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """``x1 x2 / (|x1| |x2|)`` along ``dim``, each norm counting as at least ``eps``."""
    shape = broadcast_shapes(x1.shape, x2.shape)
    a, b = x1.expand(shape), x2.expand(shape)
    if not a.is_floating_point() or not b.is_floating_point():
        raise RuntimeError("expected common dtype to be floating point, yet common dtype is not")
    length_a, length_b = (vector_norm(v, 2, dim, True).clamp(min=eps) for v in (a, b))
    return (a / length_a * (b / length_b)).sum(dim)


def pdist(input: Tensor, p: float = 2) -> Tensor:
    """The distances of all pairs of rows ``(n, d)``, in the order of the upper triangle: ``(n (n - 1) / 2,)``."""
    if input.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.ndim}D")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    rows, columns = np.triu_indices(input.shape[0], 1)
    return vector_norm(input[(rows,)] - input[(columns,)], p, -1)


__all__ = ["cdist", "cosine_similarity", "pairwise_distance", "pdist"]
