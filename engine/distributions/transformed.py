"""Distributions of other distributions: several draws as one event, and samples that go through an invertible function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.creation import as_tensor
from engine.distributions.distribution import Distribution, parameters
from engine.distributions.normal import Normal
from engine.distributions.transforms import ExpTransform, Transform
from engine.tensor import Size, Tensor


def _summed(x: Tensor, dims: int) -> Tensor:
    """Over the last ``dims`` dimensions."""
    return x.sum(tuple(range(-dims, 0))) if dims else x


class Independent(Distribution):
    """The last ``reinterpreted_batch_ndims`` dimensions of a batch as one event: their log-probabilities are added up."""

    def __init__(self, base_distribution: Any, reinterpreted_batch_ndims: int, validate_args: bool | None = None) -> None:
        n = len(base_distribution.batch_shape) - reinterpreted_batch_ndims
        if n < 0:
            raise ValueError(
                f"Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), actual {reinterpreted_batch_ndims} vs {len(base_distribution.batch_shape)}"
            )
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, reinterpreted_batch_ndims
        self.has_rsample = base_distribution.has_rsample
        self.batch_shape = Size(base_distribution.batch_shape[:n])
        self.event_shape = Size((*base_distribution.batch_shape[n:], *base_distribution.event_shape))

    mean = property(lambda self: self.base_dist.mean)
    mode = property(lambda self: self.base_dist.mode)
    variance = property(lambda self: self.base_dist.variance)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        drawn: Tensor = self.base_dist.sample(sample_shape)
        return drawn

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        drawn: Tensor = self.base_dist.rsample(sample_shape)
        return drawn

    def log_prob(self, value: Tensor) -> Tensor:
        return _summed(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        return _summed(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"


class TransformedDistribution(Distribution):
    """What a base's samples become by ``transforms``, one after the other."""

    def __init__(
        self, base_distribution: Distribution, transforms: Transform | Sequence[Transform], validate_args: bool | None = None
    ) -> None:
        self.base_dist = base_distribution
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        self.has_rsample = base_distribution.has_rsample
        self.batch_shape, self.event_shape = base_distribution.batch_shape, base_distribution.event_shape

    def sample(self, sample_shape: Any = ()) -> Tensor:
        return self._forward(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return self._forward(self.base_dist.rsample(sample_shape))

    def _forward(self, x: Tensor) -> Tensor:
        for transform in self.transforms:
            x = transform(x)
        return x

    def log_prob(self, value: Tensor) -> Tensor:
        lost, y = as_tensor(0.0, dtype=value.dtype, device=value.device), value
        for transform in reversed(self.transforms):
            x = transform.inv(y)
            lost, y = lost + _summed(transform.log_abs_det_jacobian(x, y), len(self.event_shape)), x
        return self.base_dist.log_prob(y) - lost

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_dist}, {[type(t).__name__ for t in self.transforms]})"


class LogNormal(TransformedDistribution):
    """``exp`` of normal numbers."""

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = parameters(loc, scale)
        self._normal = Normal(self.loc, self.scale, validate_args)
        super().__init__(self._normal, ExpTransform())

    mean = property(lambda self: (self.loc + self.scale.square() / 2).exp())
    mode = property(lambda self: (self.loc - self.scale.square()).exp())
    variance = property(lambda self: self.scale.square().expm1() * (self.loc * 2 + self.scale.square()).exp())

    def entropy(self) -> Tensor:
        return self._normal.entropy() + self.loc


__all__ = ["Independent", "LogNormal", "TransformedDistribution"]
