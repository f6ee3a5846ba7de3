"""Losses that ask for a margin, and likelihoods of other distributions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from engine.modes import full_precision
from engine.nn.functional.activation import logsigmoid
from engine.nn.functional.distance import pairwise_distance
from engine.nn.functional.reduction import check_reduction, reduced
from engine.ops.elementwise import where
from engine.ops.unary import softplus as _softplus
from engine.tensor import Tensor

Flag = bool | None


@full_precision
def soft_margin_loss(input: Tensor, target: Tensor, size_average: Flag = None, reduce: Flag = None, reduction: str = "mean") -> Tensor:
    """``log(1 + exp(-target x))`` with targets of 1 and -1."""
    return reduced(_softplus(-target * input), reduction, size_average, reduce)


@full_precision
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, -target (input1 - input2) + margin)``."""
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            f"margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: {input1.size()}, input2: {input2.size()}, target: {target.size()} "
        )
    return reduced((-target * (input1 - input2) + margin).clamp_min(0), reduction, size_average, reduce)


@full_precision
def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, size_average: Flag = None, reduce: Flag = None, reduction: str = "mean"
) -> Tensor:
    """``input`` where the target is 1, ``max(0, margin - x)`` where it is -1."""
    near = where(target == 1, input, 0)
    far = where(target == -1, (margin - input).clamp_min(0), 0)
    other = where((target != 1) & (target != -1), input + (margin - input).clamp_min(0), 0)
    return reduced(near + far + other, reduction, size_average, reduce)


@full_precision
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: Flag = None,
    reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:
    """``1 - cos`` where the target is 1, ``max(0, cos - margin)`` where it is -1."""
    if target.ndim > 1 or input1.ndim != target.ndim + 1:
        raise RuntimeError(
            f"{target.ndim}D target tensor expects {target.ndim + 1}D input tensors, but found inputs with sizes {list(input1.shape)} and {list(input2.shape)}."
        )
    if input1.ndim != input2.ndim:
        raise RuntimeError(f"inputs must have as many dimensions as each other, got {list(input1.shape)} and {list(input2.shape)}")
    eps = 1e-12
    inner = (input1 * input2).sum(-1)
    cos = inner / ((input1.square().sum(-1) + eps) * (input2.square().sum(-1) + eps)).sqrt()
    near, far = where(target == 1, 1 - cos, 0), where(target == -1, (cos - margin).clamp_min(0), 0)
    return reduced(near + far, reduction, size_average, reduce)


