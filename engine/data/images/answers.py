"""What images are labelled with: classes, numbers, or numbers that may be read as classes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

_FEW = 20  # samples from which on labels that hardly repeat are no classes


def write_labels(work: Path, labels: list[str], names: set[str], may_be_numbers: bool) -> tuple[list[str] | None, list[str]]:
    """Writes ``y.npy``, and ``y_numbers.npy`` where whole numbers can be read both ways; the classes, or None, and the kinds of target there are.

    ``names`` are classes that exist beside those of the labels. Classes are sorted, whole numbers by value.
    """
    numbers = _numbers(labels) if may_be_numbers else None
    whole = numbers is not None and all(_is_whole(x) for x in labels)
    hardly_repeat = len(labels) >= _FEW and len(set(labels)) > len(labels) / 2
    if numbers is not None and (not whole or hardly_repeat):
        np.save(work / "y.npy", numbers)
        return None, ["numbers"]
    classes = sorted({*names, *labels}, key=(lambda x: (int(x), x)) if whole else str)
    place = {name: i for i, name in enumerate(classes)}
    np.save(work / "y.npy", np.array([place[x] for x in labels], np.int64))
    if numbers is None:
        return classes, ["classes"]
    np.save(work / "y_numbers.npy", numbers)
    return classes, ["classes", "numbers"]


def _numbers(labels: list[str]) -> np.ndarray[Any, Any] | None:
    """The labels as float32 ``(N, 1)``; None if one is no finite number."""
    try:
        numbers = [float(x) for x in labels]
    except ValueError:
        return None
    return np.array(numbers, np.float32)[:, None] if all(map(math.isfinite, numbers)) else None


def _is_whole(label: str) -> bool:
    return label.lstrip("+-").isascii() and label.lstrip("+-").isdigit()
