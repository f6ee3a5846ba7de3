"""Metrics of given outputs and targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.metrics import Meter

Array = np.ndarray[Any, Any]
CE: dict[str, Any] = {"type": "CrossEntropyLoss"}
LOGITS: dict[str, Any] = {"type": "BCEWithLogitsLoss"}


def measured(names: list[str], loss: dict[str, Any], out: Array, target: Array, size: int, classes: Any = None) -> dict[str, Any]:
    """The values of an epoch whose batches have ``size`` samples."""
    meter = Meter(names, loss, classes)
    for i in range(0, len(out), size):
        meter.add(out[i : i + size], target[i : i + size])
    return meter.values()
