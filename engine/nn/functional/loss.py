"""Losses of a prediction and its target."""

from __future__ import annotations

from typing import Literal

import numpy as np

from engine.dispatch import only_recorded
from engine.dtypes import FLOAT
from engine.modes import full_precision, raised, state
from engine.nn.functional.reduction import reduced, same_shape
from engine.ops.elementwise import where
from engine.ops.loss import class_cross_entropy, log_softmax, picked, probability_cross_entropy, squared_distance
from engine.ops.mathematics import xlogy
from engine.ops.unary import softplus as _softplus
from engine.tensor import Tensor


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The mean of ``(x - target)^2``."""
    if state.autocast is not None:
        input, target = raised(input), raised(target)
    same_shape(input, target, "mse_loss")
    plain = weight is None and size_average is None and reduce is None and reduction in ("mean", "sum")
    if plain and input.dtype is target.dtype and input.is_floating_point() and input._data.size:
        return squared_distance(input, target, reduction == "mean")
    loss = (input - target).square()
    return reduced(loss if weight is None else loss * weight, reduction, size_average, reduce)


@full_precision
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """The mean of ``|x - target|``."""
    same_shape(input, target, "l1_loss")
    loss = (input - target).abs()
    return reduced(loss if weight is None else loss * weight, reduction, size_average, reduce)


def _squared_up_to(d: Tensor, limit: float) -> Tensor:
    """Half of the square up to ``limit``, from there on a line; its gradient is finite where ``d`` is not."""
    near = d.clamp(max=limit)
    return near * near * 0.5 + (d - near) * limit


@full_precision
def smooth_l1_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """Squared below ``beta``, absolute above (Girshick, 2015)."""
    same_shape(input, target, "smooth_l1_loss")
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    d = (input - target).abs()
    return reduced(d if beta == 0 else _squared_up_to(d, beta) / beta, reduction, size_average, reduce)


@full_precision
def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Cross-entropy of ``sigmoid(x)`` with probabilities ``target``, without overflow."""
    if input.shape != target.shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    positive = _softplus(-input) if pos_weight is None else _softplus(-input) * pos_weight
    loss = target * positive + (1 - target) * _softplus(input)
    return reduced(loss if weight is None else loss * weight, reduction, size_average, reduce)


@full_precision
def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None) -> Tensor:
    """Squared below ``delta``, absolute above (Huber, 1964)."""
    same_shape(input, target, "huber_loss")
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    loss = _squared_up_to((input - target).abs(), delta)
    return reduced(loss if weight is None else loss * weight, reduction)


@full_precision
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Cross-entropy of probabilities ``input`` with ``target``; logarithms end at -100.

    Raises RuntimeError for an ``input`` or a ``target`` outside of [0, 1]; in a captured step the loss is NaN then.
    """
    if input.shape != target.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is deprecated. Please ensure they have the same size."
        )
    seen = isinstance(input._data, np.ndarray) and input.numel() and not only_recorded()
    if seen and not (float(input._data.min()) >= 0 and float(input._data.max()) <= 1):
        raise RuntimeError("all elements of input should be between 0 and 1")
    if seen and isinstance(target._data, np.ndarray) and not (float(target._data.min()) >= 0 and float(target._data.max()) <= 1):
        raise RuntimeError("all elements of target should be between 0 and 1")
    loss = probability_cross_entropy(input, target)
    return reduced(loss if weight is None else loss * weight, reduction, size_average, reduce)


@full_precision
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """The divergence of log-probabilities ``input`` from ``target``; ``batchmean`` divides by the batch, as its definition does."""
    loss = target.exp() * (target - input) if log_target else xlogy(target, target) - target * input
    if reduction == "batchmean":
        return loss.sum() / input.shape[0] if input.ndim else loss
    return reduced(loss, reduction, size_average, reduce)


@full_precision
def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None, ignore_index: int = -100, reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Minus the log-probability of the target class: ``(N, C, ...)`` with int64 classes ``(N, ...)``; a mean weighted by ``weight (C)``."""
    if size_average is not None or reduce is not None:
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
    if input.ndim == 0:
        raise RuntimeError("nll_loss: Expected 1 or more dimensions (got 0)")
    if target.dtype.category == FLOAT:
        raise RuntimeError(f"nll_loss: expected class indices of an integer type as the target, got {target.dtype.name}")
    batched = input if input.ndim > 1 else input.unsqueeze(0)
    classes = target.long() if input.ndim > 1 else target.long().unsqueeze(0)
    if batched.shape[0] != (classes.shape[0] if classes.ndim else 1):
        raise ValueError(
            f"Expected input batch_size ({batched.shape[0]}) to match target batch_size ({classes.shape[0] if classes.ndim else 1})."
        )
    if (batched.shape[0], *batched.shape[2:]) != tuple(classes.shape):
        raise RuntimeError(f"Expected target size {[batched.shape[0], *batched.shape[2:]]}, got {list(classes.shape)}")
    if weight is not None and tuple(weight.shape) != (batched.shape[1],):
        raise RuntimeError(
            f"weight tensor should be defined either for all {batched.shape[1]} classes or no classes but got weight tensor of shape: {list(weight.shape)}"
        )
    counts = _counts(batched, classes, weight, ignore_index)
    loss = -picked(batched, classes, ignore_index) * counts
    if reduction == "mean":
        return loss.sum() / counts.sum()
    return reduced(loss if input.ndim > 1 else loss.squeeze(0), reduction)


