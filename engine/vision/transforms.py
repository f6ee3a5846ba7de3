"""Image transforms on Pillow images and on ``(C, H, W)`` tensors (``torchvision.transforms``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from engine.creation import rand, randint, tensor
from engine.ops.pad import pad as pad_tensor
from engine.tensor import Tensor
from engine.vision.io import to_array, to_pil

Picture = Image.Image | Tensor


def _pair(value: int | Sequence[int], name: str) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(value) * (2 if len(value) == 1 else 1)
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"{name} must be one or two positive ints, got {value}")
    return int(pair[0]), int(pair[1])


def size_of(image: Picture) -> tuple[int, int]:
    """(height, width)."""
    return (image.shape[-2], image.shape[-1]) if isinstance(image, Tensor) else (image.height, image.width)


def crop(image: Picture, top: int, left: int, height: int, width: int) -> Picture:
    if isinstance(image, Tensor):
        return image[..., top : top + height, left : left + width]
    return image.crop((left, top, left + width, top + height))


def hflip(image: Picture) -> Picture:
    return Tensor._wrap(image._data[..., ::-1].copy()) if isinstance(image, Tensor) else ImageOps.mirror(image)


def vflip(image: Picture) -> Picture:
    return Tensor._wrap(image._data[..., ::-1, :].copy()) if isinstance(image, Tensor) else ImageOps.flip(image)


def resize(image: Picture, height: int, width: int) -> Picture:
    """Bilinear, anti-aliased. A tensor must be uint8."""
    if isinstance(image, Tensor):
        return Tensor._wrap(to_array(to_pil(image.numpy()).resize((width, height), Image.Resampling.BILINEAR)))
    return image.resize((width, height), Image.Resampling.BILINEAR)


class Transform:
    """The base: parameters in ``__init__``, an image in ``__call__``."""

    def __call__(self, image: Any) -> Any:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in self.__dict__.items())})"


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
    """A Pillow image, or uint8 pixels, to a float32 tensor ``(C, H, W)`` in [0, 1]."""

    def __call__(self, image: Any) -> Tensor:
        pixels = image._data if isinstance(image, Tensor) else to_array(image) if isinstance(image, Image.Image) else np.asarray(image)
        scaled = pixels.astype(np.float32)
        return Tensor._wrap(scaled / np.float32(255) if pixels.dtype == np.uint8 else scaled)


class Normalize(Transform):
    """``(x - mean) / std`` for each channel of a float tensor ``(..., C, H, W)``."""

    def __init__(self, mean: list[float], std: list[float]) -> None:
        if len(mean) != len(std) or not mean:
            raise ValueError(f"mean and std must have one value a channel each, got {len(mean)} and {len(std)}")
        if 0 in std:
            raise ValueError(f"std evaluated to zero after conversion, leading to division by zero: {std}")
        self.mean, self.std = mean, std

    def __call__(self, image: Tensor) -> Tensor:
        if not isinstance(image, Tensor) or not image.is_floating_point():
            raise TypeError(f"Normalize takes a float tensor, got {getattr(image, 'dtype', type(image).__name__)}; put ToTensor before it")
        if image.shape[-3] != len(self.mean) and len(self.mean) != 1:
            raise ValueError(f"Normalize has {len(self.mean)} channel values, but the image has {image.shape[-3]} channels")
        shape = (-1, 1, 1)
        return (image - tensor(self.mean).reshape(shape)) / tensor(self.std).reshape(shape)


class Resize(Transform):
    """To ``(height, width)``; one int is the shorter side, the other keeping the ratio."""

    def __init__(self, size: int | tuple[int, int]) -> None:
        _pair(size, "size")
        self.size = size

    def __call__(self, image: Picture) -> Picture:
        if not isinstance(self.size, int):
            return resize(image, *self.size)
        height, width = size_of(image)
        short = min(height, width)
        return resize(image, max(1, int(height * self.size / short)), max(1, int(width * self.size / short)))


class CenterCrop(Transform):
    """The middle ``(height, width)``. Raises ValueError for an image that is smaller."""

    def __init__(self, size: int | tuple[int, int]) -> None:
        self.size = _pair(size, "size")

    def __call__(self, image: Picture) -> Picture:
        height, width = size_of(image)
        if height < self.size[0] or width < self.size[1]:
            raise ValueError(f"CenterCrop: required size {self.size} is larger than the image {height, width}")
        return crop(image, (height - self.size[0]) // 2, (width - self.size[1]) // 2, *self.size)


class RandomCrop(Transform):
    """A random ``(height, width)`` of the image, which is first padded by ``padding`` zeros on each side."""

    def __init__(self, size: int | tuple[int, int], padding: int = 0) -> None:
        self.size, self.padding = _pair(size, "size"), padding

    def __call__(self, image: Picture) -> Picture:
        if self.padding:
            image = pad_tensor(image, [self.padding] * 4) if isinstance(image, Tensor) else ImageOps.expand(image, self.padding)
        height, width = size_of(image)
        if height < self.size[0] or width < self.size[1]:
            raise ValueError(f"Required crop size {self.size} is larger than input image size {height, width}")
        top, left = (int(randint(0, n - m + 1, (1,)).item()) for n, m in zip((height, width), self.size, strict=True))
        return crop(image, top, left, *self.size)


class _Flip(Transform):
    """Mirrors with probability ``p``."""

    flip: Callable[[Picture], Picture]

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"p must be a probability, got {p}")
        self.p = p

    def __call__(self, image: Picture) -> Picture:
        return type(self).flip(image) if rand(1).item() < self.p else image


class RandomHorizontalFlip(_Flip):
    """Mirrors left and right with probability ``p``."""

    flip = staticmethod(hflip)


class RandomVerticalFlip(_Flip):
    """Mirrors top and bottom with probability ``p``."""

    flip = staticmethod(vflip)


class Grayscale(Transform):
    """One channel of luminance (ITU-R 601); with ``num_output_channels=3``, three times the same."""

    def __init__(self, num_output_channels: int = 1) -> None:
        if num_output_channels not in (1, 3):
            raise ValueError(f"num_output_channels must be 1 or 3, got {num_output_channels}")
        self.num_output_channels = num_output_channels

    def __call__(self, image: Picture) -> Picture:
        picture = to_pil(image.numpy()) if isinstance(image, Tensor) else image
        grey = picture.convert("L") if self.num_output_channels == 1 else picture.convert("L").convert("RGB")
        return Tensor._wrap(to_array(grey)) if isinstance(image, Tensor) else grey
