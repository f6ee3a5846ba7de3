"""What a model's outputs say, in the reading that evaluation has of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.metrics import classes_second, reading

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Prediction:
    """The answer for one sample; what the task does not have is None.

    ``outputs``: the model's own numbers. ``label`` and its ``probability``: one class of several, with the ``probabilities`` of all by name, the most
    probable first. Several labels have a probability each, and ``labels`` are those above one half. ``numbers`` in the shape of the target. ``mask``: the
    number of a class for each element of a map. ``parts``: of a model with several outputs the answer of each, by name.
    """

    outputs: Array
    label: str | None = None
    probability: float | None = None
    probabilities: dict[str, float] | None = None
    labels: list[str] | None = None
    numbers: Array | None = None
    mask: Array | None = None
    parts: dict[str, Prediction] | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it, without the outputs."""
        found = {k: v for k, v in vars(self).items() if v is not None and k != "outputs"}
        if self.parts is not None:
            return {n: p.as_dict() for n, p in self.parts.items()}
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in found.items()}


def read(out: Array, loss: dict[str, Any], classes: Sequence[str] | None) -> list[Prediction]:
    """The answers that outputs ``(N, ..)`` are, for a model trained with a spec's ``loss``. ``classes`` names the classes."""
    kind = reading(loss).kind
    if kind == "choice":
        return _choices(out, loss, classes)
    return _decisions(out, loss, classes) if kind == "decisions" else _numbers(out, loss)


def _named(classes: Sequence[str] | None, n: int) -> list[str]:
    known = list(classes or ())[:n]
    return [*known, *map(str, range(len(known), n))]


def _chosen(out: Array, shares: Array, predicted: Array, names: list[str]) -> list[Prediction]:
    """One class of several for each sample, by the shares ``(N, K)`` that they have."""
    found = []
    for row, p, best in zip(out, shares, predicted, strict=True):
        order = np.argsort(-p, kind="stable")
        found.append(Prediction(row, names[best], float(p[best]), {names[i]: float(p[i]) for i in order}))
    return found


def _choices(out: Array, loss: dict[str, Any], classes: Sequence[str] | None) -> list[Prediction]:
    shape = classes_second(out, loss).shape
    counted = np.full((len(out), *shape[2:]), loss.get("ignore_index", -100) + 1)  # a target that nothing ignores
    outcome = reading(loss).read(out, counted, loss)
    if out.ndim > 2:
        return [Prediction(row, mask=m) for row, m in zip(out, outcome.predicted.reshape(counted.shape), strict=True)]
    assert outcome.scores is not None
    return _chosen(out, outcome.scores, outcome.predicted, _named(classes, out.shape[1]))


def _decisions(out: Array, loss: dict[str, Any], classes: Sequence[str] | None) -> list[Prediction]:
    """Yes or no for each element: two classes where there is one output, else several labels."""
    yes = reading(loss).read(out, np.zeros(out.shape), loss).predicted
    with np.errstate(over="ignore"):
        p = out.astype(np.float64) if loss["type"] == "BCELoss" else 1 / (1 + np.exp(-out.astype(np.float64)))
    labels = out.shape[1] if out.ndim > 1 else 1
    if out.ndim > 2:
        masks = yes.reshape(len(out), *out.shape[2:], -1)
        masks = masks[..., 0] if labels == 1 else np.moveaxis(masks, -1, 1)
        return [Prediction(row, mask=m.astype(np.int64)) for row, m in zip(out, masks, strict=True)]
    if labels == 1:
        p = p.reshape(-1)
        return _chosen(out, np.stack([1 - p, p], 1), yes, _named(classes, 2))
    names = _named(classes, labels)
    return [
        Prediction(row, probabilities=dict(zip(names, map(float, q))), labels=[n for n, known in zip(names, k) if known])
        for row, q, k in zip(out, p, yes, strict=True)
    ]


def _numbers(out: Array, loss: dict[str, Any]) -> list[Prediction]:
    found = reading(loss).read(out, np.zeros(out.shape), loss).predicted
    numbers = np.moveaxis(found.reshape(len(out), *out.shape[2:], -1), -1, 1) if out.ndim > 1 else found
    return [Prediction(row, numbers=n) for row, n in zip(out, numbers, strict=True)]
