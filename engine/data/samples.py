"""Samples and targets that are arrays, on their way to disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine.data.report import Rejected, Report


def save_arrays(work: Path, report: Report, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> None:
    """Writes ``x.npy`` and ``y.npy`` and describes them in the report. Raises Rejected for arrays that do not go together."""
    if len(x) != len(y):
        raise Rejected(report, f"x has {len(x)} rows, y has {len(y)}: expected as many")
    if len(x) < 2:
        raise Rejected(report, f"expected at least 2 samples, got {len(x)}")
    for name, a in (("x", x), ("y", y)):
        if a.dtype.kind == "f" and not np.isfinite(a).all():
            raise Rejected(report, f"{name} has NaN or infinite values, the first in row {int(np.argwhere(~np.isfinite(a))[0][0])}")
    np.save(work / "x.npy", x if x.dtype == np.uint8 else x.astype(np.float32))
    np.save(work / "y.npy", y.astype(np.int64) if y.dtype.kind in "iub" else y.astype(np.float32))
    report.samples, report.shape = len(x), list(x.shape[1:])
    if report.classes is None and y.dtype.kind in "iub" and y.ndim == 1 and int(y.min()) >= 0 and int(y.max()) < 100_000:
        report.classes = [str(i) for i in range(int(y.max()) + 1)]
    if report.classes is not None:
        counts = np.bincount(y.astype(np.int64), minlength=len(report.classes))
        report.counts = {name: int(n) for name, n in zip(report.classes, counts, strict=True)}
