"""The area under the ROC curve, exactly: from the ranks of all scores of an epoch."""

from __future__ import annotations

import numpy as np

from engine.metrics.outcome import Array, Outcome


class Ranking:
    """All scores of an epoch, and which classes were there."""

    def __init__(self) -> None:
        self._scores: list[Array] = []
        self._there: list[Array] = []

    def add(self, batch: Outcome) -> None:
        assert batch.scores is not None
        self._scores.append(batch.scores)
        self._there.append(batch.actual if batch.actual.ndim == 2 else batch.actual[:, None] == np.arange(batch.classes))

    def columns(self) -> list[tuple[Array, Array]]:
        """For each class: the scores, and whether it was there."""
        if not self._scores:
            return []
        return list(zip(np.concatenate(self._scores).T, np.concatenate(self._there).T, strict=True))


def auroc(held: Ranking) -> Array:
    """For each class, how probably a sample of it scores higher than one of another; NaN for a class that all samples have, or none."""
    return np.array([_area(scores, there) for scores, there in held.columns()])


def _area(scores: Array, there: Array) -> float:
    positive, n = int(there.sum()), len(there)
    if not 0 < positive < n:
        return np.nan
    _, of, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[of]  # the mean rank of equal scores
    return float((ranks[there].sum() - positive * (positive + 1) / 2) / (positive * (n - positive)))
