"""Whether a dataset has what a spec's metrics count and its balancing balances."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.data.balance import unsampleable, unweightable
from engine.data.source import Source
from engine.metrics import unfit
from engine.spec.problems import Problem


def suitability_problems(spec: dict[str, Any], source: Source, targets: np.ndarray[Any, Any], outputs: int) -> list[Problem]:
    """What does not suit: ``targets`` in the reading of the spec's loss, and ``outputs``, how many classes the model knows."""
    return [*_metric_problems(spec, targets, outputs), *_balance_problems(spec, targets, source)]


def _metric_problems(spec: dict[str, Any], targets: np.ndarray[Any, Any], outputs: int) -> list[Problem]:
    """Metrics that the loss and the targets do not have."""
    reasons = [(f"/metrics/{i}", name, unfit(name, spec["loss"], targets.shape[1:], outputs)) for i, name in enumerate(spec["metrics"])]
    return [Problem(at, "does_not_fit", reason, None, name) for at, name, reason in reasons if reason]


def _balance_problems(spec: dict[str, Any], targets: np.ndarray[Any, Any], source: Source) -> list[Problem]:
    """Balancing that has no classes to balance."""
    data, problems = spec["data"], []
    if data["class_weights"] and (reason := unweightable(spec["loss"], targets)):
        problems.append(Problem("/data/class_weights", "does_not_fit", reason, None, data["class_weights"]))
    if data["sampler"]:
        reason = unsampleable(source) or (None if data["shuffle"] else "a balanced sampler draws at random: set shuffle to true")
        problems += [Problem("/data/sampler", "does_not_fit", reason, None, data["sampler"])] if reason else []
    return problems
