"""Targets in their readings: classes, numbers, or both, as a loss may want them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.report import Report, listed

MAX_CLASSES = 100_000
IMBALANCE = 10
EXACT = 1 << 24
"""Whole numbers up to here are exact in float32."""
Array = np.ndarray[Any, Any]


@dataclass
class Targets:
    """What is predicted: ``classes`` int64, from 0 on, named by ``names``; ``numbers`` float32 with a last axis of their own, ``(N, 1)`` for one number a sample. One may be None."""

    classes: Array | None = None
    numbers: Array | None = None
    names: list[str] | None = None

    def save(self, work: Path, report: Report, name: str, chosen: str) -> None:
        """Writes ``y.npy``, and ``y_numbers.npy`` where there are both readings, and describes them in the report."""
        primary = self.numbers if self.classes is None else self.classes
        assert primary is not None
        np.save(work / "y.npy", primary)
        if self.classes is not None and self.numbers is not None:
            np.save(work / "y_numbers.npy", self.numbers)
        kinds = [kind for kind, y in (("classes", self.classes), ("numbers", self.numbers)) if y is not None]
        if self.numbers is None and self.names is not None and len(self.names) == 2:
            kinds.append("numbers")  # see Source.targets_as
        report.target = {"name": name, "chosen": chosen, "kinds": kinds}
        report.classes = self.names
        if self.classes is not None and self.names is not None:
            counts = np.bincount(self.classes.reshape(-1), minlength=len(self.names))
            report.counts = {n: int(c) for n, c in zip(self.names, counts, strict=True)}
            describe_classes(report)


def describe_classes(report: Report) -> None:
    """Warns of classes that have no sample, and of classes that have few beside others."""
    held = {name: n for name, n in report.counts.items() if n}
    empty = [name for name, n in report.counts.items() if not n]
    if empty:
        report.warnings.append(f"no sample of {len(empty)} class(es): {listed(empty)}")
    if len(held) > 1:
        most, fewest = max(held, key=held.__getitem__), min(held, key=held.__getitem__)
        if held[most] >= IMBALANCE * held[fewest]:
            report.warnings.append(f"the classes are imbalanced: {held[most]} samples of {most!r}, {held[fewest]} of {fewest!r}")


def classes_of(values: Array, report: Report, what: str) -> tuple[Array, list[str]]:
    """Whole numbers of any shape as classes from 0 on, with the names of these.

    Numbers from 0 on stay as they are, also if a few in between do not occur; others (from 1 on, -1 and 1, 2 and 4) are counted through in their order, which the report tells.
    """
    found = np.unique(values)
    top = int(found[-1])
    if found[0] == 0 and top < MAX_CLASSES and (top < 2 or 2 * len(found) > top):
        return values.astype(np.int64), [str(i) for i in range(top + 1)]
    names = [str(int(v)) for v in found]
    report.converted.append(f"{what}: the labels {_range(names)} became the classes 0 to {len(names) - 1}")
    return np.searchsorted(found, values).astype(np.int64).reshape(values.shape), names


def _range(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{names[0]}, {names[1]} .. {names[-1]}"


def is_whole(values: Array) -> bool:
    return values.dtype.kind in "iub" or (bool((values == np.floor(values)).all()) and float(np.abs(values).max(initial=0)) < 2**53)


def are_few(values: Array) -> bool:
    """Whether numbers have so few different values that they may be classes: at most 1000, each twice on average; or up to 20 of which any is there twice."""
    distinct = len(np.unique(values))
    return distinct <= 1000 and (2 * distinct <= values.size or (distinct <= 20 and distinct < values.size))
