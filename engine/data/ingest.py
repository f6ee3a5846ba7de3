"""From what a user uploads to what training reads: ``x.npy`` and ``y.npy``, memory-mapped, beside ``dataset.json``."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import zipfile
from pathlib import Path

from engine.data.arrays import read_arrays
from engine.data.audio.reader import RECORDINGS, read_recordings
from engine.data.images.layouts import IMAGES
from engine.data.images.reader import read_images
from engine.data.report import Options, Progress, Report
from engine.data.tables.reader import read_json_lines, read_table
from engine.data.text.reader import TEXTS, read_text

_READERS = {
    "imagefolder": read_images,
    "npz": read_arrays,
    "csv": read_table,
    "jsonl": read_json_lines,
    "text": read_text,
    "audio": read_recordings,
}
FORMATS = tuple(_READERS)
_PAPERS = re.compile("readme|licen[cs]e|changelog", re.IGNORECASE)
DIGEST = "upload.sha256"
"""The file with the checksum of what was uploaded."""


def ingest(upload: Path, target: Path, form: str, progress: Progress = lambda done, total: None, options: Options = Options()) -> Report:
    """Reads the file ``upload`` of format ``form`` into the folder ``target``, which appears only when it is complete.

    Raises Rejected, with the report, for a file that cannot be trained on.
    """
    form = _archive_of(upload) if form == "imagefolder" else form
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


def _archive_of(upload: Path) -> str:
    """The format of an archive: by the images in it, else by the recordings, else by the texts."""
    try:
        with zipfile.ZipFile(upload) as archive:
            names = [name.lower() for name in archive.namelist() if not _PAPERS.match(name.rpartition("/")[2])]
    except Exception:  # damaged bytes bring about anything: the reader of images will say it
        return "imagefolder"
    found = (
        form
        for form, medium in (("imagefolder", IMAGES), ("audio", RECORDINGS), ("text", TEXTS))
        if any(n.endswith(medium.suffixes) for n in names)
    )
    return next(found, "imagefolder")
