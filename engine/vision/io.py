"""Reading images."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from PIL import Image

from engine.tensor import Tensor

try:
    import simplejpeg
except ImportError:  # an extra: Pillow reads everything
    simplejpeg = None

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP")
Mode = Literal["RGB", "L"]
Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def read_pil(file: str | Path | IO[bytes], mode: Mode = "RGB") -> Image.Image:
    """An image decoded whole, in colour or grey. Raises OSError (also Pillow's own kinds of it) for one that is broken."""
    with Image.open(file, formats=FORMATS) as image:
        return image.convert(mode)


def read_fast(path: str | Path) -> Image.Image:
    """An image in colour; JPEG files by simplejpeg where it is installed, which is faster than Pillow and gives up the interpreter's lock."""
    if simplejpeg is not None and str(path).lower().endswith((".jpg", ".jpeg")):
        try:
            return Image.fromarray(simplejpeg.decode_jpeg(Path(path).read_bytes(), "RGB"))
        except ValueError:  # CMYK and other kinds that only Pillow reads, or a broken file that it will name
            pass
    return read_pil(path)


def to_array(image: Image.Image) -> np.ndarray[Any, Any]:
    """The pixels ``(C, H, W)``: uint8, of which white is 255 in mode 1 too; int32 in modes I and I;16, float32 in mode F."""
    if image.mode == "RGB":  # planes from Pillow: a third of the time that NumPy takes to transpose
        planes = bytearray().join(plane.tobytes() for plane in image.split())
        return np.frombuffer(planes, np.uint8).reshape(3, image.height, image.width)
    return channels_first(np.asarray(image.convert("L") if image.mode == "1" else image))


def channels_first(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Pixels ``(H, W)`` or ``(H, W, C)`` as ``(C, H, W)``, of a type that tensors have and in this machine's byte order."""
    held: Any = {"uint16": np.int32, "uint32": np.int64}.get(pixels.dtype.name, pixels.dtype.newbyteorder("="))
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1), held)


def to_pil(pixels: Pixels) -> Image.Image:
    """The image of pixels ``(C, H, W)``, uint8."""
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def read_image(path: str | Path, mode: Mode = "RGB") -> Tensor:
    """The pixels of a file, ``(C, H, W)``, uint8 (``torchvision.io.read_image``)."""
    return Tensor._wrap(to_array(read_pil(path, mode)))
