"""Coins, and how long they take to show the side that is waited for."""

from __future__ import annotations

import math
from typing import Any

from engine.creation import as_tensor, rand
from engine.distributions.distribution import Distribution, clamped, expect, one_of
from engine.nn import functional as F
from engine.ops.join import broadcast_tensors
from engine.ops.random import bernoulli
from engine.tensor import Tensor


class Bernoulli(Distribution):
    """Ones with probability ``probs``, or ``sigmoid(logits)``."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        one_of(probs, logits)
        if logits is None:
            self.probs = as_tensor(probs)
            if validate_args is not False:
                expect("probability", probs=self.probs)
            held = clamped(self.probs)
            self.logits = held.log() - (-held).log1p()
        else:
            self.logits = as_tensor(logits)
            self.probs = self.logits.sigmoid()
        self.batch_shape = self.probs.shape

    mean = property(lambda self: self.probs)
    mode = property(lambda self: (self.probs >= 0.5).to(self.probs.dtype).where(self.probs != 0.5, math.nan))
    variance = property(lambda self: self.probs * (1 - self.probs))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return bernoulli(self.probs.detach().expand(*self._shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        logits, target = broadcast_tensors(self.logits, value)
        return -F.binary_cross_entropy_with_logits(logits, target, reduction="none")

    def entropy(self) -> Tensor:
        return F.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")


class Geometric(Distribution):
    """How many trials fail before one succeeds, which each does with probability ``probs``."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        one_of(probs, logits)
        self.probs = as_tensor(probs) if logits is None else as_tensor(logits).sigmoid()
        if validate_args is not False:
            expect("positive", probs=self.probs)
        self.batch_shape = self.probs.shape

    mean = property(lambda self: 1 / self.probs - 1)
    mode = property(lambda self: self.probs * 0)
    variance = property(lambda self: (1 / self.probs - 1) / self.probs)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        p = self.probs.detach()
        u = rand(*self._shape(sample_shape), dtype=p.dtype, device=p.device)
        return ((-u).log1p() / (-p).log1p()).floor()

    def log_prob(self, value: Tensor) -> Tensor:
        value, p = broadcast_tensors(value, self.probs)
        return value * (-p).log1p().where((p != 1) | (value != 0), 0.0) + p.log()

    def entropy(self) -> Tensor:
        logits = clamped(self.probs).log() - (-clamped(self.probs)).log1p()
        return F.binary_cross_entropy_with_logits(logits, self.probs, reduction="none") / self.probs


__all__ = ["Bernoulli", "Geometric"]
