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
