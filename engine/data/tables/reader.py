"""Tables: CSV files and their kin, read in two passes, so that memory holds some thousand rows of text and no more."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.report import MAX_LISTED, Options, Progress, Rejected, Report
from engine.data.samples import save_splits
from engine.data.tables import jsonl
from engine.data.tables.columns import Column, Floats
from engine.data.tables.dialect import Dialect, NotATable, Piece, recognise
from engine.data.tables.encoding import read_target, read_targets, save_features
from engine.data.tables.profile import Profile, ambiguous_dates, decide, mixed
from engine.data.tables.roles import SPLITS, NoTarget, choose_target, mark_rows, named_targets, unique_names
from engine.data.tables.texts import LAYOUTS, choose_text, leave_out_others, save_documents, without_text
from engine.data.text.reader import NEXT

MAX_REFUSED_SHARE = 0.05
"""More refused rows than this mean that the table was misread, so that all of it is rejected."""
_ROWS = 8192
_CELLS = "cells.f8"
_FLOAT32_MAX = float(np.finfo(np.float32).max)


def read_table(upload: Path, work: Path, report: Report, options: Options, progress: Progress) -> None:
    """Reads a table into ``x.npy``, ``y.npy`` and the file ``columns.json``, which says how to encode another row; texts as documents. Raises Rejected."""
    _read(upload, work, report, options, progress, recognise)


def read_json_lines(upload: Path, work: Path, report: Report, options: Options, progress: Progress) -> None:
    """As ``read_table``, a file with a JSON object on each line."""
    _read(upload, work, report, options, progress, jsonl.recognise)


def _read(
    upload: Path, work: Path, report: Report, options: Options, progress: Progress, recognised: Callable[[Path], Dialect | jsonl.JsonLines]
) -> None:
    if options.layout not in (None, *LAYOUTS):
        raise Rejected(report, f"the layouts of a table are {', '.join(LAYOUTS)}, got {options.layout!r}")
    try:
        _Table(upload, work, report, recognised(upload), progress, options).read()
    except NotATable as error:
        raise Rejected(report, str(error)) from None
    except (UnicodeError, csv.Error) as error:
        raise Rejected(report, f"not a CSV file in UTF-8: {error}") from None
    except NoTarget as error:
        raise Rejected(report, str(error)) from None


class _Table:
    def __init__(
        self, upload: Path, work: Path, report: Report, dialect: Dialect | jsonl.JsonLines, progress: Progress, options: Options
    ) -> None:
        self.upload, self.work, self.report, self.dialect, self.progress = upload, work, report, dialect, progress
        self.options = options
        self.text: int | None = None
        self.names, said = unique_names(dialect.names)
        kind = "lines of JSON" if isinstance(dialect, jsonl.JsonLines) else f"{'with' if dialect.header else 'without'} a header line"
        report.layout = f"table: {len(self.names)} columns, {kind}"
        report.converted += dialect.said
        report.warnings += said
        self.lines = np.empty(0, np.int64)
        self.size = upload.stat().st_size

    def read(self) -> None:
        columns = self._columns()
        raw = self._values(columns)
        if len(raw) < 2:
            self._reject_if_misread(0)
            raise Rejected(self.report, f"expected at least 2 samples, got {len(raw)} rows below the header line")
        given = self.dialect.names
        self.report.warnings += mark_rows(columns, given, self.dialect.header, raw, self.report.refused_count)
        if self.text is not None and self._is_plain(columns):
            leave_out_others(columns)
            self.report.target = dict(NEXT)
            self._save_texts(columns, raw)
        else:
            self._read_labelled(columns, raw)
        (self.work / _CELLS).unlink(missing_ok=True)
        (self.work / "columns.json").write_text(json.dumps([c.saved() for c in columns]))
        self.report.columns = [c.described() for c in columns[:MAX_LISTED]]

    def _is_plain(self, columns: list[Column]) -> bool:
        """Whether texts have no label."""
        return self.options.layout == "plain" or (self.options.target is None and not any(c.role == "feature" for c in columns))

    def _read_labelled(self, columns: list[Column], raw: Floats) -> None:
        """The target, or several, and what it is predicted from."""
        several = named_targets(columns, self.options.target)
        if several is None:
            at, chosen, warnings = choose_target(columns, self.dialect.names, self.options.target)
            self.report.warnings += warnings
        for i in several or [at]:
            if columns[i].role != "feature":
                columns[i].done.clear()
            columns[i].role = "target"
            if columns[i].type == "text":
                raise NoTarget(
                    f"column {columns[i].name!r} has too many different texts to be the target: name another one with ?target=NAME"
                )
            raw = self._with_target(raw, columns[i], i)
        if several is None:
            targets, name = read_target(columns[at], raw[:, at], self.report), columns[at].name
        else:
            targets, name = (
                read_targets([columns[i] for i in several], raw[:, several], self.report),
                ", ".join(columns[i].name for i in several),
            )
            chosen = "as asked for"
        if self.text is None:
            save_features(self.work, self.report, columns, raw, self._splits(columns, raw), self.progress)
        else:
            leave_out_others(columns)
            self._save_texts(columns, raw)
        targets.save(self.work, self.report, name, chosen)

    def _save_texts(self, columns: list[Column], raw: Floats) -> None:
        assert self.text is not None
        splits = self._splits(columns, raw)
        save_splits(self.work, self.report, splits)
        statistics = save_documents(self.work, self.dialect.pieces(self.upload, _ROWS), self.text, self.lines)
        statistics.describe(self.report, splits, column=columns[self.text].name)

    def _columns(self) -> list[Column]:
        """The first pass: what the columns are."""
        profiles = self._profiled(frozenset())
        commas = any(p.needs_commas for p in profiles)
        careful = frozenset(i for i, p in enumerate(profiles) if p.unseen and (p.is_text or (commas and p.may_be_grouped)))
        if careful:  # plain numbers at first, which turn out to be categories, or 1.250 beside 1.250,50
            again = self._profiled(careful)
            profiles = [again[i] if i in careful else p for i, p in enumerate(profiles)]
        columns = [decide(name, p, commas, self.dialect.delimiter) for name, p in zip(self.names, profiles, strict=True)]
        self.text = choose_text(columns, profiles, self.options, self.report.warnings)
        for column, profile in zip(columns, profiles):
            if ambiguous_dates(column, profile):
                self.report.warnings.append(
                    f"the dates of column {column.name!r} can be read in two ways; read as {column.reading}: write them as 2024-12-31 to be sure"
                )
            if n := mixed(column, profile):
                self.report.warnings.append(
                    f"{n} of {profile.present} values of column {column.name!r} are numbers, but not all: taken as categories"
                )
        return columns

    def _profiled(self, careful: frozenset[int]) -> list[Profile]:
        profiles = [Profile(i in careful) for i in range(len(self.names))]
        for piece in self.dialect.pieces(self.upload, _ROWS):
            self.progress(piece.offset, 3 * self.size)
            piece.keep([i for i, row in enumerate(piece.rows) if len(row) == len(profiles)])
            for profile, cells in zip(profiles, zip(*piece.rows)):
                if not careful or profile.careful:
                    profile.add(cells)
        return profiles

    def _values(self, columns: list[Column]) -> Floats:
        """The second pass: the numbers of all cells ``(rows, columns)``, in a file; rows that do not fit are refused."""
        readers = [c.reader() for c in columns]
        lines: list[np.ndarray[Any, np.dtype[np.int64]]] = []
        raw, seen = self.work / _CELLS, 0
        with raw.open("wb") as file:
            for piece in self.dialect.pieces(self.upload, _ROWS):
                self.progress(self.size + piece.offset, 3 * self.size)
                before, seen = seen, seen + piece.size
                numbers = [before + i for i in self._of_one_width(piece)]
                numbers = self._with_text(piece, numbers)
                if not piece.rows:
                    continue
                cells = list(zip(*piece.rows))
                values = np.stack([c.read(cells[i], readers[i]) for i, c in enumerate(columns)], axis=1)
                good = ~((np.abs(values) > _FLOAT32_MAX).any(axis=1))
                for i in np.flatnonzero(~good):
                    self._refuse(columns, values[i], piece.lines[i], numbers[i], piece.rows[i])
                file.write((values if good.all() else values[good]).tobytes())
                lines.append(np.array(piece.lines, np.int64)[good])
        self.lines = np.concatenate(lines) if lines else self.lines
        self._reject_if_misread(len(self.lines))
        shape = (len(self.lines), len(columns))
        return np.memmap(raw, np.float64, "r", shape=shape).view(np.ndarray) if shape[0] else np.empty(shape)

    def _of_one_width(self, piece: Piece) -> list[int]:
        """Keeps the rows with one cell a column; their places in the piece. The others are refused."""
        width = len(self.names)
        kept = [i for i, row in enumerate(piece.rows) if len(row) == width]
        if len(kept) < piece.size:
            for line, row in zip(piece.lines, piece.rows):
                if len(row) != width:
                    self.report.refuse(f"line {line}", f"{len(row)} columns, expected {width}" if row else "no JSON")
        piece.keep(kept)
        return kept

    def _with_text(self, piece: Piece, numbers: list[int]) -> list[int]:
        """Keeps the rows that have a text, where texts are learned from; the numbers of those that are left."""
        absent = set() if self.text is None else set(without_text(piece, self.text))
        for i in sorted(absent):
            self.report.refuse(f"line {piece.lines[i]}", f"column {self.names[self.text or 0]!r}: the text is missing")
        kept = [i for i in range(piece.size) if i not in absent]
        piece.keep(kept)
        return [numbers[i] for i in kept] if absent else numbers

    def _refuse(self, columns: list[Column], values: Floats, line: int, number: int, row: Sequence[str]) -> None:
        at = int(np.argmax(np.abs(values) > _FLOAT32_MAX))
        column, cell = columns[at], row[at]
        if np.isfinite(values[at]):
            self.report.refuse(f"line {line}", f"column {column.name!r}: {cell.strip()} is beyond float32 (row {number}, counted from 0)")
        else:
            expected = column.type if column.reading in (None, "number") else f"{column.type} ({column.reading})"
            self.report.refuse(f"line {line}", f"column {column.name!r}: expected a {expected} as in most of the rows, got {cell!r:.60}")

    def _reject_if_misread(self, kept: int) -> None:
        refused = self.report.refused_count
        if refused > MAX_REFUSED_SHARE * (kept + refused):
            first = self.report.refused[0]
            raise Rejected(self.report, f"{refused} line(s) could not be read, the first: {first['file']}: {first['reason']}")

    def _with_target(self, raw: Floats, column: Column, at: int) -> Floats:
        """The rows that have a target; the others are refused."""
        absent = np.isnan(raw[:, at])
        if not absent.any():
            return raw
        for line in self.lines[absent]:
            self.report.refuse(f"line {line}", f"column {column.name!r}: the target is missing")
        self._reject_if_misread(int((~absent).sum()))
        column.done.append(f"{int(absent.sum())} row(s) without a target were left out")
        self.lines = self.lines[~absent]
        return np.ascontiguousarray(raw[~absent])

    def _splits(self, columns: list[Column], raw: Floats) -> np.ndarray[Any, Any] | None:
        """The name of each row's split, where a column says it."""
        at = next((i for i, c in enumerate(columns) if c.role == "split"), None)
        if at is None:
            return None
        return np.array([SPLITS[name.lower()] for name in columns[at].categories])[raw[:, at].astype(np.int64)]
