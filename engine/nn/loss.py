"""Losses as modules."""

from __future__ import annotations

from typing import Literal

from engine.creation import as_tensor
from engine.nn import functional as F
from engine.nn.module import Module
from engine.tensor import Tensor

Reduction = Literal["mean", "sum", "none"]


class _Loss(Module):
    """A loss of an input and a target, reduced to its mean or sum."""

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction: Reduction = reduction


class MSELoss(_Loss):
    """The mean of ``(x - y)^2``."""

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(x, target, self.reduction)


class L1Loss(_Loss):
    """The mean of ``|x - y|``."""

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(x, target, self.reduction)


class SmoothL1Loss(_Loss):
    """Squared below ``beta``, absolute above (Girshick, 2015)."""

    def __init__(self, reduction: Reduction = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(x, target, self.reduction, self.beta)


class BCEWithLogitsLoss(_Loss):
    """Binary cross-entropy of ``sigmoid(x)``."""

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(x, target, reduction=self.reduction)


class HuberLoss(_Loss):
    """Squared below ``delta``, absolute above (Huber, 1964)."""

    def __init__(self, reduction: Reduction = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(x, target, self.reduction, self.delta)


class BCELoss(_Loss):
    """Binary cross-entropy of probabilities."""

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(x, target, reduction=self.reduction)


class KLDivLoss(_Loss):
    """The Kullback-Leibler divergence of log-probabilities from the target."""

    def __init__(self, reduction: Literal["mean", "sum", "none", "batchmean"] = "mean", log_target: bool = False) -> None:
        super().__init__("mean")
        self.reduction, self.log_target = reduction, log_target  # type: ignore[assignment]  # the only loss with batchmean

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(x, target, self.reduction, self.log_target)


class _Weighted(_Loss):
    """A classification loss with a weight for each class."""

    def __init__(self, weight: list[float] | None, ignore_index: int, reduction: Reduction) -> None:
        super().__init__(reduction)
        self.ignore_index = ignore_index
        self.register_buffer("weight", None if weight is None else as_tensor(weight))


class NLLLoss(_Weighted):
    """Minus the log-probability of the target class: ``(N, C, ...)`` log-probabilities, ``(N, ...)`` classes."""

    def __init__(self, weight: list[float] | None = None, ignore_index: int = -100, reduction: Reduction = "mean") -> None:
        super().__init__(weight, ignore_index, reduction)

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(x, target, self.weight, self.ignore_index, self.reduction)


class CrossEntropyLoss(_Weighted):
    """Cross-entropy of ``softmax(x)``: ``(N, C, ...)`` scores with ``(N, ...)`` classes, or with probabilities."""

    def __init__(
        self, weight: list[float] | None = None, ignore_index: int = -100, reduction: Reduction = "mean", label_smoothing: float = 0.0
    ) -> None:
        super().__init__(weight, ignore_index, reduction)
        self.label_smoothing = label_smoothing

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(x, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing)
