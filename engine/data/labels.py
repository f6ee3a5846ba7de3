"""The array ``y`` of an upload: labels, one-hot rows, numbers, class maps, tokens."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.data.report import Report
from engine.data.targets import EXACT, MAX_CLASSES, Targets, are_few, classes_of, is_whole

Array = np.ndarray[Any, Any]


def read_labels(y: Array, x_shape: tuple[int, ...], report: Report) -> tuple[Targets, str]:
    """The readings of targets ``(N, ..)`` of samples of shape ``x_shape[1:]``, and what they were taken for."""
    if y.dtype.kind == "b":
        y = y.astype(np.uint8)
    given = y.shape
    y = _without_empty_axes(y, x_shape)
    if y.shape != given:
        report.converted.append(f"y of shape {given} became {y.shape}")
    if y.dtype.kind in "iu" and y.dtype.itemsize > 2 and np.abs(y.astype(np.float64)).max() > EXACT:
        report.warnings.append("y has whole numbers beyond 2**24 = 16777216, which float32 rounds")
    if y.ndim == 1:
        return _of_one_value(y, report)
    if y.ndim == 2 and _is_one_hot(y):
        report.converted.append(f"y is one-hot: the classes 0 to {y.shape[1] - 1} are the places of the ones")
        return Targets(y.argmax(axis=1).astype(np.int64), y.astype(np.float32), [str(i) for i in range(y.shape[1])]), "the array y, one-hot"
    is_map = len(x_shape) > 3 and y.shape[1:] == x_shape[2:]
    if is_map and is_whole(y):
        return _of_map(y, report), "the array y, a map of classes"
    numbers = y.astype(np.float32)
    if y.dtype.kind == "f" or int(y.max()) >= 1 << 31:
        return Targets(None, numbers), "the array y"
    return Targets(y.astype(np.int64), numbers), "the array y"


def _without_empty_axes(y: Array, x_shape: tuple[int, ...]) -> Array:
    """One value a sample ``(N, 1)`` as ``(N,)``, and a map with an axis for one channel, first or last, without it."""
    if y.ndim > 1 and y.size == len(y):
        return y.reshape(-1)
    spatial = x_shape[2:]
    if len(x_shape) > 3 and y.ndim == len(x_shape) and y.size == len(y) * int(np.prod(spatial)) and is_whole(y):
        return y.reshape(len(y), *spatial)
    return y


def _is_one_hot(y: Array) -> bool:
    return y.shape[1] > 1 and bool(((y == 0) | (y == 1)).all() and (y.sum(axis=1) == 1).all())


def _of_one_value(y: Array, report: Report) -> tuple[Targets, str]:
    numbers = y.astype(np.float32)[:, None]
    if is_whole(y) and are_few(y):
        classes, names = classes_of(y, report, "y")
        return Targets(classes, numbers, names), "the array y"
    if y.dtype.kind in "iu" and y.min() >= 0 and y.max() < min(MAX_CLASSES, max(1000, len(y))):
        return Targets(y.astype(np.int64), numbers, [str(i) for i in range(int(y.max()) + 1)]), "the array y"
    return Targets(None, numbers), "the array y"


def _of_map(y: Array, report: Report) -> Targets:
    """A class for each pixel ``(N, H, W)``; as numbers ``(N, 1, H, W)``, as a network of images gives them."""
    if np.isin(y, (0, 255)).all() and y.max() == 255:
        report.converted.append("y is a map of 0 and 255: 255 became class 1")
        y = y // 255
    return Targets(y.astype(np.int64), y.astype(np.float32)[:, None])
