"""Batches in which each sample is mixed with the one before it, and so are their targets (``torchvision.transforms.v2``: MixUp, CutMix)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from engine.creation import rand, randint, randn
from engine.tensor import Tensor

Array = np.ndarray[Any, Any]


class Mixture(NamedTuple):
    """What a batch is mixed by: each sample keeps ``share`` of itself. ``box`` is (top, left, bottom, right) of what comes from the other, where it is a piece."""

    share: float
    box: tuple[int, int, int, int] | None = None


class BatchTransform:
    """The base of those that take a whole batch: ``(images, labels)`` to images and shares of classes ``(N, num_classes)``.

    ``alpha``: the share that a sample keeps is drawn from Beta(alpha, alpha), once for a batch. Labels are classes ``(N,)``, of which ``num_classes`` says how many there are, or
    numbers ``(N, ...)``, which are mixed as they are.
    """

    rank = 2
    """How many dimensions a batch needs at least."""

    def __init__(self, alpha: float = 1.0, num_classes: int | None = None) -> None:
        if alpha <= 0:
            raise ValueError(f"alpha must be positive, got {alpha}")
        self.alpha, self.num_classes = float(alpha), num_classes

    def draw(self, shape: tuple[int, ...]) -> Mixture:
        """A mixture for batches of this shape, from the engine's generator."""
        a, b = _gamma(self.alpha), _gamma(self.alpha)
        return Mixture(a / (a + b) if a + b > 0 else float(rand(1).item() < 0.5))  # of a tiny alpha both may be 0

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if images.ndim < self.rank:
            raise ValueError(f"{type(self).__name__} takes batches of at least {self.rank} dimensions, got {tuple(images.shape)}")
        mixture, x, y = self.draw(tuple(images.shape)), np.array(images.numpy()), labels.numpy()
        if y.dtype.kind in "iu":
            if self.num_classes is None:
                raise ValueError(f"{type(self).__name__} takes shares of classes as labels, or classes and num_classes")
            y = one_hot(y, self.num_classes)
        mix(x, mixture)
        return Tensor._wrap(x), Tensor._wrap(mixed_targets(y, mixture))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(alpha={self.alpha}, num_classes={self.num_classes})"


class MixUp(BatchTransform):
    """Every value of a sample mixed with that of the sample before it (Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018)."""


class CutMix(BatchTransform):
    """A rectangle of an image replaced by that of the image before it (Yun et al., "CutMix", 2019); targets are mixed by area."""

    rank = 4

    def draw(self, shape: tuple[int, ...]) -> Mixture:
        height, width = shape[-2:]
        x, y = int(randint(width, (1,)).item()), int(randint(height, (1,)).item())
        half = 0.5 * math.sqrt(1 - super().draw(shape).share)
        h, w = int(half * height), int(half * width)
        top, left, bottom, right = max(0, y - h), max(0, x - w), min(height, y + h), min(width, x + w)
        return Mixture(1 - (bottom - top) * (right - left) / (height * width), (top, left, bottom, right))


def _gamma(alpha: float) -> float:
    """A gamma number of rate 1 (Marsaglia and Tsang, 2000): ``engine.distributions`` takes four times as long for a single one."""
    if alpha < 1:
        return _gamma(alpha + 1) * float(1 - rand(1).item()) ** (1 / alpha)
    d = alpha - 1 / 3
    while True:
        x = float(randn(1).item())
        v = (1 + x / math.sqrt(9 * d)) ** 3
        if v > 0 and math.log(1 - rand(1).item()) < 0.5 * x * x + d * (1 - v + math.log(v)):
            return d * v


def one_hot(classes: Array, n: int) -> Array:
    """Classes ``(N,)`` as shares ``(N, n)``."""
    return (classes[:, None] == np.arange(n)).astype(np.float32)


def mix(x: Array, mixture: Mixture) -> None:
    """Mixes each sample of the batch ``(N, ...)`` with the one before it, the first with the last, in place: a sample at a time, while it is in the cache."""
    keep, take = x.dtype.type(mixture.share), x.dtype.type(1 - mixture.share)
    last = x[-1].copy()
    for i in range(len(x) - 1, -1, -1):
        other = x[i - 1] if i else last
        if mixture.box is None:
            x[i] *= keep
            x[i] += other * take
        else:
            top, left, bottom, right = mixture.box
            x[i, ..., top:bottom, left:right] = other[..., top:bottom, left:right]


def mixed_targets(y: Array, mixture: Mixture) -> Array:
    """Targets ``(N, ...)`` as numbers, mixed by the same shares."""
    y = y.astype(np.float32)
    return y * np.float32(mixture.share) + np.roll(y, 1, 0) * np.float32(1 - mixture.share)
