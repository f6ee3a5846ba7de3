"""Distributions of real numbers whose samples are formulas of uniform ones."""

from __future__ import annotations

import math
from typing import Any

from engine.creation import rand
from engine.distributions.distribution import Distribution, expect, parameters
from engine.distributions.normal import Spread
from engine.dtypes import before
from engine.tensor import Tensor


class Laplace(Spread):
    """Exponential on both sides of ``loc``."""

    variance = property(lambda self: self.scale.square() * 2)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        u = self._uniform(sample_shape) - 0.5
        return self.loc - self.scale * u.sign() * (u.abs() * -2).clamp(min=before(-1, 0, u.dtype)).log1p()

    def log_prob(self, value: Tensor) -> Tensor:
        return -(self.scale * 2).log() - self._standard(value).abs()

    def cdf(self, value: Tensor) -> Tensor:
        z = self._standard(value)
        return 0.5 - 0.5 * z.sign() * (-z.abs()).expm1()

    def icdf(self, value: Tensor) -> Tensor:
        term = value - 0.5
        return self.loc - self.scale * term.sign() * (term.abs() * -2).log1p()

    def entropy(self) -> Tensor:
        return (self.scale * 2).log() + 1


class Cauchy(Spread):
    """The quotient of two normal numbers; it has no mean."""

    mean = property(lambda self: self.loc * math.nan)
    mode = property(lambda self: self.loc)
    variance = property(lambda self: self.loc.new_full(self.batch_shape, math.inf))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.icdf(self._uniform(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        return -math.log(math.pi) - self.scale.log() - self._standard(value).square().log1p()

    def cdf(self, value: Tensor) -> Tensor:
        return self._standard(value).atan() / math.pi + 0.5

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc + self.scale * ((value - 0.5) * math.pi).tan()

    def entropy(self) -> Tensor:
        return self.scale.log() + math.log(4 * math.pi)


class Gumbel(Spread):
    """The greatest of many exponential numbers."""

    mean = property(lambda self: self.loc + self.scale * 0.5772156649015329)
    mode = property(lambda self: self.loc)
    variance = property(lambda self: self.scale.square() * (math.pi**2 / 6))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.icdf(self._uniform(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        z = -self._standard(value)
        return z - z.exp() - self.scale.log()

    def cdf(self, value: Tensor) -> Tensor:
        return (-(-self._standard(value)).exp()).exp()

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc - self.scale * (-value.log()).log()

    def entropy(self) -> Tensor:
        return self.scale.log() + (1 + 0.5772156649015329)


class Uniform(Distribution):
    """Uniform numbers in [low, high)."""

    has_rsample = True

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = parameters(low, high)
        if validate_args is not False and not bool((self.low.detach() < self.high.detach()).all()):
            raise ValueError("Uniform is not defined when low >= high")
        self.batch_shape = self.low.shape

    mean = property(lambda self: (self.low + self.high) / 2)
    mode = property(lambda self: self.low * math.nan)
    variance = property(lambda self: (self.high - self.low).square() / 12)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.low + rand(*self._shape(sample_shape), dtype=self.low.dtype, device=self.low.device) * (self.high - self.low)

    def log_prob(self, value: Tensor) -> Tensor:
        inside = ((value >= self.low) & (value < self.high)).to(self.low.dtype)
        return inside.log() - (self.high - self.low).log()

    def cdf(self, value: Tensor) -> Tensor:
        return ((value - self.low) / (self.high - self.low)).clamp(0, 1)

    def icdf(self, value: Tensor) -> Tensor:
        return value * (self.high - self.low) + self.low

    def entropy(self) -> Tensor:
        return (self.high - self.low).log()


class Exponential(Distribution):
    """Waiting times between events that come at a ``rate``."""

    has_rsample = True

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = parameters(rate)
        if validate_args is not False:
            expect("positive", rate=self.rate)
        self.batch_shape = self.rate.shape

    mean = property(lambda self: 1 / self.rate)
    mode = property(lambda self: self.rate * 0)
    variance = property(lambda self: 1 / self.rate.square())

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.icdf(rand(*self._shape(sample_shape), dtype=self.rate.dtype, device=self.rate.device))

    def log_prob(self, value: Tensor) -> Tensor:
        return self.rate.log() - self.rate * value

    def cdf(self, value: Tensor) -> Tensor:
        return -(-self.rate * value).expm1()

    def icdf(self, value: Tensor) -> Tensor:
        return -(-value).log1p() / self.rate

    def entropy(self) -> Tensor:
        return 1 - self.rate.log()


__all__ = ["Cauchy", "Exponential", "Gumbel", "Laplace", "Uniform"]
