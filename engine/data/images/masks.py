"""Archives of images and masks: ``images/x.jpg`` and ``masks/x.png``, of which each pixel is the number of a class."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from engine.data.images.archive import Contents, Entry
from engine.data.images.described import describe_pixels, some
from engine.data.images.layouts import Sample, splits_of
from engine.data.images.pixels import store
from engine.data.report import Progress, Rejected, Report
from engine.data.samples import save_splits
from engine.vision.decode import MAX_PIXELS, SUFFIXES

LAYOUT = "masks"
VOID = 255
"""Pixels of no class, beside classes below: PASCAL VOC's borders. A loss leaves them out by ``ignore_index``."""
_OF_IMAGES = ("images", "image", "imgs", "img", "jpegimages")
_OF_MASKS = ("masks", "mask", "labels", "annotations", "segmentation", "segmentationclass", "gt")
_ENDINGS = ("_mask", "-mask", "_gt", "_label", "_seg")
Pixels = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass
class Pairs:
    """The images that have a mask, the masks by the images' names, and what stands by itself."""

    samples: list[Sample]
    masks: dict[str, Entry]
    lonely: list[tuple[str, str]]


def find_pairs(contents: Contents) -> Pairs | None:
    """Images and masks of one stem, in folders of one place that are called so; None where there are none."""
    files = [e for e in contents.files if e.parts[-1].lower().endswith(SUFFIXES)]
    images = {key: e for e in files if (key := _key(e, _OF_IMAGES)) is not None}
    masks = {key: e for e in files if (key := _key(e, _OF_MASKS)) is not None and key not in (images if images.get(key) is e else ())}
    common = sorted(images.keys() & masks.keys())
    if not common or 2 * len(common) < len(images):
        return None
    splits = splits_of({folders[-1] if folders else "" for folders, _ in common})
    samples = [Sample(images[key], "", splits.get(key[0][-1]) if key[0] else None) for key in common]
    lonely = [(images[key].name, "no mask of that name") for key in sorted(images.keys() - masks.keys())]
    lonely += [(masks[key].name, "no image of that name") for key in sorted(masks.keys() - images.keys())]
    paired = {e.name for key in common for e in (images[key], masks[key])} | {name for name, _ in lonely}
    lonely += [(e.name, "neither an image nor a mask by its folder") for e in contents.files if e.name not in paired]
    return Pairs(samples, {images[key].name: masks[key] for key in common}, lonely)


def _key(entry: Entry, called: tuple[str, ...]) -> tuple[tuple[str, ...], str] | None:
    """The folders around, without the one that says what it is, and the stem; None for a file in no such folder."""
    at = next((i for i, part in enumerate(entry.parts[:-1]) if part.lower() in called), None)
    if at is None:
        return None
    stem = entry.parts[-1].rpartition(".")[0]
    ending = next((e for e in _ENDINGS if stem.lower().endswith(e)), "")
    return (*entry.parts[:at], *entry.parts[at + 1 : -1]), stem[: len(stem) - len(ending)]


def read_masks(archive: zipfile.ZipFile, pairs: Pairs, work: Path, report: Report, progress: Progress) -> None:
    """Reads images and masks into the folder ``work``. Raises Rejected."""
    good = []
    for sample in pairs.samples:
        reason = _fault(archive, sample.entry, pairs.masks[sample.entry.name])
        if reason is None:
            good.append(sample)
        else:
            report.refuse(*reason)
    for name, reason_of_one in pairs.lonely:
        report.refuse(name, reason_of_one)
    stored, ranges = store(archive, good, work, progress)
    for name, reason_of_one in stored.broken:
        report.refuse(name, reason_of_one)
    report.layout, report.samples = LAYOUT, len(stored.samples)
    if len(stored.samples) < 2:
        raise Rejected(report, f"expected at least 2 images with masks, got {len(stored.samples)}")
    if any(s.split for s in stored.samples):
        save_splits(work, report, np.array([s.split or "" for s in stored.samples]))
    describe_pixels(report, stored, ranges)
    _write(work, report, [_mask(archive, pairs.masks[s.entry.name]) for s in stored.samples])


