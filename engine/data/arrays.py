"""Files of NumPy arrays: ``x`` and ``y`` in an ``.npz``."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from engine.data.report import Options, Progress, Rejected, Report
from engine.data.samples import save_arrays


def read_arrays(upload: Path, work: Path, report: Report, options: Options, progress: Progress) -> None:
    """Reads an ``.npz`` file into the folder ``work``. Raises Rejected."""
    try:
        with np.load(upload, allow_pickle=False) as arrays:
            missing = [n for n in ("x", "y") if n not in arrays.files]
            if missing:
                raise Rejected(report, f"expected arrays named x and y, got {', '.join(arrays.files) or 'none'}")
            x, y = arrays["x"], arrays["y"]
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
        if isinstance(error, Rejected):
            raise
        raise Rejected(report, f"not an npz file that can be read: {error}") from None
    for name, a in (("x", x), ("y", y)):
        if a.dtype.kind not in "fiub" or a.ndim < 1:
            raise Rejected(report, f"{name} must be a numeric array with a first dimension of samples, got {a.dtype} of shape {a.shape}")
    save_arrays(work, report, x[:, None] if x.ndim == 1 else x, y)
