"""Archives of images: recognised, decoded, described."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path

from engine.data.images.archive import BadArchive, inspect, open_archive
from engine.data.images.described import describe_pixels, warn_of_classes, warn_of_duplicates
from engine.data.images.duplicates import find_duplicates
from engine.data.images.labelling import label_samples, read_list, refusal
from engine.data.images.layouts import recognise
from engine.data.images.masks import LAYOUT as MASKS
from engine.data.images.masks import find_pairs, read_masks
from engine.data.images.pixels import Stored, digests, store
from engine.data.report import Options, Progress, Rejected, Report


def read_images(upload: Path, work: Path, report: Report, options: Options, progress: Progress) -> None:
    """Reads an archive of images into the folder ``work``. Raises Rejected."""
    try:
        with open_archive(upload) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, on tags that it cannot read
            contents = inspect(archive)
            report.converted += contents.notes
            pairs = find_pairs(contents) if options.layout in (None, MASKS) else None
            if pairs is not None:
                read_masks(archive, pairs, work, report, progress)
                return
            if options.layout == MASKS:
                raise Rejected(report, "no masks: expected images at images/NAME.jpg and masks at masks/NAME.png, of the same names")
            layout = recognise(contents, options.layout, options.target, functools.partial(read_list, archive, report))
            stored, ranges = store(archive, layout.samples, work, progress)
    except BadArchive as error:
        raise refusal(report, error) from None
    label_samples(work, report, layout, stored.samples, stored.broken, options)
    describe_pixels(report, stored, ranges)
    _find_duplicates(report, stored, work)
    warn_of_classes(report, stored.samples)
    warn_of_duplicates(report)


def _find_duplicates(report: Report, stored: Stored, work: Path) -> None:
    samples = stored.samples
    report.duplicates = find_duplicates(
        [s.entry.name for s in samples], bytes(stored.thumbnails), stored.shapes, digests(work),
        [s.label for s in samples], [s.split for s in samples],
    )  # fmt: skip
