"""Prepared datasets of given arrays, without an upload."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.report import Report
from engine.data.source import Source, open_source

Array = np.ndarray[Any, Any]


def prepared(
    folder: Path, x: Array, y: Array, splits: list[str] | None = None, numbers: Array | None = None, classes: Any = None
) -> Source:
    """A dataset of samples ``x`` and targets ``y``, with ``numbers`` as their other reading, and the name of each sample's split."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(Report("npz", len(y), list(x.shape[1:]), classes).as_dict()))
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", y)
    if splits is not None:
        np.save(folder / "split.npy", np.array(splits))
    if numbers is not None:
        np.save(folder / "y_numbers.npy", numbers)
    return open_source(folder)
