"""What is said of samples that are arrays: mean and standard deviation as training sees them, duplicates, the splits."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.report import Progress, Report

_PIECE_BYTES = 1 << 22
_MAX_GROUPS = 20
Splits = np.ndarray[Any, Any] | None


class Moments:
    """Mean and standard deviation along the first axis of arrays ``(n, C)`` that come piece by piece."""

    def __init__(self) -> None:
        self.n, self.mean, self._squares = 0, np.zeros(1), np.zeros(1)

    def add(self, piece: np.ndarray[Any, Any]) -> None:
        n, mean = len(piece), piece.mean(axis=0, dtype=np.float64)
        away = mean - self.mean
        total = self.n + n
        self._squares = self._squares + np.square(piece - mean).sum(axis=0, dtype=np.float64) + away**2 * self.n * n / total
        self.mean = self.mean + away * n / total
        self.n = total

    def rounded(self, scale: float = 1.0) -> tuple[list[float], list[float]]:
        """Six digits of both, of numbers divided by ``scale``."""
        std = np.sqrt(self._squares / max(1, self.n))
        return [float(f"{v / scale:.6g}") for v in self.mean], [float(f"{v / scale:.6g}") for v in std]


def by_channel(piece: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Samples ``(n, C, ..)`` as rows of what is described by itself: columns of a table, channels of images; else one number."""
    if piece.ndim == 2:
        return piece
    return np.moveaxis(piece, 1, -1).reshape(-1, piece.shape[1]) if piece.ndim > 3 else piece.reshape(-1, 1)


def describe_samples(work: Path, report: Report, splits: Splits, progress: Progress = lambda done, total: None) -> None:
    """Reads ``x.npy`` once more and describes it: size, shape, mean and standard deviation (of the training split, where there is one), duplicates."""
    x = np.load(work / "x.npy", mmap_mode="r")
    report.samples, report.shape = len(x), list(x.shape[1:])
    moments, hashes = Moments(), np.empty(len(x), np.int64)
    size = x[0].nbytes
    step = max(1, _PIECE_BYTES // size)
    for start in range(0, len(x), step):
        piece = np.ascontiguousarray(x[start : start + step])
        train = piece if splits is None else piece[splits[start : start + step] == "train"]
        if len(train):
            moments.add(by_channel(train))
        data = piece.tobytes()
        hashes[start : start + step] = [hash(data[at : at + size]) for at in range(0, len(data), size)]
        progress(start + step, len(x) + step)
    report.mean, report.std = moments.rounded(report.scale or 1.0)
    describe_duplicates(report, hashes, splits)


def describe_duplicates(report: Report, hashes: np.ndarray[Any, np.dtype[np.int64]], splits: Splits) -> None:
    """``duplicates``: how many samples are ``exact`` copies of an earlier one, ``groups`` of their numbers (the first 20), and how many groups are in two splits."""
    found, counts = np.unique(hashes, return_counts=True)
    copied = np.flatnonzero(np.isin(hashes, found[counts > 1]))
    groups: dict[int, list[int]] = defaultdict(list)
    for i in copied:
        groups[int(hashes[i])].append(int(i))
    repeated = list(groups.values())
    report.duplicates = {"exact": len(copied) - len(repeated), "groups": repeated[:_MAX_GROUPS]}
    if splits is not None:
        leaks = sum(len({splits[i] for i in group}) > 1 for group in repeated)
        report.duplicates["across_splits"] = leaks
        if leaks:
            report.warnings.append(f"{leaks} sample(s) occur in more than one split: a score on samples that were trained on is too good")


def save_splits(work: Path, report: Report, splits: Splits) -> None:
    """Writes the name of each sample's split and counts them."""
    if splits is not None:
        np.save(work / "split.npy", splits)
        report.splits = {name: int((splits == name).sum()) for name in ("train", "val", "test") if (splits == name).any()}
