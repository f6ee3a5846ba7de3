"""The gamma distribution and those made of it: beta, Dirichlet, chi-squared, Student's t. Samples carry no gradients."""

from __future__ import annotations

import math
from typing import Any

from engine.creation import rand, randn
from engine.distributions.distribution import Distribution, expect, parameters
from engine.dtypes import least_normal
from engine.modes import no_grad
from engine.ops.elementwise import where
from engine.ops.join import stack
from engine.ops.special import digamma, lgamma
from engine.tensor import Size, Tensor


def standard_gamma(concentration: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Gamma numbers of rate 1: Marsaglia and Tsang, "A simple method for generating gamma variables", 2000. What is refused is drawn again."""
    a = concentration.detach().expand(*shape)
    options: Any = {"dtype": a.dtype, "device": a.device}
    boosted = where(a < 1, a + 1, a)
    d = boosted - 1 / 3
    c = (d * 9).rsqrt()
    found, missing = a * 0, a == a
    while bool(missing.any()):
        x, u = randn(*shape, **options), rand(*shape, **options)
        v = (x * c + 1) ** 3
        accepted = (v > 0) & (u.log() < x.square() * 0.5 + d - d * v + d * v.clamp(min=1e-30).log())
        found = where(missing & accepted, d * v, found)
        missing = missing & ~accepted
    return where(a < 1, found * rand(*shape, **options) ** (1 / a), found).clamp(min=least_normal(a.dtype))


class Gamma(Distribution):
    """Of shape ``concentration`` and ``rate``."""

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = parameters(concentration, rate)
        if validate_args is not False:
            expect("positive", concentration=self.concentration, rate=self.rate)
        self.batch_shape = self.concentration.shape

    mean = property(lambda self: self.concentration / self.rate)
    mode = property(lambda self: ((self.concentration - 1) / self.rate).clamp(min=0))
    variance = property(lambda self: self.concentration / self.rate.square())

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            return standard_gamma(self.concentration, self._shape(sample_shape)) / self.rate

    def log_prob(self, value: Tensor) -> Tensor:
        a = self.concentration
        return a * self.rate.log() + (a - 1) * value.log() - self.rate * value - lgamma(a)

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - self.rate.log() + lgamma(a) + (1 - a) * digamma(a)


class Chi2(Gamma):
    """The sum of the squares of ``df`` normal numbers."""

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        (self.df,) = parameters(df)
        super().__init__(self.df * 0.5, self.df * 0 + 0.5, validate_args)


class Dirichlet(Distribution):
    """Probabilities ``(*, n)`` that add up to one, of ``concentration (*, n)``."""

    def __init__(self, concentration: Tensor, validate_args: bool | None = None) -> None:
        if concentration.ndim < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        if validate_args is not False:
            expect("positive", concentration=concentration)
        self.concentration = concentration
        self.batch_shape, self.event_shape = Size(concentration.shape[:-1]), Size(concentration.shape[-1:])

    mean = property(lambda self: self.concentration / self.concentration.sum(-1, keepdim=True))

    @property
    def variance(self) -> Tensor:
        total = self.concentration.sum(-1, keepdim=True)
        return self.concentration * (total - self.concentration) / (total.square() * (total + 1))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            drawn = standard_gamma(self.concentration, self._shape(sample_shape))
            return drawn / drawn.sum(-1, keepdim=True)

    def log_prob(self, value: Tensor) -> Tensor:
        a = self.concentration
        return ((a - 1) * value.log()).sum(-1) + lgamma(a.sum(-1)) - lgamma(a).sum(-1)

    def entropy(self) -> Tensor:
        a, n = self.concentration, self.event_shape[0]
        total = a.sum(-1)
        return lgamma(a).sum(-1) - lgamma(total) - (n - total) * digamma(total) - ((a - 1) * digamma(a)).sum(-1)


class Beta(Distribution):
    """Numbers in (0, 1), of which ``concentration1`` speaks for one and ``concentration0`` for zero."""

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = parameters(concentration1, concentration0)
        self._pair = Dirichlet(stack([self.concentration1, self.concentration0], -1), validate_args)
        self.batch_shape = self._pair.batch_shape

    mean = property(lambda self: self.concentration1 / (self.concentration1 + self.concentration0))

    @property
    def variance(self) -> Tensor:
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total.square() * (total + 1))

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self._pair.sample(sample_shape)[..., 0]

    def log_prob(self, value: Tensor) -> Tensor:
        return self._pair.log_prob(stack([value, 1 - value], -1))

    def entropy(self) -> Tensor:
        return self._pair.entropy()


class StudentT(Distribution):
    """Normal numbers of a variance that is unknown but for ``df`` degrees of freedom."""

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = parameters(df, loc, scale)
        if validate_args is not False:
            expect("positive", df=self.df, scale=self.scale)
        self.batch_shape = self.df.shape

    mean = property(lambda self: self.loc.where(self.df > 1, math.nan))
    mode = property(lambda self: self.loc)

    @property
    def variance(self) -> Tensor:
        finite = self.scale.square() * self.df / (self.df - 2)
        return finite.where(self.df > 2, math.inf).where(self.df > 1, math.nan)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            shape = self._shape(sample_shape)
            spread = standard_gamma(self.df * 0.5, shape) * 2
            return self.loc + self.scale * randn(*shape, dtype=self.df.dtype, device=self.df.device) * (self.df / spread).sqrt()

    def _log_norm(self) -> Tensor:
        return self.scale.log() + self.df.log() * 0.5 + 0.5 * math.log(math.pi) + lgamma(self.df * 0.5) - lgamma((self.df + 1) * 0.5)

    def log_prob(self, value: Tensor) -> Tensor:
        z = (value - self.loc) / self.scale
        return (self.df + 1) * -0.5 * (z.square() / self.df).log1p() - self._log_norm()

    def entropy(self) -> Tensor:
        half = self.df * 0.5
        log_beta = lgamma(half) + math.lgamma(0.5) - lgamma(half + 0.5)
        return self.scale.log() + (half + 0.5) * (digamma(half + 0.5) - digamma(half)) + self.df.log() * 0.5 + log_beta


__all__ = ["Beta", "Chi2", "Dirichlet", "Gamma", "StudentT"]
