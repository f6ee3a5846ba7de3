"""What a report is made of, batch by batch: outputs are kept until there are enough to be counted at once, which costs less than 1% of an epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.metrics import classes_second, reading
from engine.metrics.counts import ClassCounts
from engine.reports.classes import calibration, confusion, counted, matrix_of, most_wrong, names_of, per_class
from engine.reports.numbers import furthest_off, residuals

Array = np.ndarray[Any, Any]
_TOGETHER = 1 << 20
"""How many outputs are kept before they are counted."""
MAX_SAMPLES = 1 << 20
"""Of how many samples a report knows more than counts."""
MAX_CLASSES = 4096
"""A vocabulary of more has no matrix."""


class Collector:
    """Collects the held-out samples of an epoch. ``loss`` is the spec's section, ``classes`` names the classes."""

    def __init__(self, loss: dict[str, Any], classes: Sequence[str] | None) -> None:
        self._loss, self._classes, self._reading = loss, classes, reading(loss)
        self._kept: list[tuple[Array, Array, Array]] = []
        self._size = self.samples = 0
        self._rows: list[tuple[Array, ...]] = []
        self._matrix: Array | None = None
        self._labels = ClassCounts()
        self._names: list[str] = []
        self._surprise = self._elements = 0.0
        self._task: str | None = None

    def add(self, out: Array, targets: Array, ids: Array) -> None:
        """A batch: a model's outputs ``(N, ..)``, the targets as the loss takes them, and the numbers of the samples in the dataset."""
        self.samples += len(out)
        if self._reading.kind == "none":
            return
        self._kept.append((out, targets, ids))
        self._size += out.size
        if self._size > _TOGETHER:
            self._count()

    def _count(self) -> None:
        if not self._kept:
            return
        out, targets, ids = (np.concatenate(part) if len(part) > 1 else part[0] for part in zip(*self._kept))
        self._kept, self._size = [], 0
        count = {"choice": self._choices, "decisions": self._decisions}.get(self._reading.kind, self._numbers)
        count(out, targets, ids)

    # -- by the kind of target

    def _choices(self, out: Array, targets: Array, ids: Array) -> None:
        if out.ndim == 3:
            self._sequences(classes_second(out, self._loss), targets)
            return
        outcome = self._reading.read(out, targets, self._loss)
        self._names = self._names or names_of(self._classes, outcome.classes)
        self._add_matrix(outcome.actual, outcome.predicted, outcome.classes)
        if out.ndim > 2:
            self._task = "maps"
            return
        self._task = "classes"
        ids = ids[targets != self._loss.get("ignore_index", -100)]
        assert outcome.scores is not None
        self._add_samples(ids, outcome.actual, outcome.predicted, outcome.scores)

    def _sequences(self, out: Array, targets: Array) -> None:
        """Scores ``(N, V, L)`` of the next of tokens: how surprised the model is."""
        self._task = "sequences"
        counted = targets != self._loss.get("ignore_index", -100)
        top = out.max(1, keepdims=True)
        total = np.log(np.exp(out - top).sum(1)) + top[:, 0]
        own = np.take_along_axis(out, np.where(counted, targets, 0)[:, None], 1)[:, 0]
        self._surprise += float((total - own)[counted].sum(dtype=np.float64))
        self._elements += int(counted.sum())
        self._labels.right += int((out.argmax(1) == targets)[counted].sum())

    def _decisions(self, out: Array, targets: Array, ids: Array) -> None:
        outcome = self._reading.read(out, targets, self._loss)
        self._names = self._names or names_of(self._classes, outcome.classes)
        if outcome.actual.ndim == 1:
            self._add_matrix(outcome.actual, outcome.predicted, 2)
        else:
            self._labels.add(outcome)
        if out.ndim > 2:
            self._task = "maps"
            return
        p = out.astype(np.float64) if self._loss["type"] == "BCELoss" else 1 / (1 + np.exp(-np.clip(out.astype(np.float64), -700, 700)))
        if outcome.actual.ndim == 1:
            self._task = "classes"
            self._add_samples(ids, outcome.actual, outcome.predicted, np.stack([1 - p.reshape(-1), p.reshape(-1)], 1))
            return
        self._task = "labels"
        away = np.abs(p - outcome.actual)
        label = away.argmax(1)
        chosen = (np.arange(len(p)), label)
        own = 1 - away[chosen]  # the probability of what is right
        self._rows.append((ids, label, outcome.actual[chosen], outcome.predicted[chosen], own, p.reshape(-1), outcome.actual.reshape(-1)))

    def _numbers(self, out: Array, targets: Array, ids: Array) -> None:
        self._task = "numbers"
        outcome = self._reading.read(out, targets, self._loss)
        n = len(out)
        self._rows.append((ids, outcome.predicted.reshape(n, -1), outcome.actual.reshape(n, -1)))

    def _add_matrix(self, actual: Array, predicted: Array, n: int) -> None:
        if n <= MAX_CLASSES:
            found = confusion(actual, predicted, n)
            self._matrix = found if self._matrix is None else self._matrix + found

    def _add_samples(self, ids: Array, actual: Array, predicted: Array, shares: Array) -> None:
        at = np.arange(len(actual))
        self._rows.append((ids, actual, predicted, shares[at, actual], shares[at, predicted]))

    # -- the report

    @property
    def has_report(self) -> bool:
        """Whether anything was held out, and the loss has a reading of it."""
        return self.samples > 0 and self._reading.kind != "none"

    def report(self) -> dict[str, Any] | None:
        """The report, as JSON has it; None where nothing was held out, or a loss has no reading."""
        if not self.has_report:
            return None
        self._count()
        assert self._task is not None
        made = {
            "classes": self._of_classes,
            "labels": self._of_labels,
            "numbers": self._of_numbers,
            "maps": self._of_maps,
            "sequences": self._of_sequences,
        }
        return {"task": self._task, "samples": self.samples, **made[self._task]()}

    def _joined(self) -> list[Array]:
        return [np.concatenate(part)[:MAX_SAMPLES] if len(part) > 1 else part[0][:MAX_SAMPLES] for part in zip(*self._rows)]

    def _of_matrix(self, with_iou: bool = False) -> dict[str, Any]:
        if self._matrix is None:
            return {}
        return {**matrix_of(self._matrix, self._names), "per_class": per_class(counted(self._matrix), self._names, with_iou)}

    def _of_classes(self) -> dict[str, Any]:
        ids, actual, predicted, own, confidence = self._joined()
        worst = most_wrong(ids, actual, predicted, own, confidence, self._names)
        return {**self._of_matrix(), "calibration": calibration(confidence, actual == predicted), "worst": worst}

    def _of_labels(self) -> dict[str, Any]:
        ids, label, actual, predicted, own, p, true = self._joined()
        words = ["no", "yes"]
        worst = [
            {**row, "label": self._names[label[np.flatnonzero(ids == row["id"])[0]]]}
            for row in most_wrong(ids, actual.astype(int), predicted.astype(int), own, 1 - own, words)
        ]
        sure = np.maximum(p, 1 - p)
        return {"per_class": per_class(self._labels, self._names), "calibration": calibration(sure, (p > 0.5) == true), "worst": worst}

    def _of_numbers(self) -> dict[str, Any]:
        ids, predicted, actual = self._joined()
        return {"outputs": residuals(predicted, actual), "worst": furthest_off(ids, predicted, actual)}

    def _of_maps(self) -> dict[str, Any]:
        if self._matrix is None:
            return {"per_class": per_class(self._labels, self._names, True)}
        return self._of_matrix(with_iou=True)

    def _of_sequences(self) -> dict[str, Any]:
        mean = self._surprise / max(1.0, self._elements)
        right = self._labels.right / max(1.0, self._elements)
        return {"tokens": int(self._elements), "perplexity": math.exp(min(mean, 700.0)), "loss": mean, "accuracy": right}


class Collected:
    """The collectors of each output, by name: of several outputs the report has a part for each."""

    def __init__(self, outputs: dict[str, Collector]) -> None:
        self.outputs = outputs

    @property
    def has_report(self) -> bool:
        """Whether there is anything to be said of any output."""
        return any(c.has_report for c in self.outputs.values())

    def report(self) -> dict[str, Any] | None:
        """The report of the one output, or of all by name."""
        if "" in self.outputs:
            return self.outputs[""].report()
        parts = {n: found for n, c in self.outputs.items() if (found := c.report()) is not None}
        return {"task": "several", "samples": max(c.samples for c in self.outputs.values()), "parts": parts} if parts else None
