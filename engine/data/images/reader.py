"""Archives of images: recognised, decoded, described."""

from __future__ import annotations

import functools
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

from engine.data.images.answers import write_labels
from engine.data.images.archive import BadArchive, Entry, inspect, open_archive
from engine.data.images.described import describe_pixels, some, warn_of_classes, warn_of_duplicates
from engine.data.images.duplicates import find_duplicates
from engine.data.images.layouts import Layout, Sample, recognise
from engine.data.images.pixels import Stored, digests, store
from engine.data.report import Options, Progress, Rejected, Report


def read_images(upload: Path, work: Path, report: Report, options: Options, progress: Progress) -> None:
    """Reads an archive of images into the folder ``work``. Raises Rejected."""
    try:
        with open_archive(upload) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, on tags that it cannot read
            contents = inspect(archive)
            report.converted += contents.notes
            layout = recognise(contents, options.layout, options.target, functools.partial(_read, archive, report))
            stored, ranges = store(archive, layout.samples, work, progress)
    except BadArchive as error:
        for name, reason in error.files:
            report.refuse(name, reason)
        raise Rejected(report, str(error)) from None
    for name, reason in layout.skipped + stored.broken:
        report.refuse(name, reason)
    report.layout, report.target, report.warnings = layout.name, dict(layout.target), list(layout.warnings)
    if options.target is not None and layout.name.endswith("folders"):
        report.warnings.append(f"target={options.target} was not used: the folders say the class")
    if not stored.samples:
        raise Rejected(report, "no image could be read")
    report.samples = len(stored.samples)
    _label(report, layout, stored.samples, work, options.layout is not None)
    describe_pixels(report, stored, ranges)
    _find_duplicates(report, stored, work)
    warn_of_classes(report, stored.samples)
    warn_of_duplicates(report)


def _read(archive: zipfile.ZipFile, report: Report, entry: Entry) -> bytes:
    """A list's content; of one that is damaged nothing."""
    try:
        return archive.read(entry.info)
    except Exception as error:  # as with images, anything
        report.refuse(entry.name, f"cannot be read: {error}")
        return b""


def _label(report: Report, layout: Layout, samples: list[Sample], work: Path, keep_empty: bool) -> None:
    """Targets, classes and splits. A class that ends up without an image is refused by name, as torchvision does, unless its owner named the layout."""
    labels = [s.label for s in samples]
    names = layout.classes | {s.label for s in layout.samples}
    report.classes, kinds = write_labels(work, labels, names, may_be_numbers=not layout.name.endswith("folders"))
    report.target = {"name": layout.target["name"], "chosen": layout.target["chosen"], "kinds": kinds}
    if report.classes is not None:
        counts = Counter(labels)
        report.counts = {name: counts[name] for name in report.classes}
        empty = [name for name in report.classes if not counts[name]]
        if empty and not keep_empty:
            raise Rejected(
                report,
                f"no image of class {some(empty)} could be read: add some, remove the folder, or give layout={layout.name} to keep a class without samples",
            )
        if empty:
            report.warnings.append(f"no image of class {some(empty)}: kept, since the layout was given")
    if any(s.split for s in samples):
        splits = [s.split or "" for s in samples]
        report.splits = {name: splits.count(name) for name in ("train", "val", "test") if name in splits}
        if "train" not in report.splits:
            raise Rejected(report, "no image of the training split could be read")
        np.save(work / "split.npy", np.array(splits))


def _find_duplicates(report: Report, stored: Stored, work: Path) -> None:
    samples = stored.samples
    report.duplicates = find_duplicates(
        [s.entry.name for s in samples], bytes(stored.thumbnails), stored.shapes, digests(work),
        [s.label for s in samples], [s.split for s in samples],
    )  # fmt: skip
