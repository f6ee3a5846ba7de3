"""Targets as a loss wants them, and whether a model's outputs go with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine import nn
from engine.data.selftarget import SelfTarget
from engine.data.source import Source
from engine.nn.loss import Targets
from engine.spec import Problem, layers_of, registry
from engine.spec.problems import pointer

Array = np.ndarray[Any, Any]
_MOST_NUMBERS = 1 << 28  # of indicators made from classes: a gibibyte
_NAMES = {"numbers": "numbers", "shares": "numbers from 0 to 1", "counts": "numbers of at least 0", "signs": "1 and -1 only"}


def target_kind(spec: dict[str, Any]) -> Targets:
    """What the spec's loss is given as targets, by the loss's own word."""
    if spec["loss"].get("log_target"):
        return "numbers"
    kind: Targets = getattr(nn, spec["loss"]["type"]).targets
    return kind


def takes_classes(spec: dict[str, Any]) -> bool:
    """Whether the loss wants class numbers as its target."""
    return target_kind(spec) == "classes"


def targets_for(spec: dict[str, Any], source: Source) -> Array:
    """The dataset's targets in the reading that the spec's loss wants; as they are stored where they have no such reading.

    A loss of numbers takes classes as indicators: ``(N, 1)`` of the second one where there are two, else ``(N, C)``, a column a class.
    """
    kind, classes = target_kind(spec), source.targets_as("classes")
    if kind == "nothing":
        return np.zeros((len(source), 0), np.float32)
    if kind == "classes":
        return source.targets if classes is None else classes
    numbers = source.targets_as("numbers")
    if numbers is not None and numbers.ndim == 1:
        numbers = numbers[:, None]
    if classes is not None and (numbers is None or not _fits(kind, numbers, _bounds(source, numbers))):
        hot = _indicators(classes, _class_count(source, classes))
        if hot is not None:
            return hot * 2 - 1 if kind == "signs" else hot
    return source.targets if numbers is None else numbers


def _class_count(source: Source, classes: Array) -> int:
    return max(len(source.report.classes or ()), int(classes.max(initial=0)) + 1)


def class_count(spec: dict[str, Any], source: Source, targets: Array) -> int:
    """How many classes there are, those not counted that the spec's loss ignores."""
    return _class_count(source, _counted(spec, targets))


def _counted(spec: dict[str, Any], targets: Array) -> Array:
    return targets[targets != spec["loss"]["ignore_index"]] if "ignore_index" in spec["loss"] else targets


def _indicators(classes: Array, n: int) -> Array | None:
    """Numbers of 0 and 1 for classes ``(N, ...)``, along a new second axis; None where that is not possible, or too much."""
    columns = 1 if n == 2 else n
    if classes.min(initial=0) < 0 or classes.size * columns > _MOST_NUMBERS:
        return None
    of = np.arange(n - columns, n).reshape(-1, *(1,) * (classes.ndim - 1))
    return (classes[:, None] == of).astype(np.float32)


def _bounds(source: Source, numbers: Array) -> tuple[float, float]:
    """The least and the greatest of targets."""
    return source.bounds if isinstance(source, SelfTarget) else (float(numbers.min(initial=0)), float(numbers.max(initial=0)))


def _fits(kind: Targets, numbers: Array, bounds: tuple[float, float]) -> bool:
    if kind == "signs":
        return bool((np.abs(numbers) == 1).all())
    low, high = bounds
    return bool(kind == "numbers" or (low >= 0 and (kind == "counts" or high <= 1)))


def target_problems(spec: dict[str, Any], output: tuple[int, ...], source: Source) -> list[Problem]:
    """What does not go together: the loss with the targets, the model's outputs ``(C, ...)`` for one sample with either."""
    targets = targets_for(spec, source)
    if takes_classes(spec):
        return _class_problems(spec, output, source, targets)
    name, kind = spec["loss"]["type"], target_kind(spec)
    if kind == "nothing":
        return []
    if targets.dtype.kind != "f":
        detail = (
            f"{name} needs {_NAMES[kind]} as targets, but the dataset's are classes, which cannot be read so: CrossEntropyLoss takes them"
        )
        return [Problem("/loss", "does_not_fit", detail)]
    low, high = _bounds(source, targets)
    if not _fits(kind, targets, (low, high)):
        detail = f"{name} needs targets of {_NAMES[kind]}, but the dataset's go from {low:g} to {high:g}"
        return [Problem("/loss", "does_not_fit", detail, _NAMES[kind], None if np.isinf([low, high]).any() else [low, high])]
    if output != targets.shape[1:]:
        detail = f"{name} needs outputs of the targets' shape {targets.shape[1:]}, got {output}{_advice(output, targets, source)}"
        return [Problem(_last(spec), "does_not_fit", detail, list(targets.shape[1:]), list(output))]
    return _range_problems(spec)


def _advice(output: tuple[int, ...], targets: Array, source: Source) -> str:
    classes = source.targets_as("classes")
    if classes is not None and output == (_class_count(source, classes),):
        return f": CrossEntropyLoss takes an output for each class; this loss takes {targets.shape[1] if targets.ndim > 1 else 1}"
    if len(output) > targets.ndim - 1:
        return ": is a Flatten missing before the last Linear?"
    return ""


