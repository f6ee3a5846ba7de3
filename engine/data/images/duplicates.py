"""Images that stand in a dataset twice: the same pixels, or nearly the same picture (saved again, or in another size).

Nearly the same are pictures whose difference hashes (each grey level of 8 rows of 9 beside its right neighbour: 64 bits) differ in no more than three
bits, and whose 72 grey levels differ by no more than 3 of 255 on average. So 16 bits in a row are the same, at one of four places: each image is
compared with the next 8 in the order of the hash that begins there, which costs little more than sorting, and misses only some copies of what
resembles many others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.data.images.measures import THUMBNAIL

MAX_GROUPS = 100
MAX_NAMES = 10
_BITS = 3
_LEVELS = 3.0
_NEIGHBOURS = 8
_FLAT = 16  # a picture with less between its darkest and its brightest part has nothing to compare


def find_duplicates(
    names: Sequence[str], thumbnails: bytes, shapes: Sequence[tuple[int, ...]], digest: Callable[[int], bytes],
    labels: Sequence[str], splits: Sequence[str | None],
) -> dict[str, Any]:  # fmt: skip
    """Groups of images that are the same, and of those that nearly are.

    ``thumbnails`` are 72 bytes an image, ``digest`` gives the checksum of an image's pixels. Returns ``exact`` and ``near``, how many images are
    copies of another; ``across_splits`` and ``across_classes``, how many groups go over several; and the first ``groups``.
    """
    small = np.frombuffer(thumbnails, np.uint8).reshape(len(names), -1)
    exact = _same(small, shapes, digest)
    copies = {i for group in exact for i in group[1:]}
    near = _alike(small, [i for i in range(len(names)) if i not in copies])
    groups = sorted([("exact", g) for g in exact] + [("near", g) for g in near], key=lambda g: g[1])
    several = [[len({of[i] for i in g}) > 1 for of in (splits, labels)] for _, g in groups]
    return {
        "exact": len(copies),
        "near": sum(len(g) - 1 for g in near),
        "across_splits": sum(s for s, _ in several),
        "across_classes": sum(c for _, c in several),
        "groups": [
            {"kind": kind, "files": [names[i] for i in g[:MAX_NAMES]], "across_splits": s, "across_classes": c}
            for (kind, g), (s, c) in list(zip(groups, several, strict=True))[:MAX_GROUPS]
        ],
    }


def _same(small: np.ndarray[Any, Any], shapes: Sequence[tuple[int, ...]], digest: Callable[[int], bytes]) -> list[list[int]]:
    """Groups of images with the same pixels; only those with the same thumbnail and shape have their pixels read."""
    _, number, counts = np.unique(small.view(np.dtype((np.void, small.shape[1]))).ravel(), return_inverse=True, return_counts=True)
    groups: defaultdict[Any, list[int]] = defaultdict(list)
    for i in np.flatnonzero(counts[number] > 1).tolist():
        groups[int(number[i]), shapes[i]].append(i)
    found: defaultdict[Any, list[int]] = defaultdict(list)
    for key, group in groups.items():
        for i in group if len(group) > 1 else ():
            found[key, digest(i)].append(i)
    return [g for g in found.values() if len(g) > 1]


def _alike(small: np.ndarray[Any, Any], among: list[int]) -> list[list[int]]:
    """Groups of images that nearly are the same."""
    index = np.array(among, np.int64)
    index = index[np.ptp(small[index], axis=1) >= _FLAT]
    levels = small[index].reshape(len(index), *THUMBNAIL)
    bits = np.packbits(levels[:, :, 1:] > levels[:, :, :-1], axis=2)
    first = {i: i for i in range(len(index))}  # of each image, an earlier one of its group

    def root(i: int) -> int:
        while first[i] != i:
            first[i] = i = first[first[i]]
        return i

    for begin in (0, 2, 4, 6):
        code = np.roll(bits, -begin, axis=1).reshape(len(bits), 8).view(">u8").ravel().astype(np.uint64)
        order = np.argsort(code, kind="stable")
        for step in range(1, 1 + min(_NEIGHBOURS, len(order) - 1)):
            a, b = order[:-step], order[step:]
            close = np.bitwise_count(code[a] ^ code[b]) <= _BITS
            a, b = a[close], b[close]
            close = np.abs(levels[a].astype(np.int16) - levels[b]).mean((1, 2)) <= _LEVELS
            for i, j in zip(a[close].tolist(), b[close].tolist(), strict=True):
                low, high = sorted((root(i), root(j)))
                first[high] = low
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for i in range(len(index)):
        groups[root(i)].append(int(index[i]))
    return [g for g in groups.values() if len(g) > 1]
