"""The metrics that a spec may ask for, each registered once: its name, what it needs, how it is counted, and whether higher is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.metrics import counts, errors, ranking
from engine.metrics.outcome import Array, Need, Outcome, reading

MAX_CLASSES = 1000
"""How many classes may have values of their own in the history."""


@dataclass(frozen=True)
class Metric:
    """A value of an epoch, counted over all its elements and so independent of how they came in batches.

    ``tally`` makes what batches are added to, shared by all metrics of one; ``value`` reads the result off it: a number, or an array with one for each class (its
    mean is the metric, and each class has its own too), or a list that is no number; None where it is undefined.
    """

    name: str
    needs: tuple[Need, ...]
    tally: Callable[[], Any]
    value: Callable[[Any], Any]
    higher_is_better: bool | None = True

    @property
    def is_number(self) -> bool:
        """Whether it can be monitored."""
        return self.higher_is_better is not None


METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("accuracy", ("classes",), counts.ClassCounts, counts.accuracy),
        Metric("top5_accuracy", ("choice", "scores"), counts.Top, counts.top5_accuracy),
        Metric("balanced_accuracy", ("choice",), counts.ClassCounts, counts.balanced_accuracy),
        Metric("precision", ("classes",), counts.ClassCounts, counts.precision),
        Metric("recall", ("classes",), counts.ClassCounts, counts.recall),
        Metric("f1", ("classes",), counts.ClassCounts, counts.f1),
        Metric("iou", ("classes",), counts.ClassCounts, counts.iou),
        Metric("auroc", ("scores",), ranking.Ranking, ranking.auroc),
        Metric("confusion_matrix", ("choice",), counts.Confusion, counts.confusion_matrix, None),
        Metric("mae", ("numbers",), errors.Errors, errors.mae, False),
        Metric("rmse", ("numbers",), errors.Errors, errors.rmse, False),
        Metric("r2", ("numbers",), errors.Errors, errors.r2),
    )
}


class Meter:
    """The metrics of one epoch, under way. ``classes`` names the classes, as far as they have names."""

    def __init__(self, names: Iterable[str], loss: dict[str, Any], classes: Sequence[str] | None = None) -> None:
        self._metrics = [METRICS[n] for n in names]
        self._tallies = {m.tally: m.tally() for m in self._metrics}
        self._loss, self._classes = loss, classes

    @np.errstate(over="ignore", invalid="ignore")  # what overflows is not finite, and so left out
    def add(self, out: Array, target: Array) -> None:
        """Counts a batch: a model's outputs, and targets as the loss takes them."""
        if self._tallies:
            batch: Outcome = reading(self._loss).read(out, target, self._loss)
            for tally in self._tallies.values():
                tally.add(batch)

    @np.errstate(over="ignore", invalid="ignore")
    def values(self) -> dict[str, Any]:
        """The values, as JSON has them; what is undefined is left out. Metrics that each class has stand under ``NAME_per_class`` too, by class."""
        found: dict[str, Any] = {}
        for m in self._metrics:
            value = m.value(self._tallies[m.tally])
            if isinstance(value, np.ndarray):
                found |= self._by_class(m.name, value)
            elif value is not None and (not m.is_number or math.isfinite(value)):
                found[m.name] = value
        return found

    def _by_class(self, name: str, values: Array) -> dict[str, Any]:
        defined = [(i, float(v)) for i, v in enumerate(values) if math.isfinite(v)]
        if not defined:
            return {}
        found: dict[str, Any] = {name: float(np.mean([v for _, v in defined]))}
        if len(values) <= MAX_CLASSES:
            found[f"{name}_per_class"] = {self._name(i): v for i, v in defined}
        return found

    def _name(self, i: int) -> str:
        return self._classes[i] if self._classes and i < len(self._classes) else str(i)


def unfit(name: str, loss: dict[str, Any], target_shape: tuple[int, ...], classes: int) -> str | None:
    """Why a loss on targets of this shape (of one sample), with so many classes, has no such metric; None where it has."""
    metric, provided = METRICS[name], reading(loss).provides(target_shape)
    missing = [_NEEDS[n] for n in metric.needs if n not in provided]
    if missing:
        return f"{name} needs {' and '.join(missing)}, which {loss['type']} on targets of shape {target_shape} does not have"
    if name == "confusion_matrix" and classes > MAX_CLASSES:
        return f"confusion_matrix is for at most {MAX_CLASSES} classes, and there are {classes}"
    return None


_NEEDS: dict[Need, str] = {
    "choice": "one class of several for each element",
    "classes": "classes",
    "scores": "scores for each class of a sample",
    "numbers": "numbers as outputs and targets",
}


def monitorable(metrics: Iterable[str]) -> list[str]:
    """What can be monitored of a job with these metrics."""
    return ["val_loss", "train_loss", *(f"val_{n}" for n in metrics if METRICS[n].is_number)]


def higher_is_better(monitor: str) -> bool:
    """The direction of a monitored value, such as ``val_f1``."""
    metric = METRICS.get(monitor.removeprefix("val_"))
    return bool(metric and metric.higher_is_better)
