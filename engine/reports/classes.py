"""Reports of classes: which are taken for which, how far probabilities can be trusted, which samples are most wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.metrics.counts import ClassCounts, f1, iou, precision, recall

Array = np.ndarray[Any, Any]
WORST = 64
BINS = 15
MAX_MATRIX, MAX_CLASSES, MAX_PAIRS = 64, 1000, 64
"""Larger matrices are told by their largest entries beside the diagonal, and more classes by their mean."""


def names_of(classes: Sequence[str] | None, n: int) -> list[str]:
    """A name for each of ``n`` classes: their number where there is none."""
    known = list(classes or ())[:n]
    return [*known, *map(str, range(len(known), n))]


def confusion(actual: Array, predicted: Array, n: int) -> Array:
    """How often class ``i`` was taken for class ``j``, ``(n, n)``, of class numbers ``(M,)``."""
    return np.bincount(actual * n + predicted, minlength=n * n).reshape(n, n)


def counted(matrix: Array) -> ClassCounts:
    """The counts of each class that a matrix ``(n, n)`` has."""
    held = ClassCounts()
    held.both, held.predicted, held.actual = np.diag(matrix), matrix.sum(0), matrix.sum(1)
    held.right, held.elements = int(held.both.sum()), int(matrix.sum())
    return held


def per_class(held: ClassCounts, names: Sequence[str], with_iou: bool = False) -> list[dict[str, Any]]:
    """Precision, recall and F1 (and IoU) of each class that is there or is predicted, and how many elements have it."""
    columns = {"precision": precision(held), "recall": recall(held), "f1": f1(held), **({"iou": iou(held)} if with_iou else {})}
    there = np.flatnonzero(held.occurring)[:MAX_CLASSES]
    values = {k: v[there].tolist() for k, v in columns.items()}
    support = held.actual[there].tolist()
    return [{"class": names[c], "support": support[i], **{k: v[i] for k, v in values.items()}} for i, c in enumerate(there.tolist())]


def matrix_of(matrix: Array, names: Sequence[str]) -> dict[str, Any]:
    """The matrix, or where it is large the pairs that are confused most."""
    if len(matrix) <= MAX_MATRIX:
        return {"classes": list(names), "confusion_matrix": matrix.tolist()}
    wrong = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MAX_PAIRS]
    pairs = [(int(i // len(matrix)), int(i % len(matrix))) for i in order]
    return {"confused": [{"true": names[i], "predicted": names[j], "count": int(wrong[i, j])} for i, j in pairs if wrong[i, j]]}


def calibration(confidence: Array, right: Array) -> dict[str, Any]:
    """The expected calibration error (Guo et al., 2017) over 15 bins of equal width, and of each bin that is not empty its bounds, how many predictions it
    has, their mean ``confidence`` and the share of them that is ``right``; both ``(M,)``."""
    at = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)  # a bound belongs to the bin below
    counts = np.bincount(at, minlength=BINS)
    sums = np.bincount(at, confidence, BINS)
    hits = np.bincount(at, right, BINS)
    ece = float(np.abs(sums - hits).sum() / max(1, len(confidence)))
    found = [
        {"from": i / BINS, "to": (i + 1) / BINS, "count": n, "confidence": s / n, "accuracy": h / n}
        for i, (n, s, h) in enumerate(zip(counts.tolist(), sums.tolist(), hits.tolist()))
        if n
    ]
    return {"ece": ece, "bins": found}


def most_wrong(ids: Array, actual: Array, predicted: Array, own: Array, confidence: Array, names: Sequence[str]) -> list[dict[str, Any]]:
    """Of the samples with another class than predicted the 64 that give their ``own`` class the least probability, and the ``confidence`` in what was predicted."""
    wrong = np.flatnonzero(actual != predicted)
    if len(wrong) > WORST:
        wrong = wrong[np.argpartition(own[wrong], WORST)[:WORST]]
    order = wrong[np.argsort(own[wrong], kind="stable")]
    columns = [x[order].tolist() for x in (ids, actual, predicted, own, confidence)]
    return [
        {"id": i, "true": names[t], "predicted": names[p], "probability": q, "confidence": c}
        for i, t, p, q, c in zip(*columns, strict=True)
    ]
