"""Losses as modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from engine.creation import as_tensor
from engine.nn import functional as F
from engine.nn.facts import Facts
from engine.nn.module import Module
from engine.tensor import Tensor

Reduction = Literal["mean", "sum", "none"]
Targets = Literal["classes", "numbers", "shares", "counts", "signs", "nothing"]
"""What a loss is given as targets: ``classes`` are int64 ``(N, ...)`` for outputs ``(N, C, ...)``; all others are numbers in the outputs' shape:
any, in [0, 1], at least 0, or 1 and -1; ``nothing``, where a loss is of outputs alone."""


def _named(size_average: bool | None, reduce: bool | None, reduction: Any) -> Any:
    """The reduction that PyTorch's older arguments mean."""
    if size_average is None and reduce is None:
        return reduction
    return "none" if reduce is False else "sum" if size_average is False else "mean"


class _Loss(Module):
    """A loss of an input and a target, reduced to its mean or sum."""

    spec_facts = Facts(role="loss")

    targets: ClassVar[Targets | None] = "numbers"
    """None for what no dataset has as targets: such a loss is in no spec."""

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: Reduction = "mean") -> None:
        super().__init__()
        self.reduction: Any = _named(size_average, reduce, reduction)


class MSELoss(_Loss):
    """The mean of ``(x - y)^2``."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """The mean of ``|x - y|``."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """Squared below ``beta``, absolute above (Girshick, 2015)."""

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: Reduction = "mean", beta: float = 1.0
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """Squared below ``delta``, absolute above (Huber, 1964)."""

    def __init__(self, reduction: Reduction = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, self.reduction, self.delta)


class _WeightedLoss(_Loss):
    """A loss with a weight for each class, or each element."""

    def __init__(
        self, weight: list[float] | None = None, size_average: bool | None = None, reduce: bool | None = None, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", None if weight is None else as_tensor(weight))


class BCELoss(_WeightedLoss):
    """Binary cross-entropy of probabilities."""

    targets = "shares"

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """Binary cross-entropy of ``sigmoid(x)``."""

    targets = "shares"

    def __init__(
        self, weight: list[float] | None = None, size_average: bool | None = None, reduce: bool | None = None, reduction: Reduction = "mean",
        pos_weight: list[float] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(weight, size_average, reduce, reduction)
        self.register_buffer("pos_weight", None if pos_weight is None else as_tensor(pos_weight))

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight)


class KLDivLoss(_Loss):
    """The Kullback-Leibler divergence of log-probabilities from the target."""

    targets = "shares"

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: Literal["mean", "sum", "none", "batchmean"] = "mean",
        log_target: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.reduction, self.log_target = _named(size_average, reduce, reduction), log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class NLLLoss(_WeightedLoss):
    """Minus the log-probability of the target class: ``(N, C, ...)`` log-probabilities, ``(N, ...)`` classes."""

    targets = "classes"

    def __init__(
        self, weight: list[float] | None = None, size_average: bool | None = None, ignore_index: int = -100, reduce: bool | None = None,
        reduction: Reduction = "mean",
    ) -> None:  # fmt: skip
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class CrossEntropyLoss(_WeightedLoss):
    """Cross-entropy of ``softmax(x)``: ``(N, C, ...)`` scores with ``(N, ...)`` classes, or with probabilities."""

    targets = "classes"

    def __init__(
        self, weight: list[float] | None = None, size_average: bool | None = None, ignore_index: int = -100, reduce: bool | None = None,
        reduction: Reduction = "mean", label_smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction, label_smoothing=self.label_smoothing
        )


class ClassesLast(Module):
    """A loss of classes for outputs whose last dimension is that of the classes, as a ``Linear`` after a sequence has them: ``(N, L, C)`` and ``(N, L)``."""

    spec_facts = Facts(role="loss", excluded="the setting class_dim of a loss makes it")

    def __init__(self, loss: Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return self.loss(input.movedim(-1, 1), target)


class SoftMarginLoss(_Loss):
    """``log(1 + exp(-y x))`` with targets of 1 and -1."""

    targets = "signs"

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class HingeEmbeddingLoss(_Loss):
    """``x`` where the target is 1, ``max(0, margin - x)`` where it is -1."""

    targets = "signs"

    def __init__(
        self, margin: float = 1.0, size_average: bool | None = None, reduce: bool | None = None, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.hinge_embedding_loss(input, target, self.margin, reduction=self.reduction)


class MultiMarginLoss(_WeightedLoss):
    """The hinge of each class over the target's."""

    targets = "classes"

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: list[float] | None = None, size_average: bool | None = None, reduce: bool | None = None,
        reduction: Reduction = "mean",
    ) -> None:  # fmt: skip
        super().__init__(weight, size_average, reduce, reduction)
        if p not in (1, 2):
            raise ValueError("only p == 1 and p == 2 supported")
        self.p, self.margin = p, margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multi_margin_loss(input, target, self.p, self.margin, self.weight, reduction=self.reduction)


