"""Targets other than the dataset's own: the input itself, as an autoencoder has it, what comes next in a sequence, as a language model has it, or some of several."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from engine.data.batches import Pipeline
from engine.data.source import Kind, Source
from engine.spec import Problem, SpecError, wants_indices

Array = np.ndarray[Any, Any]


class SelfTarget(Source):
    """A source whose ``targets`` follow from its samples; ``bounds`` are the least and the greatest number among them, as far as that is known."""

    def __init__(self, source: Source, arrays: Array | None, targets: Array, bounds: tuple[float, float]) -> None:
        self.__dict__.update(source.__dict__)
        self.__dict__ |= {"index_limit": source.index_limit, "splits": source.splits}
        self._known = source.known
        self.arrays, self.targets, self.bounds = arrays, targets, bounds
        shape = source.report.shape if arrays is None else list(arrays.shape[1:])
        self.report = dataclasses.replace(source.report, classes=None, counts={}, shape=shape)

    @property
    def known(self) -> dict[str, Any]:
        return self._known

    def targets_as(self, kind: Kind) -> Array | None:
        whole = self.targets.dtype.kind == "i"
        return self.targets if whole is (kind == "classes") else None


class SomeTargets(Source):
    """A source of which only some columns of the targets ``(N, D)`` are targets: whole numbers from 0 on of one column are classes, too."""

    def __init__(self, source: Source, columns: list[int]) -> None:
        self.__dict__.update(source.__dict__)
        whole, numbers = source.targets_as("classes"), source.targets_as("numbers")
        held = whole if whole is not None else numbers
        if held is None or held.ndim != 2 or max(columns) >= held.shape[1]:
            there = "no several numbers a sample" if held is None or held.ndim != 2 else f"{held.shape[1]}, from 0 on"
            raise SpecError(
                [
                    Problem(
                        "/columns", "does_not_fit", f"expected columns of the dataset's targets, of which there are {there}", None, columns
                    )
                ]
            )
        self._numbers = (held if numbers is None else numbers)[:, columns].astype(np.float32)
        one = self._numbers[:, 0]
        self._classes = one.astype(np.int64) if len(columns) == 1 and bool((one == np.floor(one)).all()) and one.min() >= 0 else None
        self.targets = self._numbers if self._classes is None else self._classes
        self.report = dataclasses.replace(source.report, classes=None, counts={})

    def targets_as(self, kind: Kind) -> Array | None:
        return self._classes if kind == "classes" else self._numbers


def with_own_targets(source: Source, spec: dict[str, Any], shape: tuple[int, ...] | None = None) -> Source:
    """The source with the targets that the spec's ``data.target`` asks for; as it is where it asks for none.

    The input itself is known once the ``shape`` of a transformed sample is; its numbers come with each batch. Raises SpecError.
    """
    kind, columns = spec["data"]["target"], spec["data"].get("columns")
    if kind is None and columns is not None:
        return SomeTargets(source, columns)
    if kind is None or isinstance(source, SelfTarget) or (kind == "next" and source.predicts_next):
        return source
    if kind == "next":
        return _shifted(source, spec)
    return source if shape is None else _itself(source, spec, shape)


def _indices(source: Source, spec: dict[str, Any]) -> bool:
    return wants_indices(spec["model"]) and source.index_limit is not None


def _shifted(source: Source, spec: dict[str, Any]) -> SelfTarget:
    """Samples ``(L, ..)`` without their last element, to tell each next one from: targets ``(L - 1, ..)``."""
    x, scaled = source.arrays, source.report.scale is not None
    if x is None or scaled or x.ndim < 2 or x.shape[1] < 2 or spec["data"]["transform"]:
        what = (
            "images"
            if x is None or scaled
            else "sequences with transforms"
            if spec["data"]["transform"]
            else f"samples of shape {x.shape[1:]}"
        )
        detail = f'"next" is for sequences of two elements or more, without transforms, but the dataset has {what}'
        raise SpecError([Problem("/data/target", "does_not_fit", detail, None, "next")])
    y = x[:, 1:]
    return SelfTarget(source, x[:, :-1], y.astype(np.int64 if _indices(source, spec) else np.float32), _bounds(y))


def _itself(source: Source, spec: dict[str, Any], shape: tuple[int, ...]) -> SelfTarget:
    """Targets in the shape of the inputs: indices as they are; of numbers nothing but the shape is kept."""
    if _indices(source, spec) and source.arrays is not None:
        return SelfTarget(source, source.arrays, source.arrays.astype(np.int64), _bounds(source.arrays))
    pipeline = Pipeline(spec["data"]["transform"])
    if pipeline.after:  # normalized
        bounds = -math.inf, math.inf
    else:
        bounds = (0.0, 1.0) if source.arrays is None or source.arrays.dtype == np.uint8 else _bounds(source.arrays)
    return SelfTarget(source, source.arrays, np.broadcast_to(np.float32(0), (len(source), *shape)), bounds)


def _bounds(x: Array) -> tuple[float, float]:
    return float(x.min()), float(x.max())
