"""What transforms do, on Pillow images and on ``(C, H, W)`` tensors (``torchvision.transforms.functional``).

Colours and geometry of tensors go through Pillow where they are uint8; float tensors in [0, 1] are computed on directly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from engine.ops.pad import pad as pad_tensor
from engine.tensor import Tensor
from engine.vision.io import channels_first, to_array, to_pil

Picture = Image.Image | Tensor
Interpolation = Literal["nearest", "bilinear"]
Fill = int | tuple[int, ...] | None
"""The pixel where an image has none: one number for all channels, or one for each; None is black."""
_SAMPLINGS = {"nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR}


def as_pair(value: int | Sequence[int], name: str) -> tuple[int, int]:
    """One number for both sides, or one for each. Raises ValueError unless they are positive."""
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
    return image.flip(-1) if isinstance(image, Tensor) else ImageOps.mirror(image)


def vflip(image: Picture) -> Picture:
    return image.flip(-2) if isinstance(image, Tensor) else ImageOps.flip(image)


def resize(image: Picture, height: int, width: int, interpolation: Interpolation = "bilinear") -> Picture:
    """Bilinear, anti-aliased; or the nearest pixel. A tensor must be uint8."""
    sampling = _SAMPLINGS[interpolation]
    if isinstance(image, Tensor):
        return Tensor._wrap(to_array(to_pil(image.numpy()).resize((width, height), sampling)))
    if image.mode == "I;16B":  # Pillow would take its bytes in the other order
        image = image.convert("I")
    return image.resize((width, height), sampling)


def resized_crop(
    image: Picture, top: int, left: int, height: int, width: int, size: tuple[int, int], interpolation: Interpolation = "bilinear"
) -> Picture:
    return resize(crop(image, top, left, height, width), *size, interpolation)


def pad(image: Picture, padding: int | Sequence[int], fill: int = 0) -> Picture:
    """A border of ``fill``: one width, (left and right, top and bottom), or (left, top, right, bottom)."""
    widths = [padding] * 4 if isinstance(padding, int) else list(padding) * (2 if len(padding) == 2 else 1)
    if len(widths) != 4:
        raise ValueError(f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(widths)} element tuple")
    left, top, right, bottom = widths
    if isinstance(image, Tensor):
        return pad_tensor(image, [left, right, top, bottom], value=fill)
    return ImageOps.expand(image, (left, top, right, bottom), fill)


def through_pillow(image: Picture, function: Callable[[Image.Image], Image.Image]) -> Picture:
    """Applies a function of Pillow images to a uint8 or a float tensor too."""
    if not isinstance(image, Tensor):
        return function(image)
    if image.is_floating_point():
        pixels = np.clip(np.rint(image.numpy() * 255), 0, 255).astype(np.uint8)
        return Tensor._wrap(to_array(function(to_pil(pixels))).astype(image.dtype.numpy) / image.dtype.numpy.type(255))
    return Tensor._wrap(to_array(function(to_pil(image.numpy()))))


def fill_of(image: Image.Image, fill: Fill) -> Any:
    """``fill`` as Pillow takes it for an image. Raises ValueError for another number of channels."""
    channels = len(image.getbands())
    values = (fill or 0,) if isinstance(fill, int | None) else tuple(fill)
    if len(values) not in (1, channels):
        raise ValueError(f"fill must have one value, or one for each of the {channels} channels, got {fill}")
    return values[0] if channels == 1 else values * (channels // len(values))


def rotate(image: Picture, angle: float, expand: bool = False, fill: Fill = 0, interpolation: Interpolation = "nearest") -> Picture:
    """Counter-clockwise by ``angle`` degrees about the middle."""
    return through_pillow(image, lambda p: p.rotate(angle, _SAMPLINGS[interpolation], expand, fillcolor=fill_of(p, fill)))


def affine(image: Picture, matrix: Sequence[float], fill: Fill = 0, interpolation: Interpolation = "nearest") -> Picture:
    """Each pixel ``(x, y)`` from ``(a x + b y + c, d x + e y + f)``."""
    sampling = _SAMPLINGS[interpolation]
    return through_pillow(image, lambda p: p.transform(p.size, Image.Transform.AFFINE, tuple(matrix), sampling, fillcolor=fill_of(p, fill)))


def perspective(image: Picture, coefficients: Sequence[float], fill: Fill = 0, interpolation: Interpolation = "bilinear") -> Picture:
    """Each pixel ``(x, y)`` from ``((a x + b y + c) / (g x + h y + 1), (d x + e y + f) / (g x + h y + 1))``."""
    sampling = _SAMPLINGS[interpolation]
    return through_pillow(
        image, lambda p: p.transform(p.size, Image.Transform.PERSPECTIVE, tuple(coefficients), sampling, fillcolor=fill_of(p, fill))
    )


def adjust_brightness(image: Picture, brightness_factor: float) -> Picture:
    """0 is black, 1 the image."""
    return through_pillow(image, lambda p: ImageEnhance.Brightness(p).enhance(brightness_factor))


def adjust_contrast(image: Picture, contrast_factor: float) -> Picture:
    """0 is grey, 1 the image."""
    return through_pillow(image, lambda p: ImageEnhance.Contrast(p).enhance(contrast_factor))


def adjust_saturation(image: Picture, saturation_factor: float) -> Picture:
    """0 is without colour, 1 the image."""
    return through_pillow(image, lambda p: ImageEnhance.Color(p).enhance(saturation_factor))


def adjust_sharpness(image: Picture, sharpness_factor: float) -> Picture:
    """0 is blurred, 1 the image, 2 sharper."""
    return through_pillow(image, lambda p: ImageEnhance.Sharpness(p).enhance(sharpness_factor))


def adjust_hue(image: Picture, hue_factor: float) -> Picture:
    """Colours turned on their circle, by half of it at -0.5 or 0.5."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")

    def turned(p: Image.Image) -> Image.Image:
        if p.mode == "L":
            return p
        h, s, v = p.convert("HSV").split()
        shifted = (np.asarray(h, np.int16) + round(hue_factor * 255)).astype(np.uint8)
        return Image.merge("HSV", (Image.fromarray(shifted), s, v)).convert(p.mode)

    return through_pillow(image, turned)