def _fault(archive: zipfile.ZipFile, image: Entry, mask: Entry) -> tuple[str, str] | None:
    """The file at fault, and why; None for a pair that goes together."""
    try:
        size = _upright_size(archive.read(image.info))
    except Exception as error:  # damaged files make zipfile and Pillow raise anything
        return image.name, f"broken image: {error or type(error).__name__}"[:300]
    try:
        found = _mask(archive, mask)
    except Exception as error:  # as above
        return mask.name, f"{error or type(error).__name__}"[:300]
    if found.shape == size:
        return None
    return mask.name, f"a mask of {found.shape[0]}x{found.shape[1]} for an image of {size[0]}x{size[1]}"


def _upright_size(content: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(content)) as image:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
        return (image.width, image.height) if turned else (image.height, image.width)


def _mask(archive: zipfile.ZipFile, entry: Entry) -> Pixels:
    """The class of each pixel ``(H, W)``: the number of its colour in the palette, or its grey value. Raises ValueError for a coloured mask."""
    with Image.open(io.BytesIO(archive.read(entry.info))) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels, more than the {MAX_PIXELS:,} allowed")
        values = np.asarray(image)
        if image.mode == "1":
            return values.astype(np.uint8)
    if values.ndim == 3:
        colours = values[..., : 1 if values.shape[2] == 2 else 3]
        if (colours != colours[..., :1]).any():
            raise ValueError("a coloured mask: expected a PNG with a palette, or grey values, that are the numbers of classes")
        values = colours[..., 0]
    if values.min() < 0 or values.max() > 255 or (values != np.floor(values)).any():
        raise ValueError(f"values from {values.min():g} to {values.max():g}: expected the numbers of classes, from 0 to 255")
    return values.astype(np.uint8)


# -- on disk

_VALUES, _SIZES = "masks.npy", "mask_sizes.npy"


class Masks:
    """The masks of a prepared dataset by number, ``(H, W)`` uint8."""

    def __init__(self, folder: Path) -> None:
        self._values, self._sizes = np.load(folder / _VALUES, mmap_mode="r"), np.load(folder / _SIZES)
        self._ends = np.concatenate([[0], np.cumsum(self._sizes.prod(1))])

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, i: int) -> Pixels:
        return np.array(self._values[self._ends[i] : self._ends[i + 1]]).reshape(self._sizes[i])

    def __iter__(self) -> Iterator[Pixels]:
        return (self[i] for i in range(len(self)))


def _write(work: Path, report: Report, masks: list[Pixels]) -> None:
    """Numbers the classes, and writes the masks."""
    pixels = np.sum([np.bincount(m.ravel(), minlength=256) for m in masks], 0)
    table, names = _classes(pixels, report)
    renamed = [table[m] for m in masks]
    np.save(work / _VALUES, np.concatenate([m.ravel() for m in renamed]))
    np.save(work / _SIZES, np.array([m.shape for m in masks]))
    counts = Counter(int(c) for m in renamed for c in np.unique(m))
    total, number = int(pixels.sum()), np.zeros(256, np.int64)
    np.add.at(number, table, pixels)
    report.classes, report.counts = names, {name: counts[i] for i, name in enumerate(names)}
    report.target = {"name": "class", "chosen": "masks beside the images, of the same names", "kinds": ["classes", "numbers"]}
    report.masks = {"shares": {name: round(float(number[i]) / total, 6) for i, name in enumerate(names)}}
    if len(names) <= VOID and number[VOID]:
        report.masks["void"] = round(float(number[VOID]) / total, 6)
        report.warnings.append(f"pixels of {VOID} are of no class: give the loss ignore_index {VOID}, which leaves them out")
    missing = [name for i, name in enumerate(names) if not number[i]]
    if missing:
        report.warnings.append(f"no pixel of class {some(missing)}")


def _classes(pixels: np.ndarray[Any, Any], report: Report) -> tuple[Pixels, list[str]]:
    """The class of each value ``(256)``, and the names of the classes.

    Values from 0 on stay as they are, with 255 beside others as none; 0 and 255 alone, and values far apart, are counted through.
    """
    table, found = np.arange(256).astype(np.uint8), np.flatnonzero(pixels)
    below = found[found < VOID]
    if len(below) and 2 * len(below) > below[-1] and (len(found) == len(below) or len(below) > 1):
        return table, [str(i) for i in range(int(below[-1]) + 1)]
    table[found] = np.arange(len(found))
    if found[-1] != len(found) - 1:
        report.converted.append(f"masks: the values {some([str(v) for v in found])} became the classes 0 to {len(found) - 1}")
    return table, [str(v) for v in found]
