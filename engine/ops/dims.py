"""Dimensions and sizes as users give them."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any


def wrap_dim(dim: int, ndim: int) -> int:
    """A dimension counted from the front. Raises IndexError outside of [-ndim, ndim - 1]."""
    limit = max(ndim, 1)
    if not -limit <= dim < limit:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-limit}, {limit - 1}], but got {dim})")
    return dim % limit


def wrap_dims(dims: int | Sequence[int], ndim: int) -> tuple[int, ...]:
    """Several dimensions, in the order given. Raises RuntimeError where one is named twice."""
    found = tuple(wrap_dim(d, ndim) for d in ([dims] if isinstance(dims, int) else dims))
    for d in found:
        if found.count(d) > 1:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
    return found


def sizes(args: tuple[Any, ...]) -> tuple[int, ...]:
    """The sizes given as ``f(2, 3)``, ``f((2, 3))`` or ``f(torch.Size)``. Raises TypeError for what is no integer."""
    if len(args) == 1 and isinstance(args[0], tuple | list):
        args = tuple(args[0])
    return tuple(operator.index(n) for n in args)


def along(dim: int, part: Any) -> tuple[Any, ...]:
    """The index that takes ``part`` along ``dim`` and everything along the dimensions before."""
    return (*(slice(None),) * dim, part)
