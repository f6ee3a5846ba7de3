"""Random rectangles of an image overwritten."""

from __future__ import annotations

import math

from engine.creation import rand, randint, randn
from engine.tensor import Tensor
from engine.vision.transforms import functional as F
from engine.vision.transforms.basic import Random, _probability
from engine.vision.transforms.random import uniform

TRIES = 10


class RandomErasing(Random):
    """A random rectangle of a tensor ``(..., C, H, W)`` overwritten with probability ``p`` (Zhong et al., "Random Erasing Data Augmentation", 2017).

    ``scale`` is the range of its share of the area, ``ratio`` that of its height to its width. ``value`` is a number, one for each channel, or "random"
    for standard normal numbers. After ten rectangles that do not fit the image stays as it is.
    """

    def __init__(
        self, p: float = 0.5, scale: tuple[float, float] = (0.02, 0.33), ratio: tuple[float, float] = (0.3, 3.3),
        value: float | tuple[float, ...] | str = 0.0, inplace: bool = False,
    ) -> None:  # fmt: skip
        if isinstance(value, str) and value != "random":
            raise ValueError(f"If value is str, it should be 'random', got {value!r}")
        if not 0 <= scale[0] <= scale[1] <= 1:
            raise ValueError(f"scale should be of kind (min, max), between 0 and 1, got {tuple(scale)}")
        if not 0 < ratio[0] <= ratio[1]:
            raise ValueError(f"ratio should be of kind (min, max), positive, got {tuple(ratio)}")
        self.p, self.scale, self.ratio, self.inplace = _probability(p), tuple(scale), tuple(ratio), inplace
        self.value = tuple(value) if isinstance(value, list | tuple) else value

    def place(self, height: int, width: int) -> tuple[int, int, int, int] | None:
        """(top, left, height, width) of a rectangle; None where none was found. Compiled code draws the same (engine/kernels/cpu/images.h)."""
        low, high = (math.log(r) for r in self.ratio)
        for _ in range(TRIES):
            area = height * width * uniform(*self.scale)
            ratio = math.exp(uniform(low, high))
            h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if h < height and w < width:
                return int(randint(0, height - h + 1, (1,)).item()), int(randint(0, width - w + 1, (1,)).item()), h, w
        return None

    def __call__(self, image: Tensor) -> Tensor:
        if not isinstance(image, Tensor):
            raise TypeError(f"RandomErasing takes a tensor, got {type(image).__name__}; put ToTensor before it")
        if isinstance(self.value, tuple) and len(self.value) not in (1, image.shape[-3]):
            raise ValueError(f"value should be one number or one for each of the {image.shape[-3]} channels, got {self.value}")
        place = self.place(*F.size_of(image)) if rand(1).item() < self.p else None
        if place is None:
            return image
        value = image.new_tensor(self.value).reshape(-1, 1, 1) if isinstance(self.value, tuple) else self.value
        if self.value == "random":
            value = randn(*image.shape[:-2], *place[2:]).to(image.dtype)
        return F.erase(image, *place, value, self.inplace)
