"""Metrics of classes, from how often each was predicted, was there, and both."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.metrics.outcome import Array, Outcome


class ClassCounts:
    """For each class: how many elements were predicted to be it, were it, and both."""

    def __init__(self) -> None:
        self.both: Array = np.zeros(0, np.int64)
        self.predicted: Array = self.both
        self.actual: Array = self.both
        self.right = self.elements = 0

    def add(self, batch: Outcome) -> None:
        predicted, actual = batch.predicted, batch.actual
        hit = predicted == actual
        if actual.ndim == 2:  # labels, each for itself
            counts = [(predicted & actual).sum(0), predicted.sum(0), actual.sum(0)]
        else:
            counts = [np.bincount(x, minlength=batch.classes) for x in (actual[hit], predicted, actual)]
        held = (self.both, self.predicted, self.actual)
        self.both, self.predicted, self.actual = (new + old if len(old) else new for new, old in zip(counts, held, strict=True))
        self.right += int(hit.sum())
        self.elements += hit.size

    @property
    def occurring(self) -> Array:
        """The classes that were there or were predicted."""
        return (self.predicted + self.actual) > 0


def _ratio(part: Array, whole: Array) -> Array:
    """0 where there is nothing."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def accuracy(held: ClassCounts) -> float | None:
    """The share of elements whose class is right."""
    return held.right / held.elements if held.elements else None


def precision(held: ClassCounts) -> Array:
    """For each class the share of right ones among those predicted; NaN for a class that does not occur."""
    return np.where(held.occurring, _ratio(held.both, held.predicted), np.nan)


def recall(held: ClassCounts) -> Array:
    """For each class the share of those found among those there; NaN for a class that does not occur."""
    return np.where(held.occurring, _ratio(held.both, held.actual), np.nan)


def f1(held: ClassCounts) -> Array:
    """For each class the harmonic mean of precision and recall; NaN for a class that does not occur."""
    return np.where(held.occurring, _ratio(2 * held.both, held.predicted + held.actual), np.nan)


def iou(held: ClassCounts) -> Array:
    """For each class its intersection over its union, or Jaccard index; NaN for a class that does not occur."""
    return np.where(held.occurring, _ratio(held.both, held.predicted + held.actual - held.both), np.nan)


def balanced_accuracy(held: ClassCounts) -> float | None:
    """The mean recall of the classes that are there."""
    there = held.actual > 0
    return float((held.both[there] / held.actual[there]).mean()) if there.any() else None


class Confusion:
    """How often class ``i`` was taken for class ``j``."""

    def __init__(self) -> None:
        self.counts: Array = np.zeros((0, 0), np.int64)

    def add(self, batch: Outcome) -> None:
        n = batch.classes
        found = np.bincount(batch.actual * n + batch.predicted, minlength=n * n).reshape(n, n)
        self.counts = self.counts + found if len(self.counts) else found


def confusion_matrix(held: Confusion) -> list[list[int]] | None:
    """A row for each class that is there, a column for each that is predicted."""
    matrix: Any = held.counts.tolist()
    return matrix or None


class Top:
    """How often the class is among the five with the highest scores; of equal scores, the later class counts as the higher."""

    def __init__(self) -> None:
        self.right = self.elements = 0

    def add(self, batch: Outcome) -> None:
        assert batch.scores is not None
        own = np.take_along_axis(batch.scores, batch.actual[:, None], 1)
        later = np.arange(batch.classes) > batch.actual[:, None]
        above = (batch.scores > own) | ((batch.scores == own) & later)
        self.right += int((above.sum(1) < 5).sum())
        self.elements += len(own)


def top5_accuracy(held: Top) -> float | None:
    """The share of elements whose class is among the five with the highest scores."""
    return held.right / held.elements if held.elements else None
