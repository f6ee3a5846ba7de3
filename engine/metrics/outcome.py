"""What a batch came to: a model's outputs and the targets in the reading that metrics count, as the loss means them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, Any]
Need = Literal["choice", "classes", "scores", "numbers"]
"""``choice``: one class of several for each element. ``classes``: that, or whether each of several labels applies. ``scores``: how much speaks for each class
of a sample. ``numbers``: values to be compared with others."""
MAX_SCORED_RANK = 2
"""Scores of an epoch are kept: of samples, not of the pixels of maps."""


@dataclass(frozen=True)
class Outcome:
    """The elements of a batch: samples, or the pixels of maps. What the loss ignores is not among them.

    ``predicted`` and ``actual``: class numbers ``(M,)``, or for each of several labels whether it applies ``(M, L)``, or numbers ``(M, D)``.
    ``scores (M, K)`` grow with what speaks for each class.
    """

    predicted: Array
    actual: Array
    classes: int = 0
    scores: Array | None = None


@dataclass(frozen=True)
class Reading:
    """How a loss reads outputs: ``read(outputs, targets, settings)``, where settings are the loss's section of the spec."""

    kind: Literal["choice", "decisions", "numbers", "none"]
    read: Callable[[Array, Array, dict[str, Any]], Outcome]

    def provides(self, target_shape: tuple[int, ...]) -> tuple[Need, ...]:
        """What metrics can count, for targets of this shape (of one sample)."""
        scores: tuple[Need, ...] = ("scores",) if len(target_shape) < MAX_SCORED_RANK else ()
        if self.kind == "choice" or (self.kind == "decisions" and _is_binary((1, *target_shape))):
            return ("choice", "classes", *scores)
        return {"decisions": ("classes", *scores), "numbers": ("numbers",)}.get(self.kind, ())


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def classes_second(out: Array, loss: dict[str, Any]) -> Array:
    """Outputs ``(N, K, ...)``, of a model whose last dimension may be that of the classes."""
    return np.moveaxis(out, -1, 1) if loss.get("class_dim") == -1 else out


def _choice(out: Array, target: Array, loss: dict[str, Any]) -> Outcome:
    """Scores ``(N, K, ...)`` of classes ``(N, ...)``, or ``(N, ..., K)`` where the loss says so."""
    out = classes_second(out, loss)
    kept = (target != loss.get("ignore_index", -100)).ravel()
    scores = _softmax(out[kept].astype(np.float64)) if out.ndim == 2 else None
    return Outcome(out.argmax(1).ravel()[kept], target.ravel()[kept], out.shape[1], scores)


def _is_binary(shape: tuple[int, ...]) -> bool:
    return len(shape) == 1 or shape[1] == 1


def _decisions(bound: float, middle: float) -> Callable[[Array, Array, dict[str, Any]], Outcome]:
    """Outputs above ``bound`` say yes, as targets above ``middle`` do: one decision an element, or one for each of the labels ``(N, L, ...)``."""

    def read(out: Array, target: Array, loss: dict[str, Any]) -> Outcome:
        yes, true = out > bound, target > middle
        if _is_binary(target.shape):
            flat = out.ravel().astype(np.float64)
            scores = np.stack([-flat, flat], 1) if target.ndim <= MAX_SCORED_RANK else None
            return Outcome(yes.ravel().astype(np.int64), true.ravel().astype(np.int64), 2, scores)
        labels = target.shape[1]
        yes, true, rows = (np.moveaxis(a, 1, -1).reshape(-1, labels) for a in (yes, true, out))
        return Outcome(yes, true, labels, rows.astype(np.float64) if target.ndim <= MAX_SCORED_RANK else None)

    return read


def _columns(x: Array) -> Array:
    """Numbers ``(N, D, ...)`` as ``(M, D)`` in double precision."""
    x = x.astype(np.float64)
    return x.reshape(-1, 1) if x.ndim == 1 else np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])


def _numbers(out: Array, target: Array, loss: dict[str, Any]) -> Outcome:
    return Outcome(_columns(out), _columns(target))


def _counts(out: Array, target: Array, loss: dict[str, Any]) -> Outcome:
    """Rates, which the model gives as logarithms unless told otherwise."""
    found = _numbers(out, target, loss)
    return dataclasses.replace(found, predicted=np.exp(found.predicted)) if loss.get("log_input", True) else found


def _probabilities(out: Array, target: Array, loss: dict[str, Any]) -> Outcome:
    """Log-probabilities, of probabilities or of their logarithms."""
    found = _numbers(out, target, loss)
    actual = np.exp(found.actual) if loss.get("log_target") else found.actual
    return Outcome(np.exp(found.predicted), actual)


_CHOICE, _NUMBERS, _NONE = Reading("choice", _choice), Reading("numbers", _numbers), Reading("none", _numbers)
READINGS: dict[str, Reading] = {
    "CrossEntropyLoss": _CHOICE,
    "NLLLoss": _CHOICE,
    "MultiMarginLoss": _CHOICE,
    "BCELoss": Reading("decisions", _decisions(0.5, 0.5)),
    "BCEWithLogitsLoss": Reading("decisions", _decisions(0.0, 0.5)),
    "MultiLabelSoftMarginLoss": Reading("decisions", _decisions(0.0, 0.5)),
    "SoftMarginLoss": Reading("decisions", _decisions(0.0, 0.0)),
    "MSELoss": _NUMBERS,
    "L1Loss": _NUMBERS,
    "SmoothL1Loss": _NUMBERS,
    "HuberLoss": _NUMBERS,
    "PoissonNLLLoss": Reading("numbers", _counts),
    "KLDivLoss": Reading("numbers", _probabilities),
    "GaussianKLLoss": _NONE,
    "HingeEmbeddingLoss": _NONE,  # its outputs are distances
}
"""By the loss's name."""


def reading(loss: dict[str, Any]) -> Reading:
    """The reading of a spec's loss; a loss of its own kind compares numbers."""
    return READINGS.get(loss["type"], _NUMBERS)
