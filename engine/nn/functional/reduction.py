"""How losses are reduced to a number."""

from __future__ import annotations

from engine.tensor import Tensor


def reduced(loss: Tensor, reduction: str, size_average: bool | None = None, reduce: bool | None = None) -> Tensor:
    """The loss's mean, its sum, or itself; ``size_average`` and ``reduce`` are PyTorch's older way to say so."""
    if size_average is not None or reduce is not None:
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
    check_reduction(reduction)
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


def check_reduction(reduction: str) -> None:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction")


def same_shape(x: Tensor, target: Tensor, name: str) -> None:
    """Raises RuntimeError where broadcasting would hide a mistake."""
    if x._data.shape != target._data.shape:
        raise RuntimeError(
            f"{name}: the input and the target must have one shape, got {tuple(x.shape)} and {tuple(target.shape)}; to broadcast on purpose, expand one of them"
        )
