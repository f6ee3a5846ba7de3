"""A table's numbers on their way to disk: the statistics of its columns, its target, and the features that training reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.report import Progress, Rejected, Report, listed
from engine.data.samples import describe_samples, save_splits
from engine.data.tables.columns import MAX_ONE_HOT, Column, Floats, shown
from engine.data.targets import EXACT, Targets, are_few, classes_of, is_whole

_ROWS = 1 << 14
Splits = np.ndarray[Any, Any] | None


@dataclass
class _Stats:
    """Of each column: what it takes to describe and to encode it."""

    smallest: Floats
    largest: Floats
    means: Floats
    inexact: np.ndarray[Any, np.dtype[np.bool_]]


def _pieces(raw: Floats) -> Iterator[tuple[int, Floats]]:
    for start in range(0, len(raw), _ROWS):
        yield start, raw[start : start + _ROWS]


def _statistics(raw: Floats, splits: Splits) -> _Stats:
    """Means are of the rows that train, where a split says which."""
    width = raw.shape[1]
    smallest, largest = np.full(width, np.inf), np.full(width, -np.inf)
    sums, counts, inexact = np.zeros(width), np.zeros(width), np.zeros(width, np.bool_)
    for start, piece in _pieces(raw):
        smallest = np.fmin(smallest, np.fmin.reduce(piece, axis=0))
        largest = np.fmax(largest, np.fmax.reduce(piece, axis=0))
        inexact |= ((np.abs(piece) > EXACT) & (piece == np.floor(piece)) & (piece.astype(np.float32) != piece)).any(axis=0)
        train = piece if splits is None else piece[splits[start : start + _ROWS] == "train"]
        sums += np.nansum(train, axis=0)
        counts += (~np.isnan(train)).sum(axis=0)
    return _Stats(smallest, largest, sums / np.maximum(counts, 1), inexact)


def save_features(work: Path, report: Report, columns: list[Column], raw: Floats, splits: Splits, progress: Progress) -> None:
    """Decides how each feature is encoded and writes ``x.npy``. Raises Rejected for a table without features."""
    stats = _statistics(raw, splits)
    for i, column in enumerate(columns):
        _describe(column, stats, i, bool(np.isnan(raw[:, i]).any()) if column.role == "feature" and column.missing else False)
    features = [i for i, c in enumerate(columns) if c.role == "feature"]
    if not features:
        raise Rejected(report, "no column is left to predict from: expected at least one beside the target")
    _warn(
        report,
        [columns[i] for i in features],
        [c for c, bad in zip(columns, stats.inexact) if bad and c.role in ("feature", "target")],
        len(raw),
    )
    width = sum(len(columns[i].outputs) for i in features)
    x = np.lib.format.open_memmap(work / "x.npy", "w+", np.float32, (len(raw), width))
    for start, piece in _pieces(raw):
        x[start : start + len(piece)] = np.hstack([columns[i].encode(piece[:, i]) for i in features])
        progress(4 * len(raw) + start, 6 * len(raw))
    x.flush()
    save_splits(work, report, splits)
    describe_samples(work, report, splits, lambda done, total: progress(5 * total + done, 6 * total))


def _describe(column: Column, stats: _Stats, i: int, gaps: bool) -> None:
    """The range of a column; of a feature also its encoding, ``gaps`` saying whether cells are missing in the rows that are left."""
    if column.reading is not None and np.isfinite(stats.smallest[i]):
        column.min, column.max = shown(column, float(stats.smallest[i])), shown(column, float(stats.largest[i]))
        if column.type == "date" and column.role in ("feature", "target"):
            column.origin = float(np.floor(stats.smallest[i]))
            column.done.append(f"became days since {shown(column, column.origin)}")
    if column.role != "feature":
        return
    if column.type == "category":
        _encode_category(column, gaps)
    else:
        column.encoding, column.outputs = "number", [column.name]
        if column.type in ("time", "boolean"):
            column.done.append("became hours since midnight" if column.type == "time" else "true became 1, false 0")
        if gaps:
            column.mean = float(f"{stats.means[i] - (column.origin or 0.0):.9g}")
            column.outputs.append(f"{column.name} is missing")
            column.done.append(f"missing cells became the mean {column.mean:.6g}, marked by a column of their own, {column.outputs[1]!r}")


def _encode_category(column: Column, gaps: bool) -> None:
    named = [*column.categories, "(missing)"] if gaps else column.categories
    if len(column.categories) <= MAX_ONE_HOT:
        column.encoding, column.outputs = "one-hot", [f"{column.name}={c}" for c in named]
        column.done.append(f"one-hot in {len(named)} column{'s' * (len(named) > 1)}")
    else:
        column.encoding, column.outputs = "index", [column.name]
        column.done.append(f"became the index of the category, 0 to {len(named) - 1}, as Embedding takes it")
    if gaps:
        column.done.append("missing cells are a category of their own")


def _warn(report: Report, features: list[Column], inexact: list[Column], n: int) -> None:
    constant = [
        c.name
        for c in features
        if (c.reading and c.min == c.max and len(c.outputs) == 1) or (c.categories and len(c.outputs) == 1 and c.encoding == "one-hot")
    ]
    nearly_unique = [c.name for c in features if c.encoding == "index" and 2 * len(c.categories) > n]
    if constant:
        report.warnings.append(f"the same in every row: {listed(constant)}")
    if nearly_unique:
        report.warnings.append(f"another text in most of the rows, so that there is little to learn from it: {listed(nearly_unique)}")
    if inexact:
        report.warnings.append(f"whole numbers beyond 2**24 = 16777216 are rounded in float32: {listed([c.name for c in inexact])}")


def read_target(column: Column, values: Floats, report: Report) -> Targets:
    """The readings of a column that is to be predicted. Raises Rejected for one that cannot be."""
    if column.type == "category":
        distinct = len(np.unique(values))
        if distinct == len(values) >= 10:
            raise Rejected(
                report, f"column {column.name!r} has another text in each row: it cannot be the target; name another one with ?target=NAME"
            )
        _warn_constant(report, distinct)
        column.done.append(f"classes 0 to {len(column.categories) - 1}, in the order of their names")
        return Targets(values.astype(np.int64), None, column.categories)
    column.distinct = len(np.unique(values))
    _warn_constant(report, column.distinct)
    shifted = values - np.floor(values.min()) if column.type == "date" else values
    numbers = shifted.astype(np.float32)[:, None]
    if column.type == "boolean":
        column.done.append("classes 0 (false) and 1 (true), or the numbers 0 and 1")
        return Targets(values.astype(np.int64), numbers, ["false", "true"])
    if column.type == "number" and is_whole(values) and are_few(values):
        classes, names = classes_of(values, report, f"column {column.name!r}")
        column.done.append(f"classes 0 to {len(names) - 1}, or numbers as they are: the loss decides")
        return Targets(classes, numbers, names)
    column.done.append("numbers")
    return Targets(None, numbers)


def read_targets(columns: list[Column], values: Floats, report: Report) -> Targets:
    """Several columns to be predicted together, ``values (n, k)``: numbers, or labels that apply or not. Raises Rejected for others."""
    for column in columns:
        if column.type not in ("number", "boolean", "date", "time"):
            raise Rejected(report, f"column {column.name!r} is of type {column.type}: several targets are numbers, or labels of 0 and 1")
    shifted = values - np.array([np.floor(v.min()) if c.type == "date" else 0.0 for c, v in zip(columns, values.T, strict=True)])
    labels = bool(np.isin(values, (0.0, 1.0)).all())
    for column, own in zip(columns, values.T, strict=True):
        column.distinct = len(np.unique(own))
        column.done.append("a label that applies or not" if labels else "numbers")
    if labels:
        report.classes = [c.name for c in columns]
        report.counts = {c.name: int(own.sum()) for c, own in zip(columns, values.T, strict=True)}
    constant = [c.name for c in columns if c.distinct == 1]
    if constant:
        report.warnings.append(f"targets that are the same in every row: {listed(constant)}")
    return Targets(None, shifted.astype(np.float32), [c.name for c in columns] if labels else None)


def _warn_constant(report: Report, distinct: int) -> None:
    if distinct == 1:
        report.warnings.append("the target is the same in every row")
