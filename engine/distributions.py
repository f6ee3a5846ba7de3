"""Probability distributions to sample from and to score by (``torch.distributions``)."""

from __future__ import annotations

import math
from typing import Any

from engine.creation import as_tensor, rand, randn
from engine.dispatch import broadcast_shapes
from engine.modes import no_grad
from engine.nn import functional as F
from engine.ops.join import broadcast_tensors
from engine.ops.random import bernoulli, multinomial
from engine.ops.scatter import gather
from engine.tensor import Size, Tensor


class Distribution:
    """The base: ``sample`` without gradients, ``log_prob`` and ``entropy`` with them."""

    batch_shape: Size

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """A sample through which gradients reach the parameters. Raises NotImplementedError where there is none."""
        raise NotImplementedError(f"{type(self).__name__} has no rsample")

    def log_prob(self, value: Tensor) -> Tensor:
        raise NotImplementedError

    def entropy(self) -> Tensor:
        raise NotImplementedError


def _one_of(probs: Any, logits: Any) -> None:
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")


class Categorical(Distribution):
    """The numbers ``0 .. n - 1`` with probabilities proportional to ``probs (*, n)``, or to ``exp(logits)``."""

    def __init__(self, probs: Tensor | None = None, logits: Tensor | None = None, validate_args: bool | None = None) -> None:
        _one_of(probs, logits)
        if probs is not None:
            if probs.ndim < 1:
                raise ValueError("`probs` parameter must be at least one-dimensional.")
            if not bool((probs.detach() >= 0).all()):
                raise ValueError("Expected parameter probs to satisfy the constraint Simplex(), but found negative values")
            self.probs = probs / probs.sum(-1, keepdim=True)
            eps = 1.1920928955078125e-07 if probs.dtype.itemsize == 4 else 2.220446049250313e-16
            self.logits = self.probs.clamp(eps, 1 - eps).log()
        else:
            assert logits is not None
            self.logits = logits - logits.logsumexp(-1, keepdim=True)
            self.probs = F.softmax(self.logits, -1)
        self.batch_shape = Size(self.probs.shape[:-1])

    def sample(self, sample_shape: Any = ()) -> Tensor:
        n = math.prod(sample_shape)
        rows = self.probs.detach().reshape(-1, self.probs.shape[-1])
        return multinomial(rows, n, True).t().reshape(*sample_shape, *self.batch_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        index = value.long().unsqueeze(-1)
        shape = broadcast_shapes(index.shape[:-1], self.logits.shape[:-1])
        return gather(self.logits.expand(*shape, self.logits.shape[-1]), -1, index.expand(*shape, 1)).squeeze(-1)

    def entropy(self) -> Tensor:
        return -(self.logits.clamp(min=-3.4028234663852886e38) * self.probs).sum(-1)


class Normal(Distribution):
    """Normal numbers of mean ``loc`` and standard deviation ``scale``."""

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_tensors(as_tensor(loc), as_tensor(scale))
        if not bool((self.scale.detach() > 0).all()):
            raise ValueError("Expected parameter scale to satisfy the constraint GreaterThan(lower_bound=0.0)")
        self.batch_shape = self.loc.shape

    mean = property(lambda self: self.loc)
    stddev = property(lambda self: self.scale)
    variance = property(lambda self: self.scale.square())

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        noise = randn(*sample_shape, *self.batch_shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + noise * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        return -((value - self.loc).square()) / (self.scale.square() * 2) - self.scale.log() - math.log(math.sqrt(2 * math.pi))

    def entropy(self) -> Tensor:
        return self.scale.log() + (0.5 + 0.5 * math.log(2 * math.pi))


class Bernoulli(Distribution):
    """Ones with probability ``probs``, or ``sigmoid(logits)``."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        _one_of(probs, logits)
        if logits is None:
            self.probs = as_tensor(probs)
            eps = 1.1920928955078125e-07
            held = self.probs.clamp(eps, 1 - eps)
            self.logits = held.log() - (1 - held).log()
        else:
            self.logits = as_tensor(logits)
            self.probs = self.logits.sigmoid()
        self.batch_shape = self.probs.shape

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return bernoulli(self.probs.detach().expand(*sample_shape, *self.batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        logits, target = broadcast_tensors(self.logits, value)
        return -F.binary_cross_entropy_with_logits(logits, target, reduction="none")

    def entropy(self) -> Tensor:
        return F.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")


class Uniform(Distribution):
    """Uniform numbers in [low, high)."""

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = broadcast_tensors(as_tensor(low), as_tensor(high))
        self.batch_shape = self.low.shape

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.low + rand(*sample_shape, *self.batch_shape, dtype=self.low.dtype, device=self.low.device) * (self.high - self.low)

    def log_prob(self, value: Tensor) -> Tensor:
        inside = ((value >= self.low) & (value < self.high)).to(self.low.dtype)
        return inside.log() - (self.high - self.low).log()

    def entropy(self) -> Tensor:
        return (self.high - self.low).log()
