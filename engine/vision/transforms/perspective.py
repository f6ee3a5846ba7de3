"""Images seen from another side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.creation import rand, randint
from engine.vision.transforms import functional as F
from engine.vision.transforms.basic import Random, _probability
from engine.vision.transforms.functional import Fill, Interpolation, Picture

Corners = list[tuple[int, int]]
"""``(x, y)`` of the upper left, upper right, lower right and lower left corner."""


class RandomPerspective(Random):
    """A random perspective with probability ``p``: each corner moves inwards by up to ``distortion_scale`` of half the size."""

    moves = True

    def __init__(self, distortion_scale: float = 0.5, p: float = 0.5, interpolation: Interpolation = "bilinear", fill: Fill = 0) -> None:
        if not 0 <= distortion_scale <= 1:
            raise ValueError(f"distortion_scale must be between 0 and 1, got {distortion_scale}")
        self.distortion_scale, self.p = distortion_scale, _probability(p)
        self.interpolation: Interpolation = interpolation
        self.fill = fill

    def corners(self, height: int, width: int) -> tuple[Corners, Corners]:
        """The corners of an image, and where they go."""
        dx, dy = (int(self.distortion_scale * (n // 2)) + 1 for n in (width, height))
        x = [_below(dx), width - 1 - _below(dx), width - 1 - _below(dx), _below(dx)]
        y = [_below(dy), _below(dy), height - 1 - _below(dy), height - 1 - _below(dy)]
        return [(0, 0), (width - 1, 0), (width - 1, height - 1), (0, height - 1)], list(zip(x, y, strict=True))

    def __call__(self, image: Picture) -> Picture:
        if rand(1).item() >= self.p:
            return image
        start, end = self.corners(*F.size_of(image))
        return F.perspective(image, coefficients(start, end), self.fill, self.interpolation)


def _below(n: int) -> int:
    return int(randint(n, (1,)).item())


def coefficients(start: Sequence[tuple[int, int]], end: Sequence[tuple[int, int]]) -> Any:
    """The eight numbers that say where a pixel of the result comes from, if ``start`` goes to ``end``."""
    rows = []
    for (x, y), (u, v) in zip(end, start, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    return np.linalg.lstsq(np.array(rows, np.float64), np.array(start, np.float64).ravel(), rcond=None)[0].tolist()
