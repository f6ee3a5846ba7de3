"""Plain text: a .txt file, or an archive of them, for a language model; archives with a folder for each class, to tell these apart."""

from __future__ import annotations

import functools
import zipfile
from pathlib import Path

import numpy as np

from engine.data.images.archive import BadArchive, Entry, inspect, open_archive
from engine.data.images.described import warn_of_classes
from engine.data.images.labelling import label_samples, read_list, refusal
from engine.data.images.layouts import Layout, Medium, Sample, recognise, splits_of
from engine.data.report import Options, Progress, Rejected, Report
from engine.data.samples import Splits, save_splits
from engine.data.text.described import TextStatistics
from engine.data.text.documents import DocumentWriter

TEXTS = Medium("text", (".txt",), "NAME.txt")
NEXT = {
    "name": "next token",
    "chosen": "plain text has no other target: each token is predicted from those before it",
    "kinds": ["classes"],
}


def read_text(upload: Path, work: Path, report: Report, options: Options, progress: Progress) -> None:
    """Reads a .txt file or an archive of them into the folder ``work``. Raises Rejected."""
    if zipfile.is_zipfile(upload):
        read_texts(upload, work, report, options, progress)
        return
    if options.target is not None or options.text is not None:
        raise Rejected(report, "a target or a text is a column of a table, and plain text has no columns")
    text = decoded(upload.read_bytes())
    if text is None:
        raise Rejected(report, "not a text in UTF-8 or UTF-16: it has zero bytes")
    report.layout = "plain text"
    save_plain(work, report, [text], None)


def decoded(content: bytes) -> str | None:
    """The text of a file: UTF-8, or UTF-16 with a byte order mark, else Windows-1252; None for a file with zero bytes."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    if b"\0" in content:
        return None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    return text.replace("\r\n", "\n")


def save_plain(work: Path, report: Report, texts: list[str], splits: Splits) -> None:
    """Documents without a label, for a language model. Raises Rejected where there is nothing in them."""
    statistics = TextStatistics()
    with DocumentWriter(work) as writer:
        for text in texts:
            writer.add(text)
            statistics.add(text)
    if sum(map(len, texts)) < 2:
        raise Rejected(report, "the text is empty")
    report.target = dict(NEXT)
    save_splits(work, report, splits)
    statistics.describe(report, splits)


def read_texts(upload: Path, work: Path, report: Report, options: Options, progress: Progress) -> None:
    """Reads an archive of texts. Raises Rejected."""
    try:
        with open_archive(upload) as archive:
            contents = inspect(archive)
            report.converted += contents.notes
            files = [e for e in contents.files if TEXTS.includes(e)]
            folders = {e.parts[-2] if len(e.parts) > 1 else "" for e in files}
            if options.layout is None and options.target is None and (len(folders) < 2 or splits_of(folders)):
                _save_files(archive, files, work, report, progress)
                return
            layout = recognise(contents, options.layout, options.target, functools.partial(read_list, archive, report), TEXTS)
            _save_labelled(archive, layout, work, report, options, progress)
    except BadArchive as error:
        raise refusal(report, error) from None


def _read(archive: zipfile.ZipFile, entry: Entry, report: Report) -> str | None:
    """A file's text; None, and refused, where it cannot be read."""
    try:
        text = decoded(archive.read(entry.info))
    except MemoryError:
        raise
    except Exception as error:  # damaged streams make zipfile and zlib raise anything
        report.refuse(entry.name, f"cannot be read: {error or type(error).__name__}")
        return None
    if text is None or not text.strip():
        report.refuse(entry.name, "not a text: it has zero bytes" if text is None else "empty")
        return None
    return text


def _save_files(archive: zipfile.ZipFile, files: list[Entry], work: Path, report: Report, progress: Progress) -> None:
    """All texts as documents of one language; folders or files called train, val and test are splits."""
    found: list[tuple[str, str | None]] = []
    names = [e.parts[-2] if len(e.parts) > 1 else "" for e in files]
    by_name = splits_of(set(names)) or splits_of({_stem(e) for e in files})
    for i, entry in enumerate(files):
        progress(i, len(files))
        text = _read(archive, entry, report)
        if text is not None:
            found.append((text, by_name.get(names[i]) or by_name.get(_stem(entry))))
    if not found:
        raise Rejected(report, "no text could be read")
    with_splits = "train" in {split for _, split in found}
    report.layout = "plain text"
    save_plain(work, report, [text for text, _ in found], np.array([split or "" for _, split in found]) if with_splits else None)


def _stem(entry: Entry) -> str:
    return entry.parts[-1].rpartition(".")[0]


def _save_labelled(archive: zipfile.ZipFile, layout: Layout, work: Path, report: Report, options: Options, progress: Progress) -> None:
    statistics, samples = TextStatistics(), list[Sample]()
    with DocumentWriter(work) as writer:
        for i, sample in enumerate(layout.samples):
            progress(i, len(layout.samples))
            text = _read(archive, sample.entry, report)
            if text is not None:
                writer.add(text)
                statistics.add(text)
                samples.append(sample)
    splits = label_samples(work, report, layout, samples, [], options, TEXTS)
    statistics.describe(report, splits)
    warn_of_classes(report, samples, "text")
