"""What is measured of every image while it is at hand: sums for mean and standard deviation, and a thumbnail by which duplicates are found."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.vision.io import Pixels

THUMBNAIL = (8, 9)  # rows and columns: eight differences a row for 64 bits of a hash
_AT_ONCE = 1 << 16  # pixels: small images are measured together, since each call of NumPy costs as much as one of them
_WEIGHTS = {1: np.ones(1, np.float32), 3: np.array([0.299, 0.587, 0.114], np.float32)}  # of channels in a grey level
_BLOCK = 1 << 16  # the squares of so many pixels add up in 32 bits, at half the time of 64


class Measures(NamedTuple):
    """The sum and the sum of squares of each channel, and the 72 grey levels of 8 rows of 9 parts."""

    sums: list[list[int]]
    thumbnail: bytes


def measure(images: Sequence[Pixels]) -> list[Measures]:
    """The measures of images ``(C, H, W)`` of any sizes."""
    found: list[Measures | None] = [None] * len(images)
    alike: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for i, image in enumerate(images):
        alike[image.shape].append(i)
    for shape, places in alike.items():
        n = max(1, _AT_ONCE // (shape[0] * shape[1] * shape[2]))
        for some in (places[at : at + n] for at in range(0, len(places), n)):
            batch = np.stack([images[i] for i in some]) if len(some) > 1 else images[some[0]][None]
            sums, thumbnails = _sums(batch).tolist(), _thumbnails(batch)
            for k, i in enumerate(some):
                found[i] = Measures(sums[k], thumbnails[k].tobytes())
    return [m for m in found if m is not None]


def _sums(batch: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Sums and sums of squares ``(N, C, 2)``."""
    flat, sums = batch.reshape(*batch.shape[:2], -1), np.zeros((*batch.shape[:2], 2), np.int64)
    for at in range(0, flat.shape[2], _BLOCK):
        block = flat[:, :, at : at + _BLOCK]
        sums[:, :, 0] += block.sum(2, dtype=np.uint32)
        sums[:, :, 1] += np.square(block, dtype=np.uint16).sum(2, dtype=np.uint32)
    return sums


def _thumbnails(batch: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Grey levels ``(N, 72)``: the mean of 64 points of each part, or of 16 where the images are small."""
    places = _grid(*batch.shape[2:])
    parts = batch.reshape(*batch.shape[:2], -1).take(places, axis=2).sum(2, dtype=np.uint16)
    return (np.einsum("c,ncp->np", _WEIGHTS[batch.shape[1]] / len(places), parts) + 0.5).astype(np.uint8)


@functools.lru_cache(64)
def _grid(height: int, width: int) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Where evenly spread points of an image lie: those of one part in a column ``(points, 72)``."""
    points = 8 if min(height, width) >= 64 else 4
    y, x = ((np.arange(n * points) * 2 + 1) * size // (2 * n * points) for n, size in zip(THUMBNAIL, (height, width), strict=True))
    cells = (y[:, None] * width + x).reshape(THUMBNAIL[0], points, THUMBNAIL[1], points)
    return np.ascontiguousarray(cells.transpose(1, 3, 0, 2).reshape(points**2, -1))
