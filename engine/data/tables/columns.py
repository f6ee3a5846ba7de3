"""Columns of a table: what one is, found from its cells; and its cells as numbers, while a table is read and later, when a row is predicted."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from engine.data.tables.cells import COMMA, POINT, is_missing, plain_numbers, value

MAX_ONE_HOT = 32
MAX_CATEGORIES = 1 << 16
_EPOCH = datetime.datetime(1970, 1, 1)
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass
class Column:
    """A column, what is done with its cells, and the statistics that it takes to do the same to another row.

    ``type``: number, date, time, boolean, category, text (too many different ones to be categories) or empty; ``reading`` is the spelling of the first four (``engine.data.tables.cells``).
    ``role``: feature, target, text (learned from), split, index (counts or names the rows) or left out. ``min`` and ``max`` are of the values read, ``mean`` stands for missing ones,
    ``origin`` is the first day of dates (days since 1970-01-01). ``encoding``: number, one-hot or index. ``outputs`` names the columns of ``x`` that come of it.
    ``done`` says it all in words.
    """

    name: str
    type: str = "empty"
    role: str = "feature"
    missing: int = 0
    reading: str | None = None
    min: float | str | None = None
    max: float | str | None = None
    mean: float | None = None
    origin: float | None = None
    distinct: int | None = None
    categories: list[str] = field(default_factory=list)
    encoding: str | None = None
    outputs: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    def described(self) -> dict[str, Any]:
        """For the report: without what does not apply, and no more categories than a reader takes in."""
        return {k: v[:MAX_ONE_HOT] if k in ("categories", "outputs") else v for k, v in self.saved().items()}

    def saved(self) -> dict[str, Any]:
        """All of it, for ``Column(**saved)``."""
        return {k: v for k, v in asdict(self).items() if v not in (None, [])}

    def reader(self) -> Callable[[str], float]:
        """Cell to number: of a category its index; NaN where it is missing, infinite where it is none of the column's."""
        if self.type != "category" and self.reading is None:
            return lambda cell: math.nan
        codes = {name: float(i) for i, name in enumerate(self.categories)}
        seen: dict[str, float] = {}
        reading = self.reading

        def number(cell: str) -> float:
            found = seen.get(cell)
            if found is None:
                read = value(cell, reading) if reading else math.nan if is_missing(cell) else codes.get(cell.strip())
                found = math.inf if read is None else read
                if len(seen) < MAX_CATEGORIES:
                    seen[cell] = found
            return found

        return number

    def read(self, cells: Sequence[str], reader: Callable[[str], float]) -> Floats:
        """The numbers of many cells; ``reader`` is ``self.reader()``."""
        if self.reading in (POINT, COMMA):
            found = plain_numbers(cells, "." if self.reading == POINT else ",")
            if found is not None:
                return found
        return np.array(list(map(reader, cells)), np.float64)

    def encode(self, raw: Floats) -> Floats:
        """Numbers of cells ``(n,)``, NaN where missing, as columns of ``x`` ``(n, len(outputs))``."""
        absent = np.isnan(raw)
        if self.encoding == "one-hot":
            codes = np.where(absent, len(self.categories), raw)
            return (codes[:, None] == np.arange(len(self.outputs))).astype(np.float64)
        if self.encoding == "index":
            return np.where(absent, len(self.categories), raw)[:, None]
        fill = 0.0 if self.mean is None else self.mean
        values = np.where(absent, fill, raw - (self.origin or 0.0))[:, None]
        return values if len(self.outputs) == 1 else np.hstack([values, absent[:, None]])


def encode_row(columns: Sequence[Column], row: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The features ``(F,)`` of one row, given by the names of columns, encoded as the table was. A cell that is not given, or None, is missing.

    Cells are text as in the table, or Python's numbers, truth values, dates and times. Raises ValueError for a cell that does not fit its column, and
    for a name that is no column's.
    """
    unknown = row.keys() - {c.name for c in columns}
    if unknown:
        known = ", ".join(repr(c.name) for c in columns if c.role == "feature")
        raise ValueError(f"expected columns among {known}, got {', '.join(sorted(map(repr, unknown)))}")
    return np.concatenate([c.encode(np.array([_number(c, row.get(c.name))]))[0] for c in columns if c.role == "feature"]).astype(np.float32)


def _number(column: Column, cell: Any) -> float:
    """The number of a cell; NaN where it is missing. Raises ValueError where it does not fit."""
    if cell is None:
        return math.nan
    found = _of_value(column, cell)
    if found is None:
        found = float(column.read([str(cell)], column.reader())[0])
    if math.isinf(found):
        expected = f"one of {', '.join(column.categories[:MAX_ONE_HOT])}" if column.categories else f"a {column.type}"
        raise ValueError(f"column {column.name!r}: expected {expected}, got {cell!r:.60}")
    return found


def _of_value(column: Column, cell: Any) -> float | None:
    """What a cell that is no text says by itself; None where it is to be read as text."""
    if isinstance(cell, int | float | np.number | np.bool_):
        if math.isnan(cell):
            return math.nan
        if column.type in ("number", "boolean", "time"):  # as it is: its text need not have the column's spelling
            return float(cell)
        if column.type == "category" and float(cell).is_integer() and not isinstance(cell, bool | np.bool_):
            return column.reader()(str(int(cell)))
    elif isinstance(cell, datetime.datetime) and column.type == "date":
        return (cell.replace(tzinfo=None) - (cell.utcoffset() or datetime.timedelta()) - _EPOCH) / datetime.timedelta(days=1)
    elif isinstance(cell, datetime.date) and column.type == "date":
        return float((cell - _EPOCH.date()).days)
    elif isinstance(cell, datetime.time) and column.type == "time":
        return cell.hour + cell.minute / 60 + (cell.second + cell.microsecond / 1e6) / 3600
    return None


def shown(column: Column, number: float) -> float | str:
    """A value of a column as its owner would write it."""
    if column.type != "date":
        return number
    try:
        moment = _EPOCH + datetime.timedelta(seconds=round(number * 86400))
    except OverflowError:  # a last hour of the year 9999, in a zone to the west
        return number
    return moment.isoformat(" ").removesuffix(" 00:00:00")
