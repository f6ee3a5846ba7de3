"""Who trains, who is held out, and who is kept for the test at the end."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.data.source import Source
from engine.ops.random import Generator, permutation

_SPLIT = 1  # stream of the seed
Indices = np.ndarray[Any, np.dtype[np.int64]]


def split_indices(source: Source, spec: dict[str, Any]) -> tuple[Indices, Indices]:
    """The samples that train and those that are held out, each in ascending order.

    A dataset's own ``val`` split is held out as it is. Else a share of ``data.validation`` is drawn by the seed from what is not in its ``test`` split: of each
    class its part, where the targets are one class a sample.
    """
    pool = np.setdiff1d(np.arange(len(source)), test_indices(source))
    if len(own := source.splits.get("val", ())):
        return np.setdiff1d(pool, own), np.sort(own)
    held = max(0, min(len(pool) - 1, round(len(pool) * spec["data"]["validation"])))
    order = pool[permutation(len(pool), Generator(seed=spec["seed"], stream=_SPLIT << 56))]
    classes = source.targets_as("classes")
    held_out = order[:held] if classes is None or classes.ndim > 1 else _stratified(order, classes[order], held)
    return np.setdiff1d(pool, held_out), np.sort(held_out)


def test_indices(source: Source) -> Indices:
    """The dataset's own ``test`` split; empty where it has none."""
    return np.sort(np.asarray(source.splits.get("test", ()), np.int64))


def _stratified(order: Indices, classes: Indices, held: int) -> Indices:
    """The first samples of each class in ``order``, ``held`` in all; where that takes the last of a class, whoever comes first in ``order``."""
    _, of, counts = np.unique(classes, return_inverse=True, return_counts=True)
    by_class = np.argsort(of, kind="stable")
    rank = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)  # within the class
    taken = np.zeros(len(of), bool)
    taken[by_class[rank < np.repeat(_quotas(counts, held), counts)]] = True
    return np.concatenate([order[taken], order[~taken][: held - np.count_nonzero(taken)]])


def _quotas(counts: Indices, held: int) -> Indices:
    """How many samples of each class are held out: its share, rounded so that the sum is right, the largest remainders up.

    A class that has two samples or more gives one at least, as long as there are enough to be held out, and no class gives its last one.
    """
    spare = counts - 1
    share = held * counts / counts.sum()
    quotas = np.minimum(np.floor(share).astype(np.int64), spare)
    if held >= np.count_nonzero(spare):
        quotas = np.maximum(quotas, np.minimum(spare, 1))
    while (missing := held - int(quotas.sum())) != 0:
        up = missing > 0
        free = np.flatnonzero(quotas < spare if up else quotas > 1)
        if not len(free):
            break  # as many classes as samples
        lacking = (share - quotas)[free]
        quotas[free[np.argsort(-lacking if up else lacking, kind="stable")][: abs(missing)]] += 1 if up else -1
    return quotas


__all__ = ["split_indices", "test_indices"]
