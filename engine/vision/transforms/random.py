"""Random augmentations: crops of any scale, colours, rotations. They draw from the engine's generator."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from engine.creation import rand, randint, randperm
from engine.tensor import Tensor
from engine.vision.transforms import functional as F
from engine.vision.transforms.basic import Random, Resize, _probability
from engine.vision.transforms.functional import Interpolation, Picture, as_pair


def uniform(low: float, high: float) -> float:
    return low + (high - low) * float(rand(1).item())


class RandomResizedCrop(Random):
    """A random part of the area and ratio given, resized to ``size`` (Szegedy et al., 2015)."""

    moves = True

    def __init__(
        self, size: int | tuple[int, int], scale: tuple[float, float] = (0.08, 1.0), ratio: tuple[float, float] = (3 / 4, 4 / 3),
        interpolation: Interpolation = "bilinear",
    ) -> None:  # fmt: skip
        if not 0 < scale[0] <= scale[1] or not 0 < ratio[0] <= ratio[1]:
            raise ValueError(f"scale and ratio should be of kind (min, max), positive, got scale={scale}, ratio={ratio}")
        self.size, self.scale, self.ratio = as_pair(size, "size"), tuple(scale), tuple(ratio)
        self.interpolation: Interpolation = interpolation

    def still(self) -> Resize:
        return Resize(self.size, self.interpolation)

    def place(self, height: int, width: int) -> tuple[int, int, int, int]:
        """(top, left, height, width) of a crop; after ten misses the greatest one in the middle."""
        for _ in range(10):
            area = height * width * uniform(*self.scale)
            ratio = math.exp(uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                return int(randint(0, height - h + 1, (1,)).item()), int(randint(0, width - w + 1, (1,)).item()), h, w
        whole = width / height
        w, h = width, height
        if whole < self.ratio[0]:
            h = min(height, round(w / self.ratio[0]))
        elif whole > self.ratio[1]:
            w = min(width, round(h * self.ratio[1]))
        return (height - h) // 2, (width - w) // 2, h, w

    def __call__(self, image: Picture) -> Picture:
        return F.resized_crop(image, *self.place(*F.size_of(image)), self.size, self.interpolation)


Range = float | tuple[float, float]


def _range(value: Range, name: str, centre: float = 1.0, least: float = 0.0, most: float = math.inf) -> tuple[float, float] | None:
    """A number as the range about ``centre``; None where nothing varies."""
    if isinstance(value, int | float):
        if value < 0:
            raise ValueError(f"If {name} is a single number, it must be non negative.")
        low, high = max(centre - value, least) if centre else centre - value, centre + value
    else:
        low, high = value
    if not least <= low <= high <= most:
        raise ValueError(f"{name} values should be between ({least}, {most}), but got ({low}, {high}).")
    return None if low == high == centre else (float(low), float(high))


class ColorJitter(Random):
    """Brightness, contrast, saturation and hue changed by random factors, in random order."""

    def __init__(self, brightness: Range = 0.0, contrast: Range = 0.0, saturation: Range = 0.0, hue: Range = 0.0) -> None:
        self.brightness, self.contrast = _range(brightness, "brightness"), _range(contrast, "contrast")
        self.saturation, self.hue = _range(saturation, "saturation"), _range(hue, "hue", 0.0, -0.5, 0.5)

    def __call__(self, image: Picture) -> Picture:
        steps: list[tuple[Callable[[Picture, float], Picture], tuple[float, float] | None]] = [
            (F.adjust_brightness, self.brightness), (F.adjust_contrast, self.contrast), (F.adjust_saturation, self.saturation), (F.adjust_hue, self.hue),
        ]  # fmt: skip
        for i in randperm(4).tolist():
            adjust, between = steps[i]
            if between is not None:
                image = adjust(image, uniform(*between))
        return image


class RandomRotation(Random):
    """Turned by a random angle within ``degrees``: (low, high), or a number for both ways."""

    moves = True

    def __init__(self, degrees: Range, expand: bool = False, fill: int = 0) -> None:
        if isinstance(degrees, int | float) and degrees < 0:
            raise ValueError("If degrees is a single number, it must be positive.")
        self.degrees = (-degrees, degrees) if isinstance(degrees, int | float) else tuple(degrees)
        self.expand, self.fill = expand, fill

    def __call__(self, image: Picture) -> Picture:
        return F.rotate(image, uniform(*self.degrees), self.expand, self.fill)


class RandomAffine(Random):
    """A random rotation, shift (in parts of the size), scale and shear (in degrees)."""

    moves = True

    def __init__(
        self,
        degrees: Range,
        translate: tuple[float, float] | None = None,
        scale: tuple[float, float] | None = None,
        shear: Range | None = None,
        fill: int = 0,
    ) -> None:
        self.degrees = (-degrees, degrees) if isinstance(degrees, int | float) else tuple(degrees)
        self.translate, self.scale, self.fill = translate, scale, fill
        self.shear = None if shear is None else (-shear, shear) if isinstance(shear, int | float) else tuple(shear)

    def __call__(self, image: Picture) -> Picture:
        height, width = F.size_of(image)
        angle = math.radians(uniform(*self.degrees))
        dx, dy = (
            (0.0, 0.0)
            if self.translate is None
            else tuple(uniform(-t, t) * n for t, n in zip(self.translate, (width, height), strict=True))
        )
        zoom = 1.0 if self.scale is None else uniform(*self.scale)
        shear = 0.0 if self.shear is None else math.radians(uniform(*self.shear))
        # where a pixel of the result comes from: back by the shift, the shear, the angle and the scale, about the middle
        cx, cy = (width - 1) / 2, (height - 1) / 2
        a, b = math.cos(angle) / zoom, math.sin(angle) / zoom
        c, d = -math.sin(angle) / zoom, math.cos(angle) / zoom
        b, d = b + a * math.tan(shear), d + c * math.tan(shear)
        return F.affine(image, (a, b, cx - a * (cx + dx) - b * (cy + dy), c, d, cy - c * (cx + dx) - d * (cy + dy)), self.fill)


class _Sometimes(Random):
    """Applies ``change`` with probability ``p``."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = _probability(p)

    def change(self, image: Picture) -> Picture:
        raise NotImplementedError

    def __call__(self, image: Any) -> Any:
        return self.change(image) if rand(1).item() < self.p else image


