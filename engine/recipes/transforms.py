"""What is done to images before a suggested model sees them."""

from __future__ import annotations

import math
from typing import Any

from engine.data.source import Source
from engine.recipes.tasks import Task

_LARGEST = 128
"""Pixels a side that images of several sizes are brought to at most."""


def augmentation(source: Source, task: Task) -> list[dict[str, Any]]:
    """One size for all, shifts by up to an eighth, mirror images of colour photos, and mean 0 and spread 1; nothing for what are no images."""
    if not source.is_image:
        return []
    height, width = _size(source)
    found: list[dict[str, Any]] = [] if source.report.shape else [{"type": "Resize", "size": [height, width]}]
    if min(height, width) >= 8 and task != "segmentation":
        found.append({"type": "RandomCrop", "size": [height, width], "padding": min(height, width) // 8})
    if source.report.channels == 3:  # grey ones may be characters, which mirrored mean something else
        found.append({"type": "RandomHorizontalFlip"})
    return [*found, *_normalized(source)]


def _size(source: Source) -> tuple[int, int]:
    """The size of all, or one between the smallest and the largest, a multiple of 16 where it is as large."""
    if source.report.shape:
        return source.report.shape[1], source.report.shape[2]
    sides = [side for size in source.image_sizes for side in size]
    middle = min(_LARGEST, round(math.exp(sum(map(math.log, sides)) / len(sides))))
    side = middle if middle < 16 else middle // 16 * 16
    return side, side


def _normalized(source: Source) -> list[dict[str, Any]]:
    mean, std = source.report.mean, source.report.std
    if not mean or not std or len(mean) != source.raw(0).shape[0]:
        return []
    return [{"type": "Normalize", "mean": mean, "std": [max(s, 0.01) for s in std]}]