class MultiLabelMarginLoss(_Loss):
    """The hinge over all pairs of a class that is a target and one that is not."""

    spec_facts = Facts(role="loss", excluded="its targets are lists of classes that end with -1, which no dataset has")

    targets = None  # lists of classes that end with -1

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """The mean over classes of the binary cross-entropies."""

    targets = "shares"

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)


class PoissonNLLLoss(_Loss):
    """Minus the log-likelihood of counts by a Poisson distribution."""

    targets = "counts"

    def __init__(
        self, log_input: bool = True, full: bool = False, size_average: bool | None = None, eps: float = 1e-8, reduce: bool | None = None,
        reduction: Reduction = "mean",
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        return F.poisson_nll_loss(log_input, target, self.log_input, self.full, eps=self.eps, reduction=self.reduction)


class _SeveralInputs(Module):
    """A loss of more tensors than an input and a target."""

    spec_facts = Facts(role="loss", excluded="takes more than outputs and targets")

    def __init__(self, size_average: bool | None, reduce: bool | None, reduction: Reduction) -> None:
        super().__init__()
        self.reduction: Any = _named(size_average, reduce, reduction)


class GaussianNLLLoss(_SeveralInputs):
    """Minus the log-likelihood by a normal distribution of given mean and variance."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: Reduction = "mean") -> None:
        super().__init__(None, None, reduction)
        self.full, self.eps = full, eps

    def forward(self, input: Tensor, target: Tensor, var: Any) -> Tensor:
        return F.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)


class CTCLoss(_SeveralInputs):
    """Connectionist temporal classification: log-probabilities ``(T, N, C)``, labels, and how many steps and labels of each count."""

    def __init__(self, blank: int = 0, reduction: Reduction = "mean", zero_infinity: bool = False) -> None:
        super().__init__(None, None, reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any) -> Tensor:
        return F.ctc_loss(log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity)


class MarginRankingLoss(_SeveralInputs):
    """``max(0, -y (x1 - x2) + margin)``."""

    def __init__(
        self, margin: float = 0.0, size_average: bool | None = None, reduce: bool | None = None, reduction: Reduction = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.margin_ranking_loss(input1, input2, target, self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(MarginRankingLoss):
    """``1 - cos`` where the target is 1, ``max(0, cos - margin)`` where it is -1."""

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.cosine_embedding_loss(input1, input2, target, self.margin, reduction=self.reduction)


class TripletMarginLoss(_SeveralInputs):
    """``max(0, |anchor - positive| - |anchor - negative| + margin)`` (Balntas et al., 2016)."""

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, size_average: bool | None = None, reduce: bool | None = None,
        reduction: Reduction = "mean",
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        if margin <= 0:
            raise ValueError(f"TripletMarginLoss: expected margin to be greater than 0, got {margin} instead")
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_loss(anchor, positive, negative, self.margin, self.p, self.eps, self.swap, reduction=self.reduction)


class TripletMarginWithDistanceLoss(_SeveralInputs):
    """``TripletMarginLoss`` for any distance."""

    def __init__(
        self,
        *,
        distance_function: Callable[..., Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__(None, None, reduction)
        self.distance_function, self.margin, self.swap = distance_function, margin, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )
