"""What the loss of a batch is a mean of, so that an epoch's loss is the mean over its samples, however they came in batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_BY_CLASS = ("CrossEntropyLoss", "NLLLoss")
"""Their mean is over the weights of the targets that are not ignored."""


class Scales:
    """The same for several outputs: batches are weighed by their samples where there is more than one."""

    def __init__(self, losses: list[dict[str, Any]], targets: Sequence[Array]) -> None:
        self._one = Scale(losses[0], targets[0]) if len(losses) == 1 else None
        self.is_sum = self._one is not None and self._one.is_sum

    def weight(self, targets: Sequence[Array]) -> float:
        """How much the loss of a batch with these targets of each output counts."""
        return float(len(targets[0])) if self._one is None else self._one.weight(targets[0])

    def mean(self, loss: float, targets: Sequence[Array]) -> float:
        """The loss of a batch as a mean."""
        return loss if self._one is None else self._one.mean(loss, targets[0])


class Scale:
    """The weight of a batch in the mean of its epoch. ``loss`` is a spec's section, ``targets`` are all of the dataset's.

    A loss that is summed becomes a mean over samples too: training and validation are on one scale.
    """

    def __init__(self, loss: dict[str, Any], targets: Array) -> None:
        self.is_sum = loss.get("reduction", "mean") == "sum"
        self._weights = self._ignored = None
        if loss["type"] in _BY_CLASS and targets.dtype.kind == "i" and loss.get("reduction", "mean") == "mean":
            self._weights = None if loss.get("weight") is None else np.asarray(loss["weight"], np.float64)
            ignored = loss.get("ignore_index", -100)
            self._ignored = ignored if (targets == ignored).any() else None

    def weight(self, targets: Array) -> float:
        """How much the loss of a batch with these targets counts: by its elements, or their classes; 0 where all of them are ignored.

        Shares of classes count as elements do: of them the loss is a mean over samples, whatever the weights of the classes.
        """
        if self._ignored is not None:
            targets = targets[targets != self._ignored]
        return float(targets.size if self._weights is None or targets.dtype.kind == "f" else self._weights[targets].sum())

    def mean(self, loss: float, targets: Array) -> float:
        """The loss of a batch as a mean."""
        return loss / len(targets) if self.is_sum else loss
