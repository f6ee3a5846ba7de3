"""Where values lie: a stretch of a buffer, with a step for each dimension. A permutation, an expansion or a slice is another
description of the same memory; channels-last images are one whose steps are in another order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.dispatch import Op


class Buffer:
    """Memory of a program: a piece of its arena, or an array that was there before (``array``)."""

    __slots__ = ("array", "nbytes", "offset", "pinned")

    def __init__(self, nbytes: int, array: Any = None) -> None:
        self.nbytes, self.array = nbytes, array
        self.offset = -1
        self.pinned = array is not None  # not shared with others over time

    def meets(self, other: Buffer) -> bool:
        """Whether what is written to one may be read from the other."""
        return self is other or (self.array is not None and other.array is not None and np.may_share_memory(self.array, other.array))


@dataclass(frozen=True)
class Storage:
    """``shape`` elements of ``dtype`` in ``buffer`` from byte ``start``; ``steps`` in elements."""

    buffer: Buffer
    start: int
    shape: tuple[int, ...]
    steps: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def address(self, arena: int) -> int:
        base = arena + self.buffer.offset if self.buffer.array is None else self.buffer.array.__array_interface__["data"][0]
        return int(base) + self.start

    def view(self, arena: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The elements as an array."""
        if self.buffer.array is not None:
            base = self.buffer.array
            assert self.start == 0 or base.flags.c_contiguous
            if self.start == 0 and base.shape == self.shape and dense_like(base, self.steps):
                return base
            flat = np.lib.stride_tricks.as_strided(base, (max(base.nbytes // base.itemsize, 1),), (base.itemsize,))
            return np.lib.stride_tricks.as_strided(flat[self.start // base.itemsize :], self.shape, [s * base.itemsize for s in self.steps])
        at = self.buffer.offset + self.start
        return np.ndarray(self.shape, self.dtype, arena.data, at, [s * self.dtype.itemsize for s in self.steps])

    def is_dense(self, order: Sequence[int] | None = None) -> bool:
        """Whether the elements lie without gaps with dimensions in ``order``, outermost first (by default the logical order)."""
        wanted = dense_steps(self.shape, order)
        return all(n == 1 or s == w for n, s, w in zip(self.shape, self.steps, wanted, strict=True))


def dense_like(array: np.ndarray[Any, Any], steps: Sequence[int]) -> bool:
    return all(n == 1 or s == t * array.itemsize for n, s, t in zip(array.shape, array.strides, steps, strict=True))


def dense_steps(shape: Sequence[int], order: Sequence[int] | None = None) -> tuple[int, ...]:
    steps, step = [0] * len(shape), 1
    for d in reversed(range(len(shape)) if order is None else order):
        steps[d] = step
        step *= shape[d]
    return tuple(steps)


def channels_last(rank: int) -> tuple[int, ...]:
    return (0, *range(2, rank), 1)


def viewed(op: Op, attrs: dict[str, Any], s: Storage) -> Storage | None:
    """The storage that a view op makes of ``s``; None where the elements would have to be copied."""
    assert op.view is not None
    item = s.dtype.itemsize
    extent = sum((n - 1) * t for n, t in zip(s.shape, s.steps, strict=True)) + 1
    probe = np.ndarray(s.shape, s.dtype, np.empty(extent * item, np.uint8).data, 0, [t * item for t in s.steps])
    out = op.view(probe, **attrs)
    if not np.may_share_memory(out, probe):
        return None
    start = out.__array_interface__["data"][0] - probe.__array_interface__["data"][0]
    return Storage(s.buffer, s.start + start, out.shape, tuple(t // item for t in out.strides), s.dtype)


FULL, ROW, COLUMN, ONE = range(4)
"""How an operand lies beside rows of a width (kernels/cpu/elementwise.h)."""


def _uniform(steps: Sequence[int], sizes: Sequence[int]) -> int | None:
    """The step from row to row, if rows of these sizes are evenly apart."""
    if not sizes:
        return 0
    step, n = steps[-1], 1
    for s, size in zip(reversed(steps), reversed(sizes), strict=True):
        if s != step * n:
            return None
        n *= size
    return step


def kind_at(split: int, sizes: Sequence[int], steps: Sequence[int]) -> tuple[int, int] | None:
    """The kind and step of an operand where dimensions from ``split`` on are a row; None if it is none."""
    inner, outer = steps[split:], steps[:split]
    flat = all(s == 0 for s in inner)
    dense = tuple(inner) == dense_steps(sizes[split:])
    if flat and all(s == 0 for s in outer):
        return ONE, 0
    if dense and outer and all(s == 0 for s in outer):
        return ROW, 0
    step = _uniform(outer, sizes[:split])
    if step is None:
        return None
    if dense:
        return FULL, step if outer else math.prod(sizes[split:])
    return (COLUMN, step) if flat else None


def rows_of(sizes: Sequence[int], operands: Sequence[Sequence[int]], split: int | None = None) -> tuple[int, list[tuple[int, int] | None]]:
    """Where to split dimensions into rows and columns so that as many operands as possible fit, and how each lies then."""
    best: tuple[int, list[tuple[int, int] | None]] | None = None
    for at in range(len(sizes) + 1) if split is None else [split]:
        kinds = [kind_at(at, sizes, steps) for steps in operands]
        if best is None or kinds.count(None) < best[1].count(None):
            best = at, kinds
    assert best is not None
    return best
