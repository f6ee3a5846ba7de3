"""Classes of unequal size: weights for the loss, or batches in which each has the same share."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.data.source import Source
from engine.ops.random import Generator, permutation

Array = np.ndarray[Any, Any]
_BY_CLASS = ("CrossEntropyLoss", "NLLLoss", "MultiMarginLoss")
_BY_LABEL = ("BCEWithLogitsLoss",)


def unweightable(loss: dict[str, Any], targets: Array) -> str | None:
    """Why ``data.class_weights`` cannot work with a loss and its targets; None where it can."""
    if loss["type"] not in (*_BY_CLASS, *_BY_LABEL):
        return f"class weights are for {', '.join((*_BY_CLASS, *_BY_LABEL))}, not for {loss['type']}"
    given = next((k for k in ("weight", "pos_weight") if loss.get(k) is not None), None)
    if given:
        return f"the loss has a {given} of its own"
    if loss["type"] in _BY_LABEL and targets.ndim > 2 and targets.shape[1] > 1:
        return "class weights are for one map of labels, not for several"
    return None


def class_weights(loss: dict[str, Any], targets: Array, outputs: int) -> dict[str, Any]:
    """The loss with weights that give every class of the training samples' ``targets`` the same share of it (King and Zeng, 2001).

    With ``n`` elements of ``k`` classes, a class of ``m`` has the weight ``n / (k m)``, as in scikit-learn; a label that applies ``m`` times the weight
    ``(n - m) / m``. What does not occur keeps the weight 1. ``outputs`` is how many classes the model knows.
    """
    if loss["type"] in _BY_LABEL:
        labels = targets.reshape(len(targets), -1) if targets.ndim == 2 else targets.reshape(-1, 1)
        applies = (labels > 0.5).sum(0)
        weights = np.divide(len(labels) - applies, applies, out=np.ones(len(applies)), where=applies > 0)
        return {**loss, "pos_weight": [w or 1.0 for w in weights.tolist()]}
    known = targets[(targets != loss.get("ignore_index", -100)) & (targets >= 0)]
    counts = np.bincount(known.ravel(), minlength=outputs)
    weights = np.divide(known.size, np.count_nonzero(counts) * counts, out=np.ones(len(counts)), where=counts > 0)
    return {**loss, "weight": weights.tolist()}


def unsampleable(source: Source) -> str | None:
    """Why ``data.sampler`` cannot balance a dataset; None where it can."""
    classes = source.targets_as("classes")
    return None if classes is not None and classes.ndim == 1 else "a balanced sampler needs one class a sample"


def balanced(indices: Array, classes: Array, generator: Generator) -> Array:
    """As many samples as ``indices``, in random order, the same number of each class or one more.

    Small classes are repeated, each sample as often as the others of its class or once more; of large ones a part is drawn.
    """
    _, of, counts = np.unique(classes, return_inverse=True, return_counts=True)
    groups = np.split(indices[np.argsort(of, kind="stable")], np.cumsum(counts)[:-1])
    each, over = divmod(len(indices), len(groups))
    favoured = set(permutation(len(groups), generator)[:over].tolist())
    parts = []
    for c, own in enumerate(groups):
        wanted = each + (c in favoured)
        rounds = [own[permutation(len(own), generator)] for _ in range(-(-wanted // len(own)))]
        parts.append(np.concatenate([*rounds, own[:0]])[:wanted])
    drawn = np.concatenate(parts)
    return drawn[permutation(len(drawn), generator)]
