"""What a model is given for one sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Features:
    """The columns of a table's rows: which ones a name stands for, and below which number those are that may be indices (None: they are not)."""

    names: Mapping[str, Sequence[int]]
    limits: Sequence[int | None]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Shape(tuple[int, ...]):
    """One sample's shape. ``limit``: where it holds indices, each is below this number; None for numbers. ``features``: what is known of columns."""

    limit: int | None
    features: Features | None

    def __new__(cls, sizes: Iterable[int], limit: int | None = None, features: Features | None = None) -> Self:
        made = super().__new__(cls, sizes)
        made.limit, made.features = limit, features
        return made


def limit_of(shape: tuple[int, ...]) -> int | None:
    """The limit of the indices that a sample holds; None where it holds numbers, as all plain shapes do."""
    return shape.limit if isinstance(shape, Shape) else None


def features_of(shape: tuple[int, ...]) -> Features | None:
    """What is known of the columns of a sample."""
    return shape.features if isinstance(shape, Shape) else None
