"""The transforms that all pipelines are made of: sizes, crops, flips, types."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from engine.creation import rand, randint
from engine.tensor import Tensor
from engine.vision.transforms import functional as F
from engine.vision.transforms.functional import Interpolation, Picture, as_pair


def _probability(p: float) -> float:
    if not 0 <= p <= 1:
        raise ValueError(f"p must be a probability, got {p}")
    return p


class Transform:
    """The base: parameters in ``__init__``, an image in ``__call__``. ``moves``: whether it moves pixels, so that a mask must follow."""

    moves = False

    def __call__(self, image: Any) -> Any:
        raise NotImplementedError

    def on_mask(self, mask: Any) -> Any:
        """What becomes of the mask of an image, given the same draws: moved alike, to the nearest pixel, with 0 where there is none; else as it is."""
        if not self.moves:
            return mask
        twin = copy.copy(self)
        vars(twin).update({k: v for k, v in (("interpolation", "nearest"), ("fill", 0)) if k in vars(self)})
        return twin(mask)

    def still(self) -> Transform | None:
        """What stands for it where nothing may be random: itself unless it draws; None if it is left out."""
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in self.__dict__.items())})"


class Random(Transform):
    """The base of those that draw from the engine's generator."""

    def still(self) -> Transform | None:
        return None


class Compose(Transform):
    """One transform after the other."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, image: Any) -> Any:
        for transform in self.transforms:
            image = transform(image)
        return image

    def __repr__(self) -> str:
        return "Compose(\n" + "".join(f"    {t}\n" for t in self.transforms) + ")"


class Lambda(Transform):
    """Any function."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        self.lambd = lambd

    def __call__(self, image: Any) -> Any:
        return self.lambd(image)


class ToTensor(Transform):
    """A Pillow image, or uint8 pixels, to a float32 tensor ``(C, H, W)`` in [0, 1]; modes I, I;16 and F are not scaled."""

    def __call__(self, image: Any) -> Tensor:
        return F.to_tensor(image)


class PILToTensor(Transform):
    """A Pillow image to a tensor ``(C, H, W)`` of its pixels: uint8; int32 in modes I and I;16, float32 in mode F."""

    def __call__(self, image: Any) -> Tensor:
        return image if isinstance(image, Tensor) else F.pixels_of(image)


class ToPILImage(Transform):
    """A tensor ``(C, H, W)`` or an array ``(H, W, C)`` to a Pillow image."""

    def __call__(self, image: Any) -> Any:
        return F.to_pil_image(image)


class Normalize(Transform):
    """``(x - mean) / std`` for each channel of a float tensor ``(..., C, H, W)``."""

    def __init__(self, mean: list[float], std: list[float]) -> None:
        if len(mean) != len(std) or not mean:
            raise ValueError(f"mean and std must have one value a channel each, got {len(mean)} and {len(std)}")
        if 0 in std:
            raise ValueError(f"std evaluated to zero after conversion, leading to division by zero: {std}")
        self.mean, self.std = mean, std

    def __call__(self, image: Tensor) -> Tensor:
        return F.normalize(image, self.mean, self.std)


class Resize(Transform):
    """To ``(height, width)``; one int is the shorter side, the other keeping the ratio. ``interpolation``: bilinear (anti-aliased) or nearest."""

    moves = True

    def __init__(self, size: int | tuple[int, int], interpolation: Interpolation = "bilinear") -> None:
        as_pair(size, "size")
        self.size, self.interpolation = size, interpolation

    def __call__(self, image: Picture) -> Picture:
        if not isinstance(self.size, int):
            return F.resize(image, *self.size, self.interpolation)
        height, width = F.size_of(image)
        short = min(height, width)
        return F.resize(image, max(1, int(height * self.size / short)), max(1, int(width * self.size / short)), self.interpolation)


class CenterCrop(Transform):
    """The middle ``(height, width)``; an image that is smaller is padded with zeros first."""

    moves = True

    def __init__(self, size: int | tuple[int, int]) -> None:
        self.size = as_pair(size, "size")

    def __call__(self, image: Picture) -> Picture:
        missing = [max(0, m - n) for n, m in zip(F.size_of(image), self.size, strict=True)]
        if any(missing):
            image = F.pad(image, (missing[1] // 2, missing[0] // 2, (missing[1] + 1) // 2, (missing[0] + 1) // 2))
        top, left = (round((n - m) / 2) for n, m in zip(F.size_of(image), self.size, strict=True))
        return F.crop(image, top, left, *self.size)


class RandomCrop(Random):
    """A random ``(height, width)`` of the image, which is first padded by ``padding`` zeros on each side."""

    moves = True

    def __init__(self, size: int | tuple[int, int], padding: int = 0) -> None:
        self.size, self.padding = as_pair(size, "size"), padding

    def still(self) -> Transform:
        return CenterCrop(self.size)

    def __call__(self, image: Picture) -> Picture:
        if self.padding:
            image = F.pad(image, self.padding)
        height, width = F.size_of(image)
        if height < self.size[0] or width < self.size[1]:
            raise ValueError(f"Required crop size {self.size} is larger than input image size {height, width}")
        top, left = (int(randint(0, n - m + 1, (1,)).item()) for n, m in zip((height, width), self.size, strict=True))
        return F.crop(image, top, left, *self.size)


class _Flip(Random):
    """Mirrors with probability ``p``."""

    flip: Callable[[Picture], Picture]

    moves = True

    def __init__(self, p: float = 0.5) -> None:
        self.p = _probability(p)

    def __call__(self, image: Picture) -> Picture:
        return type(self).flip(image) if rand(1).item() < self.p else image


class RandomHorizontalFlip(_Flip):
    """Mirrors left and right with probability ``p``."""

    flip = staticmethod(F.hflip)


class RandomVerticalFlip(_Flip):
    """Mirrors top and bottom with probability ``p``."""

    flip = staticmethod(F.vflip)


class Grayscale(Transform):
    """One channel of luminance (ITU-R 601); with ``num_output_channels=3``, three times the same."""

    def __init__(self, num_output_channels: int = 1) -> None:
        if num_output_channels not in (1, 3):
            raise ValueError(f"num_output_channels must be 1 or 3, got {num_output_channels}")
        self.num_output_channels = num_output_channels

    def __call__(self, image: Picture) -> Picture:
        return F.to_grayscale(image, self.num_output_channels)


class Pad(Transform):
    """A border of ``fill``: one width, (left and right, top and bottom), or (left, top, right, bottom)."""

    moves = True

    def __init__(self, padding: int | tuple[int, ...], fill: int = 0) -> None:
        self.padding, self.fill = padding, fill

    def __call__(self, image: Picture) -> Picture:
        return F.pad(image, self.padding, self.fill)


class RandomApply(Random):
    """Several transforms, all or none, with probability ``p``."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: float = 0.5) -> None:
        self.transforms, self.p = transforms, _probability(p)

    def __call__(self, image: Any) -> Any:
        return Compose(self.transforms)(image) if rand(1).item() < self.p else image


class RandomChoice(Random):
    """One of several transforms, each as likely."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, image: Any) -> Any:
        return self.transforms[int(randint(len(self.transforms), (1,)).item())](image)
