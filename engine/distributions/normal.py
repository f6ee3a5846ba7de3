"""Normal numbers, their sizes, and normal vectors."""

from __future__ import annotations

import math
from typing import Any

from engine.creation import eye, rand, randn
from engine.distributions.distribution import LOG_2PI, Distribution, expect, parameters
from engine.dtypes import least_normal
from engine.linalg import cholesky, solve_triangular
from engine.ops.join import broadcast_tensors
from engine.special import ndtr, ndtri
from engine.tensor import Size, Tensor


class Spread(Distribution):
    """A location and a positive scale."""

    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = parameters(loc, scale)
        if validate_args is not False:
            expect("positive", scale=self.scale)
            expect("real", loc=self.loc)
        self.batch_shape = self.loc.shape

    mean = property(lambda self: self.loc)
    mode = mean

    def _uniform(self, sample_shape: Any) -> Tensor:
        """In (0, 1): neither end, where logarithms are not finite."""
        u = rand(*self._shape(sample_shape), dtype=self.loc.dtype, device=self.loc.device)
        return u.clamp(min=least_normal(u.dtype))

    def _standard(self, value: Tensor) -> Tensor:
        return (value - self.loc) / self.scale


class Normal(Spread):
    """Normal numbers of mean ``loc`` and standard deviation ``scale``."""

    stddev = property(lambda self: self.scale)
    variance = property(lambda self: self.scale.square())

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self.loc + randn(*self._shape(sample_shape), dtype=self.loc.dtype, device=self.loc.device) * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        return -((value - self.loc).square()) / (self.scale.square() * 2) - self.scale.log() - LOG_2PI / 2

    def cdf(self, value: Tensor) -> Tensor:
        return ndtr(self._standard(value))

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc + self.scale * ndtri(value)

    def entropy(self) -> Tensor:
        return self.scale.log() + (0.5 + LOG_2PI / 2)


class HalfNormal(Distribution):
    """The size of normal numbers around zero."""

    has_rsample = True

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        self._normal = Normal(0.0 if not isinstance(scale, Tensor) else scale * 0, scale, validate_args)
        self.scale, self.batch_shape = self._normal.scale, self._normal.batch_shape

    mean = property(lambda self: self.scale * math.sqrt(2 / math.pi))
    mode = property(lambda self: self.scale * 0)
    variance = property(lambda self: self.scale.square() * (1 - 2 / math.pi))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self._normal.rsample(sample_shape).abs()

    def log_prob(self, value: Tensor) -> Tensor:
        return (self._normal.log_prob(value) + math.log(2)).where(value >= 0, -math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        return self._normal.cdf(value) * 2 - 1

    def icdf(self, value: Tensor) -> Tensor:
        return self._normal.icdf((value + 1) / 2)

    def entropy(self) -> Tensor:
        return self._normal.entropy() - math.log(2)


class MultivariateNormal(Distribution):
    """Normal vectors: a mean ``(*, n)`` and a covariance ``(*, n, n)``, its inverse, or its Cholesky factor."""

    has_rsample = True

    def __init__(
        self, loc: Tensor, covariance_matrix: Tensor | None = None, precision_matrix: Tensor | None = None, scale_tril: Tensor | None = None, validate_args: bool | None = None
    ) -> None:  # fmt: skip
        given = [m for m in (covariance_matrix, precision_matrix, scale_tril) if m is not None]
        if loc.ndim < 1:
            raise ValueError("loc must be at least one-dimensional.")
        if len(given) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        if given[0].ndim < 2:
            raise ValueError("the matrix must be at least two-dimensional, with optional leading batch dimensions")
        matrix = given[0]
        vector, _ = broadcast_tensors(loc.unsqueeze(-1), matrix[..., :1])
        self.loc = vector.squeeze(-1)
        if covariance_matrix is not None:
            self.scale_tril = cholesky(matrix)
        elif precision_matrix is not None:  # of the reversed matrix, so that its inverse is a lower triangle again
            factor = cholesky(matrix.flip((-2, -1))).flip((-2, -1)).transpose(-2, -1)
            self.scale_tril = solve_triangular(factor, eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device), upper=False)
        else:
            self.scale_tril = matrix
        self.scale_tril = self.scale_tril.expand(*self.loc.shape[:-1], *matrix.shape[-2:])
        self.batch_shape, self.event_shape = Size(self.loc.shape[:-1]), Size(self.loc.shape[-1:])

    mean = property(lambda self: self.loc)
    mode = mean
    variance = property(lambda self: self.scale_tril.square().sum(-1))
    covariance_matrix = property(lambda self: self.scale_tril @ self.scale_tril.transpose(-2, -1))
    precision_matrix = property(lambda self: self.covariance_matrix.inverse())

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        noise = randn(*self._shape(sample_shape), dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        d = (value - self.loc).unsqueeze(-1)
        factor = self.scale_tril.expand(*d.shape[:-2], *self.scale_tril.shape[-2:])
        whitened = solve_triangular(factor, d, upper=False).squeeze(-1)
        return -0.5 * (whitened.square().sum(-1) + self.event_shape[0] * LOG_2PI) - self._log_volume()

    def _log_volume(self) -> Tensor:
        return self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def entropy(self) -> Tensor:
        return self._log_volume() + 0.5 * self.event_shape[0] * (1 + LOG_2PI)


__all__ = ["HalfNormal", "MultivariateNormal", "Normal", "Spread"]
