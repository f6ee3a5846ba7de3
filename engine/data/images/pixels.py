"""The pixels of an archive's images on their way to disk: one array where all have one size, else the files as they are."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from engine.data.images.decoding import decoded
from engine.data.images.layouts import Sample
from engine.data.images.measures import Measures
from engine.data.report import Progress
from engine.vision.decode import Picture, Ranges, decode

_HEADER = 128


@dataclass
class Stored:
    """The images that could be read, in order, and what their report is made of; ``broken`` are (name, reason)."""

    samples: list[Sample] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    sums: list[list[list[int]]] = field(default_factory=list)
    thumbnails: bytearray = field(default_factory=bytearray)
    changes: Counter[str] = field(default_factory=Counter)
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)
    broken: list[tuple[str, str]] = field(default_factory=list)

    @property
    def channels(self) -> int:
        return max((s[0] for s in self.shapes), default=1)

    @property
    def sizes(self) -> set[tuple[int, ...]]:
        return {s[1:] for s in self.shapes}

    def add(self, sample: Sample, picture: Picture, measures: Measures) -> None:
        self.samples.append(sample)
        self.shapes.append(picture.pixels.shape)
        self.sums.append(measures.sums)
        self.thumbnails += measures.thumbnail
        if picture.changes:
            self.changes.update(picture.changes)
        if picture.span is not None:
            kind = "floats" if "floats" in picture.changes else "integers"
            low, high = self.spans.get(kind, picture.span)
            self.spans[kind] = min(low, picture.span[0]), max(high, picture.span[1])


def store(archive: zipfile.ZipFile, samples: list[Sample], work: Path, progress: Progress) -> tuple[Stored, Ranges]:
    """Decodes every image; pixels to ``x.npy`` while all have one size, else the files to ``files/``. Also returns how more than 8 bits were scaled.

    Images of more than 8 bits are scaled alike, so they are decoded again once it is known what values all of them have.
    """
    stored, ranges = _write(archive, samples, work, {}, progress), {}
    if stored.spans:
        ranges = {kind: _range(kind, *span) for kind, span in stored.spans.items()}
        stored = _write(archive, samples, work, ranges, progress)
    if len(stored.sizes) == 1:
        (height, width), channels = next(iter(stored.sizes)), stored.channels
        if any(s[0] != channels for s in stored.shapes):
            _in_colour(work / "x.npy", [s[0] for s in stored.shapes], height * width)
        _put_header(work / "x.npy", (len(stored.samples), channels, height, width))
    else:
        (work / "x.npy").unlink()
        if stored.samples:
            _keep_files(archive, stored, ranges, work)
    return stored, ranges


def _range(kind: str, low: float, high: float) -> tuple[float, float]:
    """The values that become 0 and 255: of whole numbers all that 10, 12, 14 or 16 bits hold, of floating-point numbers 0 to 1, else from the smallest
    to the largest there is."""
    steps = (255, 1023, 4095, 16383, 65535) if kind == "integers" else (1.0,)
    top = next((float(s) for s in steps if high <= s), None)
    return (low, high) if low < 0 or top is None else (0.0, top)


def _write(archive: zipfile.ZipFile, samples: list[Sample], work: Path, ranges: Ranges, progress: Progress) -> Stored:
    """Decodes every image, and writes the pixels of those that have the first one's size."""
    stored, sizes = Stored(), set()
    with (work / "x.npy").open("wb") as file:
        file.write(bytes(_HEADER))
        for i, (sample, found) in enumerate(zip(samples, decoded(archive, [s.entry for s in samples], ranges), strict=True)):
            progress(i, len(samples))
            if isinstance(found, str):
                stored.broken.append((sample.entry.name, f"broken image: {found}"[:300]))
                continue
            picture, measures = found
            stored.add(sample, picture, measures)
            sizes.add(picture.pixels.shape[1:])
            if len(sizes) == 1:
                file.write(picture.pixels.data)
    progress(len(samples), len(samples))
    return stored


def _put_header(path: Path, shape: tuple[int, ...]) -> None:
    """Makes a ``.npy`` file of uint8 numbers that lie after room for the header."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    assert len(header.getvalue()) == _HEADER
    with path.open("r+b") as file:
        file.write(header.getvalue())


def _in_colour(path: Path, channels: list[int], plane: int) -> None:
    """Grey images among coloured ones become three times the same plane."""
    mixed = path.with_name("mixed")
    path.rename(mixed)
    with mixed.open("rb") as source, path.open("wb") as file:
        file.write(source.read(_HEADER))
        for n in channels:
            file.write(source.read(n * plane) * (3 // n))
    mixed.unlink()


# -- images of several sizes


def _keep_files(archive: zipfile.ZipFile, stored: Stored, ranges: Ranges, work: Path) -> None:
    (work / "files").mkdir()
    names = [f"{i:08d}{Path(s.entry.parts[-1]).suffix.lower()}" for i, s in enumerate(stored.samples)]
    for name, sample in zip(names, stored.samples, strict=True):
        (work / "files" / name).write_bytes(archive.read(sample.entry.info))
    (work / "files.json").write_text(json.dumps({"mode": "L" if stored.channels == 1 else "RGB", "ranges": ranges, "names": names}))


class ImageFiles:
    """The image files of a dataset whose images have several sizes; each is decoded as it was when the dataset was read."""

    def __init__(self, folder: Path) -> None:
        listed = json.loads((folder / "files.json").read_text())
        self._in_colour, self._ranges = listed["mode"] == "RGB", listed.get("ranges", {})
        self._paths = [folder / "files" / name for name in listed["names"]]

    def pixels(self, i: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        """One image ``(1 or 3, H, W)``, all of them grey or all in colour."""
        path = self._paths[i]
        pixels = decode(path.read_bytes(), path.name, self._ranges).pixels
        return np.repeat(pixels, 3, 0) if self._in_colour and len(pixels) == 1 else pixels

    def sizes(self) -> list[tuple[int, int]]:
        """The different ``(height, width)`` that there are, by the files' headers; of images that are turned, by decoding them."""
        return sorted({self._size(i) for i in range(len(self._paths))})

    def _size(self, i: int) -> tuple[int, int]:
        with Image.open(self._paths[i]) as image:
            if image.getexif().get(ExifTags.Base.Orientation, 1) in (1, None):
                return image.height, image.width
        _, height, width = self.pixels(i).shape
        return height, width


def digests(work: Path) -> Callable[[int], bytes]:
    """A function that gives the checksum of the pixels of image ``i`` as they were stored."""
    array = work / "x.npy"
    pixels = np.load(array, mmap_mode="r").__getitem__ if array.exists() else ImageFiles(work).pixels
    return lambda i: hashlib.blake2b(np.ascontiguousarray(pixels(i)).data, digest_size=16).digest()