def gaussian_blur(image: Picture, sigma: float) -> Picture:
    return through_pillow(image, lambda p: p.filter(ImageFilter.GaussianBlur(sigma)))


def invert(image: Picture) -> Picture:
    return through_pillow(image, ImageOps.invert)


def posterize(image: Picture, bits: int) -> Picture:
    """Colours of so many bits."""
    return through_pillow(image, lambda p: ImageOps.posterize(p, bits))


def solarize(image: Picture, threshold: float) -> Picture:
    """Values from ``threshold`` on inverted."""
    return through_pillow(image, lambda p: ImageOps.solarize(p, math.ceil(threshold)))


def autocontrast(image: Picture) -> Picture:
    return through_pillow(image, ImageOps.autocontrast)


def equalize(image: Picture) -> Picture:
    return through_pillow(image, ImageOps.equalize)


def to_grayscale(image: Picture, num_output_channels: int = 1) -> Picture:
    """Luminance (ITU-R 601), in one channel or three times."""
    return through_pillow(image, lambda p: p.convert("L") if num_output_channels == 1 else p.convert("L").convert("RGB"))


def to_tensor(image: Any) -> Tensor:
    """A Pillow image, or uint8 pixels, as a float32 tensor ``(C, H, W)`` in [0, 1]; an array is ``(H, W, C)`` or ``(H, W)``.

    As in torchvision other pixels are not scaled and keep their type: int32 in modes I and I;16, float32 in mode F.
    """
    pixels = (image if isinstance(image, Tensor) else pixels_of(image))._data
    return Tensor._wrap(pixels.astype(np.float32) / np.float32(255) if pixels.dtype == np.uint8 else np.array(pixels))


def pixels_of(image: Any) -> Tensor:
    """A Pillow image, or an array ``(H, W, C)`` or ``(H, W)``, as a tensor ``(C, H, W)`` of its own type."""
    if isinstance(image, Image.Image):
        return Tensor._wrap(to_array(image))
    if not isinstance(image, np.ndarray) or image.ndim not in (2, 3):
        raise TypeError(f"pic should be PIL Image or ndarray of 2 or 3 dimensions. Got {type(image)}")
    return Tensor._wrap(channels_first(image))


def to_pil_image(image: Any) -> Image.Image:
    """A tensor ``(C, H, W)``, uint8 or float in [0, 1], or an array ``(H, W, C)``, as a Pillow image."""
    if isinstance(image, np.ndarray):
        return Image.fromarray(image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image)
    if not isinstance(image, Tensor):
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(image)}.")
    pixels = image.numpy() if image.ndim == 3 else image.numpy()[None]
    return to_pil(np.clip(pixels * 255, 0, 255).astype(np.uint8) if image.is_floating_point() else pixels)


def normalize(image: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """``(x - mean) / std`` for each channel of a float tensor ``(..., C, H, W)``."""
    if not isinstance(image, Tensor) or not image.is_floating_point():
        raise TypeError(f"Normalize takes a float tensor, got {getattr(image, 'dtype', type(image).__name__)}; put ToTensor before it")
    if image.shape[-3] != len(mean) and len(mean) != 1:
        raise ValueError(f"Normalize has {len(mean)} channel values, but the image has {image.shape[-3]} channels")
    shape = (-1, 1, 1)
    return (image - image.new_tensor(mean).reshape(shape)) / image.new_tensor(std).reshape(shape)


def erase(image: Tensor, top: int, left: int, height: int, width: int, value: Any, inplace: bool = False) -> Tensor:
    """A copy, or the image itself, with a value in a rectangle."""
    y = image if inplace else image.clone()
    y[..., top : top + height, left : left + width] = value
    return y
