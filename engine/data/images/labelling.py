"""What an archive's files are labelled with: targets, classes and splits, on disk and in the report."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

from engine.data.images.answers import write_labels
from engine.data.images.archive import BadArchive, Entry
from engine.data.images.described import some
from engine.data.images.layouts import IMAGES, Layout, Medium, Sample
from engine.data.report import Options, Rejected, Report
from engine.data.samples import Splits, save_splits


def read_list(archive: zipfile.ZipFile, report: Report, entry: Entry) -> bytes:
    """A list's content; of one that is damaged nothing."""
    try:
        return archive.read(entry.info)
    except Exception as error:  # as with images, anything
        report.refuse(entry.name, f"cannot be read: {error}")
        return b""


def refusal(report: Report, error: BadArchive) -> Rejected:
    """An archive's refusal, with the files at fault in the report."""
    for name, reason in error.files:
        report.refuse(name, reason)
    return Rejected(report, str(error))


def label_samples(
    work: Path,
    report: Report,
    layout: Layout,
    samples: list[Sample],
    broken: list[tuple[str, str]],
    options: Options,
    medium: Medium = IMAGES,
) -> Splits:
    """Writes targets and splits of the files that could be read, and says what was found; the splits. Raises Rejected.

    A class that ends up without a file is refused by name, as torchvision does, unless its owner named the layout.
    """
    for name, reason in layout.skipped + broken:
        report.refuse(name, reason)
    report.layout, report.target = layout.name, dict(layout.target)
    report.warnings += layout.warnings
    if options.target is not None and layout.name.endswith("folders"):
        report.warnings.append(f"target={options.target} was not used: the folders say the class")
    if not samples:
        raise Rejected(report, f"no {medium.noun} could be read")
    report.samples = len(samples)
    _save_targets(work, report, layout, samples, options.layout is not None, medium)
    if not any(s.split for s in samples):
        return None
    splits = np.array([s.split or "" for s in samples])
    save_splits(work, report, splits)
    if report.splits is None or "train" not in report.splits:
        raise Rejected(report, f"no {medium.noun} of the training split could be read")
    return splits


def _save_targets(work: Path, report: Report, layout: Layout, samples: list[Sample], keep_empty: bool, medium: Medium) -> None:
    labels = [s.label for s in samples]
    names = layout.classes | {s.label for s in layout.samples}
    report.classes, kinds = write_labels(work, labels, names, may_be_numbers=not layout.name.endswith("folders"))
    report.target = {"name": layout.target["name"], "chosen": layout.target["chosen"], "kinds": kinds}
    if report.classes is None:
        return
    counts = Counter(labels)
    report.counts = {name: counts[name] for name in report.classes}
    empty = [name for name in report.classes if not counts[name]]
    if empty and not keep_empty:
        raise Rejected(
            report,
            f"no {medium.noun} of class {some(empty)} could be read: add some, remove the folder, or give layout={layout.name} to keep a class without samples",
        )
    if empty:
        report.warnings.append(f"no {medium.noun} of class {some(empty)}: kept, since the layout was given")
