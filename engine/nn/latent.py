"""Latent variables of variational autoencoders (Kingma and Welling, "Auto-encoding variational Bayes", 2014)."""

from __future__ import annotations

from engine.nn.facts import Facts
from engine.nn.loss import Reduction, _Loss
from engine.nn.module import Module
from engine.ops.random import normal_like
from engine.tensor import Tensor


def _halves(x: Tensor, who: str) -> tuple[Tensor, Tensor]:
    if x.ndim < 2 or x.shape[1] % 2:
        raise ValueError(f"{who} takes means and logarithms of variances (N, 2 Z, ..), got {list(x.shape)}")
    return x[:, : x.shape[1] // 2], x[:, x.shape[1] // 2 :]


class Reparametrize(Module):
    """A draw of N(mean, variance): ``(N, 2 Z, ..)``, means and then logarithms of variances, to ``(N, Z, ..)``. In evaluation the mean."""

    def forward(self, input: Tensor) -> Tensor:
        mean, log_variance = _halves(input, "Reparametrize")
        return mean + normal_like(mean) * (log_variance / 2).exp() if self.training else mean


class GaussianKLLoss(_Loss):
    """The divergence of N(mean, variance) from N(0, 1), added up over the latent variables: of outputs ``(N, 2 Z, ..)``, as ``Reparametrize`` takes them.

    It has no targets; ``target`` is not looked at.
    """

    spec_facts = Facts(role="loss")
    targets = "nothing"

    def __init__(self, reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)

    def forward(self, input: Tensor, target: Tensor | None = None) -> Tensor:
        mean, log_variance = _halves(input, "GaussianKLLoss")
        each = (mean * mean + log_variance.exp() - 1 - log_variance).flatten(1).sum(1) / 2
        return each if self.reduction == "none" else each.sum() if self.reduction == "sum" else each.mean()
