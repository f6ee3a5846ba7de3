"""The history of a job as NumPy arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.models import MetricPoint

Array = NDArray[Any]


@dataclass(frozen=True)
class History:
    """The metric points of a job, each a row: ``history["loss"]`` is a column, ``history.select("val")`` some of the rows.

    Attributes: ``step``, ``epoch`` and ``seq`` (the row's place in the log) are int64 of shape ``(N,)``; ``split`` has ``train``, ``val``
    or ``test``; ``variant`` the name of the variant of a job with ``compare``, else empty; ``samples_per_s`` is float64.
    ``values`` has a float64 column for each metric, NaN in rows without it; of what is no number, such as a confusion matrix, an
    array of objects, None in rows without it.
    """

    seq: Array
    step: Array
    epoch: Array
    split: Array
    variant: Array
    samples_per_s: Array
    values: Mapping[str, Array]

    @classmethod
    def of(cls, points: Sequence[MetricPoint]) -> History:
        """The rows of some points."""
        names = sorted({n for p in points for n in p.values})
        return cls(
            seq=np.array([p.seq for p in points], np.int64),
            step=np.array([p.step for p in points], np.int64),
            epoch=np.array([p.epoch for p in points], np.int64),
            split=np.array([p.split for p in points], str),
            variant=np.array([p.variant or "" for p in points], str),
            samples_per_s=_column([p.samples_per_s for p in points]),
            values={n: _column([p.values.get(n) for p in points]) for n in names},
        )

    def __len__(self) -> int:
        return len(self.step)

    def __getitem__(self, name: str) -> Array:
        """The column of a metric, or ``step``, ``epoch``, .. Raises KeyError, which lists the columns."""
        columns = {**self._labels(), **self.values}
        if name not in columns:
            raise KeyError(f"no column {name!r}: there are {', '.join(columns)}")
        return columns[name]

    def _labels(self) -> Mapping[str, Array]:
        labels = {"seq": self.seq, "step": self.step, "epoch": self.epoch, "split": self.split, "variant": self.variant}
        return {**labels, "samples_per_s": self.samples_per_s}

    def select(self, split: str | None = None, variant: str | None = None) -> History:
        """The rows of a split and of a variant, with the columns that have a value there."""
        kept = np.ones(len(self), bool)
        if split is not None:
            kept &= self.split == split
        if variant is not None:
            kept &= self.variant == variant
        columns = {n: c[kept] for n, c in self.values.items()}
        return History(**{n: c[kept] for n, c in self._labels().items()}, values={n: c for n, c in columns.items() if _has_values(c)})

    def to_pandas(self) -> Any:
        """A pandas DataFrame, a column each. Raises ModuleNotFoundError without pandas, which the client does not need otherwise."""
        import pandas  # the user's own, if there is one

        return pandas.DataFrame({**self._labels(), **self.values})


def _column(values: Sequence[Any]) -> Array:
    """Numbers as float64; what has others among them as objects."""
    if all(v is None or isinstance(v, int | float) for v in values):
        return np.array([np.nan if v is None else v for v in values], np.float64)
    column = np.empty(len(values), object)
    column[:] = values
    return column


def _has_values(column: Array) -> bool:
    return any(v is not None for v in column) if column.dtype == object else bool(len(column)) and not np.isnan(column).all()


__all__ = ["History"]
