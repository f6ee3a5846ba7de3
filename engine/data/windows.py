"""Series as training reads them: windows of rows that follow each other, and what comes after each."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np

from engine.data.batches import Pipeline
from engine.data.compiled import Draws
from engine.data.source import Source
from engine.spec.problems import Problem, SpecError
from engine.tensor import Tensor

Array = np.ndarray[Any, Any]


class WindowSource(Source):
    """Samples ``(length, F)`` of the rows' features and targets up to now; ``targets (N, horizon)``, or ``(N, horizon, k)`` of several columns, are those that follow."""

    def __init__(self, base: Source, rows: Array, future: Array, starts: Array, length: int, splits: dict[str, Array]) -> None:
        self.__dict__.update(base.__dict__)
        self.__dict__.pop("splits", None)  # cached of the base
        self.arrays = np.lib.stride_tricks.sliding_window_view(rows, length, axis=0).transpose(0, 2, 1)
        self._starts, self._scale, self._own_splits = starts, None, splits
        self.targets = future
        names = {name: len(i) for name, i in splits.items()}
        self.report = dataclasses.replace(
            base.report, samples=len(starts), shape=[length, rows.shape[1]], classes=None, counts={}, splits=names or None
        )

    @property
    def splits(self) -> dict[str, Array]:
        """The windows of each split."""
        return self._own_splits

    index_limit = None

    def targets_as(self, kind: str) -> Array | None:
        return self.targets if kind == "numbers" else None

    def raw(self, i: int) -> Tensor:
        return super().raw(int(self._starts[i]))

    def batch(self, indices: Array, pipeline: Pipeline, draws: Draws | None, shape: tuple[int, ...]) -> Tensor:
        return super().batch(self._starts[indices], pipeline, draws, shape)

    def sample(self, i: int, pipeline: Pipeline, draws: Draws | None = None) -> Tensor:
        return super().sample(int(self._starts[i]), pipeline, draws)


def windowed(source: Source, spec: dict[str, Any]) -> WindowSource:
    """The windows that ``data.windows`` of a spec cuts out of a table. Raises SpecError where it cannot.

    All rows of a window, with those that it predicts, are of one split, so that nothing that is held out was trained on: the last rows are held out,
    unless the table says its splits.
    """
    settings = spec["data"]["windows"]
    numbers = source.targets_as("numbers")
    if source.arrays is None or source.arrays.ndim != 2 or numbers is None or numbers.ndim != 2:
        detail = f"windows are of tables of numbers, but the dataset is a {source.report.format} of shape {source.report.shape}"
        raise SpecError([Problem("/data/windows", "does_not_fit", detail, None, settings)])
    order, features = _in_order(source)
    rows = np.ascontiguousarray(np.hstack([source.arrays[order][:, features], numbers[order]]), np.float32)
    targets, length, horizon = numbers[order].astype(np.float32), settings["length"], settings["horizon"]
    names = _splits(source, order, spec["data"]["validation"])
    found = {name: _starts(names == name, length + horizon, settings["stride"]) for name in ("train", "val", "test")}
    for name in ("train", "val", "test"):
        n = int((names == name).sum())
        if n and not len(found[name]):
            detail = f"a window of {length} rows and the {horizon} after them does not fit into the {n} rows of {name}"
            raise SpecError([Problem("/data/windows/length", "too_large", detail, max(1, n - horizon), length)])
    starts = np.concatenate(list(found.values()))
    ahead = starts[:, None] + length + np.arange(horizon)
    future = targets[ahead] if targets.shape[1] > 1 else targets[ahead, 0]
    places = np.split(np.arange(len(starts)), np.cumsum([len(s) for s in found.values()])[:-1])
    splits = {name: at for name, at in zip(found, places, strict=True) if len(at)}
    return WindowSource(source, rows, future, starts, length, splits if len(splits) > 1 else {})


def _in_order(source: Source) -> tuple[Array, list[int]]:
    """The rows by date, where there is a column of dates; and the features that are no dates, which say nothing of days to come."""
    assert source.arrays is not None
    kept = source.folder / "columns.json"  # the report does not have all outputs
    columns = [c for c in json.loads(kept.read_text()) if c["role"] == "feature"] if kept.exists() else []
    kinds = [(c["type"], i) for c in columns for i in range(len(c["outputs"]))]
    if not kinds:
        return np.arange(len(source.arrays)), list(range(source.arrays.shape[1]))
    dated = next((at for at, (kind, i) in enumerate(kinds) if kind == "date" and i == 0), None)
    order = np.arange(len(source.arrays)) if dated is None else np.argsort(source.arrays[:, dated], kind="stable")
    return order, [at for at, (kind, _) in enumerate(kinds) if kind != "date"]


def _splits(source: Source, order: Array, validation: float) -> Array:
    """The split of each row, in order."""
    n = len(order)
    if source.splits:
        names = np.empty(n, object)
        for name, indices in source.splits.items():
            names[indices] = name
        return names[order]
    held = round(n * validation)
    return np.array(["train"] * (n - held) + ["val"] * held, object)


def _starts(inside: Array, rows: int, stride: int) -> Array:
    """Where windows of so many rows begin that are all ``inside``, every ``stride`` rows."""
    if len(inside) < rows:
        return np.empty(0, np.int64)
    whole = np.lib.stride_tricks.sliding_window_view(inside, rows).all(1)
    found = np.flatnonzero(whole)
    return found[(found - (found[0] if len(found) else 0)) % stride == 0]
