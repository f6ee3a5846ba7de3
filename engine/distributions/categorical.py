"""One of several categories, as a number or as a vector of zeros with a one."""

from __future__ import annotations

import math
from typing import Any

from engine.dispatch import broadcast_shapes
from engine.distributions.distribution import Distribution, clamped, expect, one_of
from engine.nn import functional as F
from engine.ops.random import multinomial
from engine.ops.scatter import gather
from engine.tensor import Size, Tensor


class Categorical(Distribution):
    """The numbers ``0 .. n - 1`` with probabilities proportional to ``probs (*, n)``, or to ``exp(logits)``."""

    def __init__(self, probs: Tensor | None = None, logits: Tensor | None = None, validate_args: bool | None = None) -> None:
        one_of(probs, logits)
        if probs is not None:
            if probs.ndim < 1:
                raise ValueError("`probs` parameter must be at least one-dimensional.")
            if validate_args is not False:
                expect("simplex", probs=probs)
            self.probs = probs / probs.sum(-1, keepdim=True)
            self.logits = clamped(self.probs).log()
        else:
            assert logits is not None
            if logits.ndim < 1:
                raise ValueError("`logits` parameter must be at least one-dimensional.")
            if validate_args is not False:
                expect("real", logits=logits)
            self.logits = logits - logits.logsumexp(-1, keepdim=True)
            self.probs = F.softmax(self.logits, -1)
        self.batch_shape = Size(self.probs.shape[:-1])

    mode = property(lambda self: self.probs.argmax(-1))
    mean = property(lambda self: self.probs.new_full(self.batch_shape, math.nan))
    variance = mean

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


class OneHotCategorical(Distribution):
    """A category as a vector of zeros with a one."""

    def __init__(self, probs: Tensor | None = None, logits: Tensor | None = None, validate_args: bool | None = None) -> None:
        self._categories = Categorical(probs, logits, validate_args)
        self.probs, self.logits = self._categories.probs, self._categories.logits
        self.batch_shape, self.event_shape = self._categories.batch_shape, Size(self.probs.shape[-1:])

    mean = property(lambda self: self.probs)
    mode = property(lambda self: F.one_hot(self.probs.argmax(-1), self.event_shape[0]).to(self.probs.dtype))
    variance = property(lambda self: self.probs * (1 - self.probs))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return F.one_hot(self._categories.sample(sample_shape), self.event_shape[0]).to(self.probs.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        return self._categories.log_prob(value.argmax(-1))

    def entropy(self) -> Tensor:
        return self._categories.entropy()


__all__ = ["Categorical", "OneHotCategorical"]
