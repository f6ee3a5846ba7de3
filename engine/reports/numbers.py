"""Reports of numbers: how residuals are spread, and which samples are furthest off."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.reports.classes import WORST

Array = np.ndarray[Any, Any]
QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
MAX_OUTPUTS = 64
"""Of more numbers a sample, of an image that is to be the input again, say, only the error is told."""
_BARS = 24


def residuals(predicted: Array, actual: Array) -> list[dict[str, Any]]:
    """Of each output, of ``(M, D)`` both: quantiles of ``predicted - actual``, their mean, its mean absolute and root mean squared errors, and a histogram."""
    found = []
    for column in (predicted - actual).T[:MAX_OUTPUTS]:
        low, high = np.quantile(column, [0.005, 0.995]).tolist()
        counts, edges = np.histogram(np.clip(column, low, high), _BARS, (low, high) if high > low else (low - 0.5, low + 0.5))
        quantiles = dict(zip(map(str, QUANTILES), np.quantile(column, QUANTILES).tolist(), strict=True))
        found.append(
            {"quantiles": quantiles, "mean": float(column.mean()), "mae": float(np.abs(column).mean()), "rmse": float(np.sqrt((column**2).mean())),
             "histogram": {"counts": counts.tolist(), "edges": edges.tolist()}}
        )  # fmt: skip
    return found


def furthest_off(ids: Array, predicted: Array, actual: Array) -> list[dict[str, Any]]:
    """The 64 samples with the largest errors, each output's in parts of its target's standard deviation; of samples ``(N, D)``."""
    spread = actual.std(0)
    error = (np.abs(predicted - actual) / np.where(spread > 0, spread, 1)).max(1)
    order = np.argsort(-error, kind="stable")[:WORST]
    few = predicted.shape[1] <= MAX_OUTPUTS
    return [
        {"id": int(ids[i]), "error": float(np.abs(predicted[i] - actual[i]).max()), **({"true": actual[i].tolist(), "predicted": predicted[i].tolist()} if few else {})}
        for i in order
    ]  # fmt: skip
