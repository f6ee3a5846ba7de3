"""Who trains, who is held out, and who is kept for the test at the end."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.data.source import Source
from engine.ops.random import Generator, permutation

_SPLIT = 1  # stream of the seed
Indices = np.ndarray[Any, np.dtype[np.int64]]


def split_indices(n: int, spec: dict[str, Any], classes: Indices | None = None) -> tuple[Indices, Indices]:
    """A draw by the seed: which of ``n`` samples train and which share of ``data.validation`` is held out, each in ascending order.

    Of each of the ``classes`` ``(n)`` its part is held out, where they are given.
    """
    held = max(0, min(n - 1, round(n * spec["data"]["validation"])))
    order = permutation(n, Generator(seed=spec["seed"], stream=_SPLIT << 56))
    held_out = order[:held] if classes is None else _stratified(order, classes[order], held)
    return np.setdiff1d(np.arange(n), held_out), np.sort(held_out)


def partition(source: Source, spec: dict[str, Any]) -> tuple[Indices, Indices]:
    """The samples of a dataset that train and those that are held out: its own ``val`` split as it is, else drawn from what its ``test`` split leaves."""
    pool = np.setdiff1d(np.arange(len(source)), test_indices(source))
    if len(own := source.splits.get("val", ())):
        return np.setdiff1d(pool, own), np.sort(own)
    classes = source.targets_as("classes")
    train, val = split_indices(len(pool), spec, None if classes is None or classes.ndim > 1 else classes[pool])
    return pool[train], pool[val]


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


__all__ = ["partition", "split_indices", "test_indices"]
