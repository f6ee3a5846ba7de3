"""Metrics of numbers, from sums over the epoch; of several outputs, the mean over them."""

from __future__ import annotations

import math

import numpy as np

from engine.metrics.outcome import Array, Outcome


class Errors:
    """For each output: sums of errors, and the targets' variance about their mean (Chan et al., 1983), which loses no digits to a large mean."""

    def __init__(self) -> None:
        self.n = 0
        self.absolute: Array = np.zeros(1)
        self.squared: Array = np.zeros(1)
        self.spread: Array = np.zeros(1)  # of squared distances to the mean
        self._origin: Array = np.zeros(1)
        self._mean: Array = np.zeros(1)  # from the origin

    def add(self, batch: Outcome) -> None:
        error, n = batch.predicted - batch.actual, len(batch.actual)
        if not n:
            return
        if not self.n:
            self._origin = batch.actual[0]
        offsets = batch.actual - self._origin
        mean = offsets.mean(0)
        delta, total = mean - self._mean, self.n + n
        self.spread = self.spread + ((offsets - mean) ** 2).sum(0) + delta**2 * (self.n * n / total)
        self._mean = self._mean + delta * (n / total)
        self.absolute = self.absolute + np.abs(error).sum(0)
        self.squared = self.squared + (error**2).sum(0)
        self.n = total


def mae(held: Errors) -> float | None:
    """The mean absolute error."""
    return float((held.absolute / held.n).mean()) if held.n else None


def rmse(held: Errors) -> float | None:
    """The root of the mean squared error."""
    return float(np.sqrt(held.squared / held.n).mean()) if held.n else None


def r2(held: Errors) -> float | None:
    """The coefficient of determination, at most 1; where the targets do not vary, 1 if all are met and else 0. None of less than two elements."""
    if held.n < 2:
        return None
    varies = held.spread > 0
    shares = 1 - np.divide(held.squared, held.spread, out=np.zeros_like(held.squared), where=varies)
    found = float(np.where(varies, shares, held.squared == 0).mean())
    return found if math.isfinite(found) else None
