"""What a model is given for one sample."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self


class Shape(tuple[int, ...]):
    """One sample's shape. ``limit``: where it holds indices, each is below this number; None for numbers."""

    limit: int | None

    def __new__(cls, sizes: Iterable[int], limit: int | None = None) -> Self:
        made = super().__new__(cls, sizes)
        made.limit = limit
        return made


def limit_of(shape: tuple[int, ...]) -> int | None:
    """The limit of the indices that a sample holds; None where it holds numbers, as all plain shapes do."""
    return shape.limit if isinstance(shape, Shape) else None
