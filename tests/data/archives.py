"""Zips of small images for the tests, with names as they are, or as old tools write them."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def picture(name: str, size: tuple[int, int] = (6, 8), mode: str = "L", form: str = "PNG", **how: Any) -> bytes:
    """An image of random pixels that belong to its name; ``size`` is (height, width)."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    out = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, size if mode == "L" else (*size, len(mode)), np.uint8)).save(out, form, **how)
    return out.getvalue()


def saved(image: Image.Image, form: str = "PNG", **how: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **how)
    return out.getvalue()


def zipped(path: Path, files: dict[str, bytes | None], page: str | None = None) -> Path:
    """Writes a zip; None makes a folder. With ``page`` names are in that code page, without the flag of UTF-8."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(_Info(name, page) if page else name, content or b"")
    return path


class _Info(zipfile.ZipInfo):
    def __init__(self, name: str, page: str) -> None:
        super().__init__(name)
        self._page = page

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # what zipfile writes of a name
        return self.filename.encode(self._page), self.flag_bits & ~0x800


_Info.__slots__ = ()
