"""Whether a dataset has what a spec's metrics count, its balancing balances and its mixtures mix."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine import nn
from engine.data.balance import unsampleable, unweightable
from engine.data.mixing import made
from engine.data.source import Source
from engine.metrics import unfit
from engine.spec import registry
from engine.spec.builder import blame
from engine.spec.problems import Problem, pointer


def suitability_problems(spec: dict[str, Any], source: Source, targets: np.ndarray[Any, Any], outputs: int) -> list[Problem]:
    """What does not suit: ``targets`` in the reading of the spec's loss, and ``outputs``, how many classes the model knows."""
    return [*_metric_problems(spec, targets, outputs), *_balance_problems(spec, targets, source), *_mix_problems(spec, targets, source)]


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


def _mix_problems(spec: dict[str, Any], targets: np.ndarray[Any, Any], source: Source) -> list[Problem]:
    """Mixtures that the samples, the targets or the loss do not have."""
    given = spec["data"]["mix"]
    reason = _unmixable(spec["loss"], targets, source) if given else None
    if reason:
        return [Problem("/data/mix", "does_not_fit", reason, None, given)]
    problems, rank = [], 4 if source.is_image else 1 + len(source.report.shape or ())
    for i, t in enumerate(given):
        at = pointer("/data/mix", i)
        try:
            transform = made(t)
        except Exception as error:  # its word on the arguments
            problems.append(blame(registry.batch_transforms()[t["type"]], {k: v for k, v in t.items() if k != "type"}, error, at))
            continue
        if rank < transform.rank:
            detail = f"{t['type']} is for images (C, H, W), but the dataset's samples have the shape {source.report.shape}"
            problems.append(Problem(at, "does_not_fit", detail, None, source.report.shape))
    return problems


def _unmixable(loss: dict[str, Any], targets: np.ndarray[Any, Any], source: Source) -> str | None:
    """Why targets cannot be mixed for a loss; None where they can."""
    if source.is_text:
        return "the tokens of texts are names, which cannot be mixed"
    kind = getattr(nn, loss["type"]).targets
    if kind == "signs" or (kind == "classes" and loss["type"] != "CrossEntropyLoss"):
        return f"{loss['type']} does not take mixed targets: CrossEntropyLoss does, and so do losses of numbers such as BCEWithLogitsLoss"
    if kind == "classes" and targets.ndim > 1:
        return f"a mixture needs one class a sample, but the dataset's targets have the shape {targets.shape[1:]}"
    if kind == "classes" and (targets == loss["ignore_index"]).any():
        return f"some targets are ignored ({loss['ignore_index']}), and nothing can be mixed with them"
    return None