def _last(spec: dict[str, Any]) -> str:
    model = spec["model"]
    return "/model" if isinstance(model, dict) else pointer("/model", len(model) - 1)


def with_class_dim(spec: dict[str, Any], output: tuple[int, ...], targets: Array) -> dict[str, Any]:
    """The spec with its loss told which dimension of the outputs ``(C, ..)``, or ``(.., C)``, is the classes': the one that the targets do not have."""
    known = "class_dim" in spec["loss"] and spec["loss"]["class_dim"] is None and targets.ndim > 1
    last = known and output[:-1] == targets.shape[1:] and output[1:] != targets.shape[1:]
    return {**spec, "loss": {**spec["loss"], "class_dim": -1}} if last else spec


def class_outputs(spec: dict[str, Any], output: tuple[int, ...]) -> int:
    """How many classes, or outputs, the model has, by the outputs of a sample."""
    return (output[-1] if spec["loss"].get("class_dim") == -1 else output[0]) if output else 1


def is_ambiguous(output: tuple[int, ...], targets: Array) -> bool:
    """Whether outputs for sequences could have their classes first or last. (Class maps come from convolutions, which have them first.)"""
    return targets.ndim == 2 and output[1:] == output[:-1] == targets.shape[1:]


def _class_problems(spec: dict[str, Any], output: tuple[int, ...], source: Source, targets: Array) -> list[Problem]:
    name = spec["loss"]["type"]
    if targets.dtype.kind != "i":
        detail = f"{name} needs classes as targets, but the dataset's are numbers of shape {targets.shape[1:]}"
        return [Problem("/loss", "does_not_fit", detail)]
    counted = _counted(spec, targets)
    if not counted.size:
        return [Problem("/loss/ignore_index", "does_not_fit", "every target of the dataset is ignored", None, spec["loss"]["ignore_index"])]
    if counted.min() < 0:
        detail = f"{name} needs classes from 0 on, but the dataset has a target of {counted.min()}"
        return [Problem("/loss", "does_not_fit", detail + (": set ignore_index to leave it out" if "ignore_index" in spec["loss"] else ""))]
    if not output:
        return [Problem("/model", "does_not_fit", "the model must end with one output a class")]
    dim = spec["loss"].get("class_dim")
    if dim is None and is_ambiguous(output, targets):
        detail = f"either of the model's outputs' dimensions, {output[0]} by {output[1]}, could be the classes': set class_dim to 1 or -1"
        return [Problem("/loss/class_dim", "ambiguous", detail, [1, -1])]
    spec = with_class_dim(spec, output, targets)
    if spec["loss"].get("class_dim") == -1:
        output = (output[-1], *output[:-1])
    if output[1:] != targets.shape[1:]:
        wanted = "x".join(["C", *map(str, targets.shape[1:])])
        detail = f"{name} needs outputs of shape {wanted} for each sample (C the number of classes), got {'x'.join(map(str, output))}"
        return [Problem(_last(spec), "does_not_fit", detail + _advice(output, targets, source), wanted, list(output))]
    n = _class_count(source, counted)
    if output[0] < n:
        detail = f"expected at least {n} outputs (the dataset has {n} classes), got {output[0]}"
        return [Problem(_last(spec), "too_few_outputs", detail, n, output[0])]
    return []


# -- outputs between 0 and 1


def _ends_in_shares(layer: dict[str, Any]) -> bool | None:
    """Whether a layer's results are from 0 to 1 whatever it is given; None where that is so if its input is."""
    kind = layer["type"]
    if kind == "Sequential":
        return _all_in_shares(layer["layers"])
    if kind == "Parallel":
        ends = [_all_in_shares(b) for b in layer["branches"]] if layer["merge"] == "concat" else [False]
        return False if False in ends else None if None in ends else True
    if kind == "Graph":
        found = next((n for n in layer["nodes"] if n["name"] == layer["output"]), None)
        return bool(found and _ends_in_shares(found["layer"]))
    if kind == "Residual":
        return False
    if registry.layers()[kind].facts.range == "kept":
        return None
    return registry.layers()[kind].facts.range == "shares" or (kind == "Hardtanh" and layer["min_val"] >= 0 and layer["max_val"] <= 1)


def _all_in_shares(layers: list[dict[str, Any]]) -> bool | None:
    for layer in reversed(layers):
        found = _ends_in_shares(layer)
        if found is not None:
            return found
    return None


def _range_problems(spec: dict[str, Any]) -> list[Problem]:
    """BCELoss takes logarithms of the outputs, which must be probabilities."""
    if spec["loss"]["type"] != "BCELoss" or _all_in_shares(layers_of(spec["model"])):
        return []
    detail = "BCELoss needs outputs from 0 to 1: end the model with a Sigmoid, or use BCEWithLogitsLoss"
    return [Problem(_last(spec), "does_not_fit", detail, "outputs from 0 to 1", layers_of(spec["model"])[-1]["type"])]
