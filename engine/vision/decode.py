"""Image files as datasets read them: upright, on white, 8 bits a channel. Uploads and files that are decoded again later share this rule."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps

from engine.vision.io import EXTENSIONS, FORMATS, Pixels, to_array

SUFFIXES = (*EXTENSIONS, ".gif", ".jfif")
MAX_PIXELS = 64_000_000

Ranges = Mapping[str, tuple[float, float]]
"""The values that become 0 and 255, of images that have more than 8 bits: for ``integers`` and for ``floats``."""

_GREY = ("1", "L", "LA", "La")


class Picture(NamedTuple):
    """An image file decoded: pixels ``(1 or 3, H, W)``, what was changed on the way (keys of ``CHANGES``), and the smallest and the largest value of
    one that had more than 8 bits."""

    pixels: Pixels
    changes: tuple[str, ...] = ()
    span: tuple[float, float] | None = None


CHANGES = {
    "orientation": "turned upright by the orientation that the camera noted (EXIF)",
    "alpha": "composed on white, having transparent pixels",
    "frames": "read by the first frame only, having several",
    "cmyk": "converted from CMYK to RGB",
    "integers": "scaled to 8 bits, having whole numbers of more than 8 bits",
    "floats": "scaled to 8 bits, having floating-point numbers",
}
"""What may be done to an image; the sentence goes on from "3 images were"."""


def decode(content: bytes, name: str, ranges: Ranges | None = None) -> Picture:
    """The image in a file's ``content``; GIF is read where ``name`` says so.

    ``ranges`` scale the images of more than 8 bits, so that brightness can be compared between the images of a dataset; without it, or for a kind of
    numbers it does not have, each is scaled from its own smallest to its own largest value. Raises whatever Pillow's decoders raise for a broken file,
    ValueError for one that is too large or has values that are not finite.
    """
    formats = (*FORMATS, "GIF") if name.lower().endswith(".gif") else FORMATS
    with Image.open(io.BytesIO(content), formats=formats) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels, more than the {MAX_PIXELS:,} allowed")
        changes = ["frames"] if getattr(image, "is_animated", False) else []
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) if image.format == "TIFF" else 1  # Pillow turns these as it loads them
        image.load()
        picture = plain(image, ranges)
        if turned in range(2, 9) and "orientation" not in picture.changes:
            changes.append("orientation")
        return picture._replace(changes=(*changes, *picture.changes))


def plain(image: Image.Image, ranges: Ranges | None = None) -> Picture:
    """An image that is open already, upright, on white, with 8 bits a channel; ``ranges`` as above."""
    upright = _upright(image)
    changes = ["orientation"] if upright is not image else []
    reduced, change, span = _to_8_bits(upright, ranges or {})
    return Picture(to_array(reduced), (*changes, *change), span)


def _upright(image: Image.Image) -> Image.Image:
    """The image as viewers show it: turned by its orientation tag; the same object where there is nothing to turn."""
    if not any(k in image.info for k in ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")):
        return image
    try:
        turn = image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9)
        return ImageOps.exif_transpose(image) if turn else image
    except Exception:  # broken tags raise anything; viewers pass over them
        return image


def _to_8_bits(image: Image.Image, ranges: Ranges) -> tuple[Image.Image, list[str], tuple[float, float] | None]:
    """The image in mode L or RGB, the changes, and the span of an image that had more bits."""
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image, [], None
    if image.mode == "F" or image.mode.startswith("I"):
        kind = "floats" if image.mode == "F" else "integers"
        scaled, span = _scaled(np.asarray(image), ranges.get(kind))
        return Image.fromarray(scaled), [kind], span
    grey = image.mode in _GREY or (image.mode == "P" and _is_grey(image))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        composed = image.getchannel("A").getextrema() != (255, 255)
        if composed:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert("RGB").convert("L") if grey else image.convert("RGB"), ["alpha"] if composed else [], None
    return image.convert("L" if grey else "RGB"), ["cmyk"] if image.mode == "CMYK" else [], None


def _is_grey(image: Image.Image) -> bool:
    colours = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def _scaled(values: np.ndarray[Any, Any], bounds: tuple[float, float] | None) -> tuple[Pixels, tuple[float, float]]:
    """Values from the lower to the upper bound as 0 to 255, and the smallest and the largest there are."""
    numbers = values.astype(np.float64)
    low, high = float(numbers.min()), float(numbers.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("pixels that are NaN or infinite")
    bottom, top = bounds or (low, high)
    share = (numbers - bottom) / ((top - bottom) or 1.0)
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8), (low, high)