@full_precision
def multi_margin_loss(
    input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, weight: Tensor | None = None, size_average: Flag = None, reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """``sum_i max(0, margin - x[y] + x[i])^p / C`` over the classes other than the target's (Crammer and Singer, 2001)."""
    check_reduction(reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.ndim != 1:
        raise ValueError("weight must be one-dimensional")
    rows = input if input.ndim == 2 else input.reshape(1, -1)
    classes = target.reshape(-1)
    if input.ndim > 2 or (input.ndim == 2 and input.shape[1] == 0):
        raise RuntimeError(f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(input.shape)}")
    if target.ndim > 1 or classes.numel() != rows.shape[0]:
        raise RuntimeError(f"inconsistent target size, expected {rows.shape[0]} but got {list(target.shape)}")
    if weight is not None and weight.numel() != rows.shape[1]:
        raise RuntimeError(f"inconsistent weight size, expected {rows.shape[1]} but got {list(weight.shape)}")
    at = rows.gather(1, classes.unsqueeze(1))
    gaps = (rows - at + margin).clamp_min(0)
    gaps = gaps if p == 1 else gaps.square()
    gaps = gaps if weight is None else gaps * weight[classes].unsqueeze(1)
    own = rows.detach().new_zeros(rows.shape).scatter(1, classes.unsqueeze(1), 1.0)
    loss = (gaps * (1 - own)).sum(1) / rows.shape[1]
    return reduced(loss if input.ndim == 2 or reduction != "none" else loss.reshape(target.shape), reduction, size_average, reduce)


@full_precision
def multilabel_margin_loss(
    input: Tensor, target: Tensor, size_average: Flag = None, reduce: Flag = None, reduction: str = "mean"
) -> Tensor:
    """The hinge over all pairs of a class that is a target (those before the first -1) and one that is not."""
    check_reduction(reduction)
    if input.shape != target.shape or input.ndim > 2:
        raise RuntimeError(f"inconsistent size {list(target.shape)} for argument target and input {list(input.shape)}")
    rows, labels = input.reshape(-1, input.shape[-1] if input.ndim else 1), target.reshape(-1, input.shape[-1] if input.ndim else 1)
    counted = (labels < 0).long().cumsum(1) == 0
    safe = where(counted, labels, 0)
    weight = counted.to(input.dtype)
    is_target = rows.detach().new_zeros(rows.shape).scatter_add(1, safe, weight).clamp(max=1)
    gaps = (1 - rows.gather(1, safe).unsqueeze(2) + rows.unsqueeze(1)).clamp_min(0)
    loss = (gaps * weight.unsqueeze(2) * (1 - is_target).unsqueeze(1)).sum((1, 2)) / rows.shape[1]
    return reduced(loss.reshape(input.shape[:-1]) if reduction == "none" else loss, reduction, size_average, reduce)


@full_precision
def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Flag = None, reduce: Flag = None, reduction: str = "mean"
) -> Tensor:
    """The mean over classes of the binary cross-entropies."""
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    loss = loss if weight is None else loss * weight
    return reduced(loss.mean(-1), reduction, size_average, reduce)


@full_precision
def triplet_margin_with_distance_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, *, distance_function: Callable[..., Tensor] | None = None, margin: float = 1.0, swap: bool = False,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """``max(0, d(anchor, positive) - d(anchor, negative) + margin)`` for any distance."""
    check_reduction(reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    distance = pairwise_distance if distance_function is None else distance_function
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            f"The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs"
        )
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return reduced((near - far + margin).clamp_min(0), reduction)


@full_precision
def triplet_margin_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2, eps: float = 1e-6, swap: bool = False,
    size_average: Flag = None, reduce: Flag = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """``max(0, |anchor - positive| - |anchor - negative| + margin)`` (Balntas et al., 2016)."""
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            f"The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D inputs"
        )
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = far.minimum(pairwise_distance(positive, negative, p, eps))
    return reduced((near - far + margin).clamp_min(0), reduction, size_average, reduce)


@full_precision
def poisson_nll_loss(
    input: Tensor, target: Tensor, log_input: bool = True, full: bool = False, size_average: Flag = None, eps: float = 1e-8, reduce: Flag = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Minus the log-likelihood of counts by a Poisson distribution of (log) rate ``input``; ``full`` adds Stirling's term."""
    check_reduction(reduction)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + (target * (2 * math.pi)).log() * 0.5
        loss = loss + where(target > 1, stirling, 0)
    return reduced(loss, reduction, size_average, reduce)


@full_precision
def gaussian_nll_loss(input: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> Tensor:
    """Minus the log-likelihood by a normal distribution of mean ``input`` and variance ``var``, which counts as at least ``eps``."""
    check_reduction(reduction)
    if not isinstance(var, Tensor):
        var = input.new_full(input.shape, var)
    if var.shape != input.shape:
        if var.shape == input.shape[:-1]:
            var = var.unsqueeze(-1)
        elif var.ndim != input.ndim or any(n not in (1, m) for n, m in zip(var.shape, input.shape, strict=True)):
            raise ValueError("var is of incorrect size")
    if bool((var.detach() < 0).any()):
        raise ValueError("var has negative entry/entries")
    held = var + (var.detach().clamp(min=eps) - var.detach())
    loss = (held.log() + (input - target).square() / held) * 0.5
    return reduced(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


__all__ = [
    "cosine_embedding_loss", "gaussian_nll_loss", "hinge_embedding_loss", "margin_ranking_loss", "multi_margin_loss", "multilabel_margin_loss",
    "multilabel_soft_margin_loss", "poisson_nll_loss", "soft_margin_loss", "triplet_margin_loss", "triplet_margin_with_distance_loss",
]  # fmt: skip
