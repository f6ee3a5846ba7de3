"""The loss of sequences whose alignment with their labels is not known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.creation import tensor
from engine.modes import full_precision
from engine.nn.functional.reduction import check_reduction
from engine.ops.ctc import ctc
from engine.tensor import Tensor

Lengths = Tensor | Sequence[int] | int


def _lengths(given: Any, name: str, count: int, most: int) -> np.ndarray[Any, Any]:
    found = np.atleast_1d(given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given))
    if found.dtype.kind not in "iu":
        raise RuntimeError(f"{name} must be integral, got {found.dtype}")
    if found.shape != (count,):
        raise RuntimeError(f"{name} must be of size batch_size: expected {count} numbers, got {list(found.shape)}")
    for n in found:
        if not 0 <= n <= most:
            bound = "least 0" if n < 0 else f"most {most}"
            raise RuntimeError(f"Expected {name} to have value at {bound}, but got value {n}")
    return found


@full_precision
def ctc_loss(
    log_probs: Tensor, targets: Tensor, input_lengths: Lengths, target_lengths: Lengths, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
) -> Tensor:  # fmt: skip
    """Minus the log-probability of the labels ``targets``, ``(N, S)`` or one behind the other, given ``log_probs (T, N, C)`` or ``(T, C)``.

    The mean is of losses by the number of their labels. ``zero_infinity`` gives labels that are too many for the time neither loss nor gradient.
    """
    check_reduction(reduction)
    batched = log_probs.ndim == 3
    if not batched and log_probs.ndim != 2:
        raise RuntimeError(f"ctc_loss: expected log_probs of (T, N, C) or (T, C), got {list(log_probs.shape)}")
    scores = log_probs if batched else log_probs.unsqueeze(1)
    count, sequences, classes = scores.shape
    if not scores.numel():
        raise RuntimeError(f"log_probs tensor must not be empty, got {list(log_probs.shape)}")
    if not 0 <= blank < classes:
        raise RuntimeError(f"blank must be in label range, 0 to {classes - 1}, got {blank}")
    labels = targets.detach().cpu().numpy().astype(np.int64)
    steps = _lengths(input_lengths, "input_lengths", sequences, count)
    if labels.ndim == 1 and batched:
        each = _lengths(target_lengths, "target_lengths", sequences, labels.size)
        if each.sum() != labels.size:
            raise RuntimeError(f"Expected targets of {int(each.sum())} labels, which target_lengths add up to, got {labels.size}")
        rows = np.split(labels, np.cumsum(each)[:-1])
    else:
        table = labels if labels.ndim == 2 else labels[None]
        each = _lengths(target_lengths, "target_lengths", sequences, table.shape[1])
        rows = [row[:n] for row, n in zip(table, each, strict=True)]
    places = np.full((sequences, 2 * int(each.max(initial=0)) + 1), blank)
    for place, row in zip(places, rows, strict=True):
        if row.size and not (row.min() >= 0 and row.max() < classes):
            raise RuntimeError(f"Expected labels from 0 to {classes - 1}, got {row.tolist()}")
        place[1 : 2 * len(row) : 2] = row
    device = scores.device
    losses = ctc(scores, tensor(places, device=device), tensor(steps, device=device), tensor(each, device=device), blank, zero_infinity)
    if reduction == "mean":
        return (losses / tensor(each, device=device).clamp(min=1).to(losses.dtype)).mean()
    return losses.sum() if reduction == "sum" else losses if batched else losses.squeeze(0)


__all__ = ["ctc_loss"]