def _counts(input: Tensor, classes: Tensor, weight: Tensor | None, ignore_index: int) -> Tensor:
    """How much each target counts: its class's weight, or 1; 0 if it is ignored."""
    each = input.new_ones(input.shape[1]) if weight is None else weight.detach()
    return picked(each.reshape(-1, *(1,) * (input.ndim - 2)).expand(input.shape), classes, ignore_index)


def cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: bool | None = None, ignore_index: int = -100, reduce: bool | None = None,
    reduction: Literal["mean", "sum", "none"] = "mean", label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """Cross-entropy of ``softmax(x)``, ``(N, C, ...)``, with classes ``(N, ...)`` or with probabilities of the shape of ``input``."""
    if state.autocast is not None:
        input, target = raised(input), raised(target)
    if size_average is not None or reduce is not None:
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    dim = 1 if input.ndim > 1 else 0
    if target.dtype.category != FLOAT and target.shape == input.shape and input.ndim > 1:
        raise RuntimeError(f"Expected floating point type for target with class probabilities, got {target.dtype.legacy_name}")
    plain = weight is None and label_smoothing == 0 and reduction in ("mean", "sum") and input.dtype.category == FLOAT
    if (
        plain
        and target.dtype.category != FLOAT
        and input.ndim >= 2
        and target.shape == (input.shape[0], *input.shape[2:])
        and input.numel()
    ):
        rows = input if input.ndim == 2 else input.movedim(1, -1).reshape(-1, input.shape[1])
        return class_cross_entropy(rows, target.long().reshape(-1), ignore_index, reduction == "mean")
    logp = log_softmax(input, dim)
    if target.dtype.category == FLOAT:
        same_shape(input, target, "cross_entropy")
        if ignore_index >= 0:
            raise RuntimeError("ignore_index is not supported for floating point target")
        probabilities = target * (1 - label_smoothing) + label_smoothing / input.shape[dim]
        scaled = logp if weight is None else logp * weight.reshape(-1, *(1,) * (input.ndim - dim - 1))
        loss = -(probabilities * scaled).sum(dim)
        return loss.sum() / (input.numel() // input.shape[dim]) if reduction == "mean" else reduced(loss, reduction)
    loss = nll_loss(logp, target, weight, ignore_index=ignore_index, reduction=reduction)
    if label_smoothing == 0:
        return loss
    batched, classes = (input, target.long()) if input.ndim > 1 else (input.unsqueeze(0), target.long().unsqueeze(0))
    smooth = -(logp if weight is None else logp * weight.reshape(-1, *(1,) * (input.ndim - dim - 1))).sum(dim)
    smooth = where(_counts(batched, classes, None, ignore_index).reshape(smooth.shape) == 0, 0, smooth)
    smooth = smooth.sum() / _counts(batched, classes, weight, ignore_index).sum() if reduction == "mean" else reduced(smooth, reduction)
    return loss * (1 - label_smoothing) + smooth * (label_smoothing / input.shape[dim])


__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "huber_loss", "kl_div", "l1_loss", "mse_loss", "nll_loss", "smooth_l1_loss",
]  # fmt: skip