class RandomGrayscale(_Sometimes):
    """Without colour with probability ``p``; the number of channels stays."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p)

    def change(self, image: Picture) -> Picture:
        channels = image.shape[-3] if isinstance(image, Tensor) else len(image.getbands())
        return F.to_grayscale(image, channels)


class RandomInvert(_Sometimes):
    """Colours inverted with probability ``p``."""

    def change(self, image: Picture) -> Picture:
        return F.invert(image)


class RandomAutocontrast(_Sometimes):
    """The darkest value black and the lightest white, with probability ``p``."""

    def change(self, image: Picture) -> Picture:
        return F.autocontrast(image)


class RandomEqualize(_Sometimes):
    """An even histogram with probability ``p``."""

    def change(self, image: Picture) -> Picture:
        return F.equalize(image)


class RandomPosterize(_Sometimes):
    """Colours of ``bits`` bits with probability ``p``."""

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p)
        self.bits = bits

    def change(self, image: Picture) -> Picture:
        return F.posterize(image, self.bits)


class RandomSolarize(_Sometimes):
    """Values from ``threshold`` on inverted, with probability ``p``."""

    def __init__(self, threshold: int, p: float = 0.5) -> None:
        super().__init__(p)
        self.threshold = threshold

    def change(self, image: Picture) -> Picture:
        return F.solarize(image, self.threshold)


class RandomAdjustSharpness(_Sometimes):
    """Sharper (or blurred, below 1) with probability ``p``."""

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.sharpness_factor = sharpness_factor

    def change(self, image: Picture) -> Picture:
        return F.adjust_sharpness(image, self.sharpness_factor)


class GaussianBlur(Random):
    """Blurred by a normal distribution of random ``sigma`` within the range; ``kernel_size`` only bounds it."""

    def __init__(self, kernel_size: int | tuple[int, int], sigma: Range = (0.1, 2.0)) -> None:
        self.kernel_size = as_pair(kernel_size, "kernel_size")
        if any(k % 2 == 0 for k in self.kernel_size):
            raise ValueError("Kernel size value should be an odd and positive number.")
        self.sigma = (float(sigma), float(sigma)) if isinstance(sigma, int | float) else tuple(sigma)

    def __call__(self, image: Picture) -> Picture:
        return F.gaussian_blur(image, min(uniform(*self.sigma), max(self.kernel_size) / 2))
