"""The terminal: the one place where all output of the ``epochline`` command passes. Results go to standard output, everything else to standard error.

Text of strangers is shown, and steers nothing: no character of it moves the cursor or colours, and none of it is markup.
"""

from __future__ import annotations

import json
import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic import BaseModel
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Control, format (also those that turn the writing direction), lone surrogates, separators of lines."""
_UNBOUNDED = 1000
"""Columns of an output that is no terminal, where COLUMNS does not say how many it has: lines are not cut for a reader that is a program."""
SMALLEST = 40


def printable(text: str) -> str:
    """The text without characters that move the cursor, colour, turn or break lines; each becomes ``\N{REPLACEMENT CHARACTER}``."""
    return "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in _HIDDEN else c for c in text)


def replace_unencodable() -> None:
    """Has characters that the terminal's encoding lacks printed as ``?`` instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


@dataclass(frozen=True)
class Column:
    """A column of a table. ``fixed`` ones are shown in full; of the others those furthest right are left out first where there is no room."""

    name: str
    right: bool = False
    fixed: bool = False
    least: int = 6


class Bar(Protocol):
    """Tells a progress bar how much is done, how much there is in all, and what is being done now."""

    def __call__(self, done: int | None = None, total: int | None = None, doing: str | None = None) -> None: ...


class Terminal:
    """Where a command prints. With ``json`` set, standard output has documents only."""

    def __init__(self) -> None:
        self.json = False
        self.out, self.err = _console(sys.stdout), _console(sys.stderr, stderr=True)

    @property
    def interactive(self) -> bool:
        """Whether there is somebody who sees what is drawn live."""
        return self.out.is_terminal and not self.json

    @property
    def width(self) -> int:
        """Columns of standard output."""
        return max(SMALLEST, self.out.width)

    # -- results

    def say(self, *lines: str) -> None:
        """Lines for a person; nothing with ``--json``."""
        if not self.json:
            for line in lines:
                self.out.print(Text(printable(line)), soft_wrap=not self.bounded)

    @property
    def bounded(self) -> bool:
        """Whether lines of standard output have to fit a width."""
        return _bounded(self.out)

    def show(self, what: RenderableType) -> None:
        """Something of rich's, made of printable text."""
        if not self.json:
            self.out.print(what)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[str]], total: Sequence[str] | None = None) -> None:
        """Rows under their headers, as wide as the terminal allows."""
        cells = [[printable(cell) for cell in row] for row in [*rows, *([total] if total else [])]]
        widths = _widths(columns, cells, self.width)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for i, width in widths.items():
            table.add_column(
                columns[i].name, justify="right" if columns[i].right else "left", no_wrap=True, overflow="ellipsis", width=width
            )
        for n, row in enumerate(cells):
            table.add_row(*(Text(row[i]) for i in widths), style="bold" if total and n == len(rows) else "")
        self.show(table)

    def emit(self, document: Any) -> None:
        """With ``--json``, a document on a line of its own, in ASCII: no character of it steers a terminal."""
        if self.json:
            self._write(json.dumps(plain(document)))

    def document(self, document: Any) -> None:
        """A document that is the result, with ``--json`` and without."""
        self._write(json.dumps(document, indent=None if self.json else 2))

    def script(self, text: str) -> None:
        """A program's own text, as it is."""
        self._write(text)

    def _write(self, text: str) -> None:
        self.out.file.write(text + "\n")
        self.out.file.flush()

    # -- everything else

    def note(self, *lines: str) -> None:
        """Lines beside the result."""
        for line in lines:
            self.err.print(Text(printable(line)), soft_wrap=not _bounded(self.err))

    def complain(self, *lines: str | Text) -> None:
        """Lines of an error."""
        for line in lines:
            self.err.print(line if isinstance(line, Text) else Text(printable(line)), soft_wrap=not _bounded(self.err))

    @contextmanager
    def progress(self, doing: str, total: int | None = None, unit: Literal["bytes", "%"] = "%") -> Iterator[Bar]:
        """A bar for something that lasts: on a terminal, gone when it is done."""
        columns = (DownloadColumn(),) if unit == "bytes" else (TaskProgressColumn(),)
        bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(bar_width=None), *columns, TimeRemainingColumn(), console=self.err,
            transient=True, disable=not self.err.is_terminal,
        )  # fmt: skip
        with bar:
            task = bar.add_task(printable(doing), total=total)

            def update(done: int | None = None, total: int | None = None, doing: str | None = None) -> None:
                bar.update(task, completed=done, total=total, description=None if doing is None else printable(doing))

            yield update


def plain(document: Any) -> Any:
    """A document of models as JSON has it."""
    if isinstance(document, BaseModel):
        return document.model_dump(mode="json", exclude_none=False)
    if isinstance(document, dict):
        return {str(k): plain(v) for k, v in document.items()}
    return [plain(v) for v in document] if isinstance(document, list | tuple) else document


def _bounded(console: Console) -> bool:
    return console.is_terminal or "COLUMNS" in os.environ


def _console(stream: Any, stderr: bool = False) -> Console:
    width = None if stream.isatty() or "COLUMNS" in os.environ else _UNBOUNDED
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=width)


def _widths(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> dict[int, int]:
    """The columns that there is room for, each with its width."""
    natural = [max(cell_len(text) for text in (c.name, *(row[i] for row in cells))) for i, c in enumerate(columns)]
    least = [n if c.fixed else min(n, max(c.least, cell_len(c.name))) for c, n in zip(columns, natural, strict=True)]
    kept = list(range(len(columns)))
    for i in reversed(range(len(columns))):
        if sum(least[k] + 2 for k in kept) > width and not columns[i].fixed:
            kept.remove(i)
    found = {i: natural[i] for i in kept}
    while sum(w + 2 for w in found.values()) > width:
        widest = max(found, key=lambda i: found[i] - least[i])
        if found[widest] == least[widest]:
            break
        found[widest] -= 1
    return found


def size(n: float) -> str:
    """Bytes for a person: ``1.5 MiB``."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if n < 1024 or unit == "TiB":
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1024
    return ""


def duration(seconds: float | None) -> str:
    """Time for a person: ``0:42``, ``1:05:00``."""
    if seconds is None:
        return ""
    hours, rest = divmod(round(seconds), 3600)
    minutes, s = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{s:02}" if hours else f"{minutes}:{s:02}"
