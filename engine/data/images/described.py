"""What a report says of images: their sizes, channels and numbers, what was done to them, and what their owner should look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from engine.data.images.layouts import Sample
from engine.data.images.pixels import Stored
from engine.data.report import Report
from engine.vision.decode import CHANGES, Ranges

_IMBALANCED = 10  # to 1: the largest class to the smallest
_NAMED = 10
_MANY = 20  # images from which on labels that hardly repeat are suspicious


def describe_pixels(report: Report, stored: Stored, ranges: Ranges) -> None:
    """Shape, channels, sizes, mean and standard deviation, and what was changed."""
    sizes = np.array([s[1:] for s in stored.shapes])
    low, high = sizes.min(0).tolist(), sizes.max(0).tolist()
    report.channels = channels = stored.channels
    report.shape = [channels, *low] if low == high else None
    report.sizes = None if low == high else {"min": low, "max": high}
    report.mean, report.std = _mean_and_std(stored)
    report.ranges = {kind: list(bounds) for kind, bounds in ranges.items()} or None
    for change, sentence in CHANGES.items():
        if n := stored.changes[change]:
            scaled = f": {ranges[change][0]:g} became 0, {ranges[change][1]:g} became 255" if change in ranges else ""
            report.converted.append(f"{_images(n)} {sentence}{scaled}")
    grey = sum(s[0] == 1 for s in stored.shapes)
    if channels == 3 and grey:
        report.converted.append(f"{_images(grey)} given three equal channels, being grey among coloured ones")


def _images(n: int) -> str:
    return "1 image was" if n == 1 else f"{n:,} images were"


def _mean_and_std(stored: Stored) -> tuple[list[float], list[float]]:
    """Of the pixels as training sees them, from 0 to 1, by channel; of the training split where there is one."""
    channels = stored.channels
    sums = np.array([s * (channels // len(s)) for s in stored.sums], np.float64)
    areas = np.array([s[1] * s[2] for s in stored.shapes], np.float64)
    training = np.array([s.split in (None, "train") for s in stored.samples])
    first, second = (sums[training].sum(0) / areas[training].sum()).T
    std = np.sqrt(np.maximum(second - first**2, 0))
    return [round(m / 255, 6) for m in first.tolist()], [round(s / 255, 6) for s in std.tolist()]


def some(names: Sequence[str]) -> str:
    """The first names of many."""
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")


def warn_of_classes(report: Report, samples: Sequence[Sample], noun: str = "image") -> None:
    """Warnings on how classes, and splits, are filled."""
    classes, counts = report.classes or [], {name: n for name, n in report.counts.items() if n}
    if len(classes) == 1:
        report.warnings.append(f"there is one class only, {classes[0]}")
    if len(samples) >= _MANY and 2 * len(classes) > len(samples):
        report.warnings.append(f"{len(classes):,} classes for {len(samples):,} {noun}s: are these labels the right ones?")
    if counts and max(counts.values()) >= _IMBALANCED * min(counts.values()):
        largest, smallest = max(counts, key=lambda n: counts[n]), min(counts, key=lambda n: counts[n])
        report.warnings.append(f"the classes are imbalanced: {largest} has {counts[largest]:,} {noun}s, {smallest} {counts[smallest]:,}")
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(" ".join(name.casefold().split()), []).append(name)
    for names in alike.values():
        if len(names) > 1:
            report.warnings.append(f"the classes {', '.join(map(repr, names))} differ in case or spaces only")
    for split, n in Counter(s.split for s in samples if s.split).items():
        has = {s.label for s in samples if s.split == split}
        lacking = [name for name in counts if name not in has]
        if lacking and split == "train":
            report.warnings.append(f"no training {noun} of class {some(lacking)}: a model cannot learn it")
        elif lacking and n:
            report.warnings.append(f"no {noun} of class {some(lacking)} in split {split}")


def warn_of_duplicates(report: Report) -> None:
    found = report.duplicates or {}
    if n := found["across_splits"]:
        report.warnings.append(f"{n:,} group{'s' * (n > 1)} of duplicates over several splits: held-out results will be too good")
    if n := found["across_classes"]:
        report.warnings.append(f"{n:,} group{'s' * (n > 1)} of duplicates over several classes: some of their labels must be wrong")
