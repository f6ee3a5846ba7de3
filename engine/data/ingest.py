"""From what a user uploads to what training reads: ``x.npy`` and ``y.npy``, memory-mapped, beside ``dataset.json``."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from engine.data.arrays import read_arrays
from engine.data.images.reader import read_images
from engine.data.report import Options, Progress, Report
from engine.data.tables.reader import read_table

_READERS = {"imagefolder": read_images, "npz": read_arrays, "csv": read_table}
FORMATS = tuple(_READERS)
DIGEST = "upload.sha256"
"""The file with the checksum of what was uploaded."""


def ingest(upload: Path, target: Path, form: str, progress: Progress = lambda done, total: None, options: Options = Options()) -> Report:
    """Reads the file ``upload`` of format ``form`` into the folder ``target``, which appears only when it is complete.

    Raises Rejected, with the report, for a file that cannot be trained on.
    """
    report = Report(form)
    work = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        _READERS[form](upload, work, report, options, progress)
        with upload.open("rb") as file:
            (work / DIGEST).write_text(hashlib.file_digest(file, "sha256").hexdigest())
        (work / "dataset.json").write_text(json.dumps(report.as_dict()))
        shutil.rmtree(target, ignore_errors=True)
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return report
