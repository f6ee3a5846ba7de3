"""Tables of texts: the column that is learned from, and its documents."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from engine.data.report import Options, listed
from engine.data.tables.cells import is_missing
from engine.data.tables.columns import Column
from engine.data.tables.dialect import Piece
from engine.data.tables.profile import Profile
from engine.data.tables.roles import NoTarget
from engine.data.text.described import TextStatistics
from engine.data.text.documents import DocumentWriter

LAYOUTS = ("table", "text", "plain")
"""Numbers and categories; texts with a label; texts without one, for a language model."""


def choose_text(columns: list[Column], profiles: list[Profile], options: Options, warnings: list[str]) -> int | None:
    """The place of the column with the texts, which gets its role; None for a table of numbers and categories. Raises NoTarget."""
    if options.layout == "table":
        return None
    names = [c.name for c in columns]
    if options.text is not None:
        if options.text not in names:
            raise NoTarget(f"no column named {options.text!r}, the texts that were asked for; the columns are {listed(names)}")
        found = [names.index(options.text)]
    else:
        found = [i for i, p in enumerate(profiles) if p.is_prose and names[i] != options.target]
    if not found:
        if options.layout in ("text", "plain"):
            raise NoTarget(f"no column has texts of several words each: name the column with ?text=NAME; the columns are {listed(names)}")
        return None
    at = max(found, key=lambda i: profiles[i].characters)
    if len(found) > 1:
        warnings.append(f"{len(found)} columns have texts: {names[at]!r}, the longest, is learned from; choose another with ?text=NAME")
    column = columns[at]
    column.type, column.role, column.reading, column.categories = "text", "text", None, []
    column.done = ["its texts are learned from"]
    return at


def leave_out_others(columns: list[Column]) -> None:
    """Beside texts no other column is learned from."""
    for column in columns:
        if column.role == "feature":
            column.role = "left out"
            column.done = ["left out: the texts are learned from; ?layout=table takes this column instead"]


def save_documents(work: Path, pieces: Iterable[Piece], at: int, lines: np.ndarray[tuple[int], np.dtype[np.int64]]) -> TextStatistics:
    """Writes the texts in column ``at`` of the rows that end on these ``lines``."""
    statistics = TextStatistics()
    with DocumentWriter(work) as writer:
        for piece in pieces:
            piece.keep(np.flatnonzero(np.isin(piece.lines, lines)).tolist())
            for row in piece.rows:
                writer.add(row[at])
                statistics.add(row[at])
    return statistics


def without_text(piece: Piece, at: int) -> list[int]:
    """The rows of a piece that have no text."""
    return [i for i, row in enumerate(piece.rows) if is_missing(row[at])]
