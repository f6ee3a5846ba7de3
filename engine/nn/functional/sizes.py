"""Arguments that are one number for all spatial dimensions, or one for each."""

from __future__ import annotations

from collections.abc import Sequence

Ints = int | Sequence[int]


def tuple_of(value: Ints, n: int, name: str) -> tuple[int, ...]:
    """``value`` for each of ``n`` dimensions. Raises ValueError for another number of them."""
    if isinstance(value, int):
        return (value,) * n
    found = tuple(int(v) for v in value)
    if len(found) == 1:
        return found * n
    if len(found) != n:
        raise ValueError(f"{name} must be an int or {n} ints, got {tuple(value)}")
    return found


def windows(n: int, stride: Ints, padding: Ints, dilation: Ints) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Stride, padding and dilation for each of ``n`` dimensions. Raises RuntimeError for windows that do not move on, or a border below 0."""
    steps, pads, spread = tuple_of(stride, n, "stride"), tuple_of(padding, n, "padding"), tuple_of(dilation, n, "dilation")
    if min(steps) < 1:
        raise RuntimeError(f"non-positive stride is not supported, got {steps}: stride should be greater than zero")
    if min(pads) < 0:
        raise RuntimeError(f"negative padding is not supported, got {pads}")
    if min(spread) < 1:
        raise RuntimeError(f"dilation should be greater than zero, got {spread}")
    return steps, pads, spread
