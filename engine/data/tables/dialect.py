"""How a table is written: its encoding, the delimiter, and whether its first line names the columns."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path

from engine.data.tables.cells import CLOCK, COMMA, DATES, MISSING, POINT, is_missing, readings

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_SAMPLE_ROWS = 200
_SAMPLE_CHARS = 1 << 20
_TYPED = frozenset((POINT, COMMA, CLOCK, *DATES))
csv.field_size_limit(1 << 24)


@dataclass
class Piece:
    """Some rows of a table that follow each other, without blank lines: the line on which each ends, its cells; and how many bytes were read so far."""

    lines: list[int]
    rows: list[list[str]]
    offset: int

    @property
    def size(self) -> int:
        return len(self.rows)

    def keep(self, which: list[int]) -> None:
        """Leaves out all other rows."""
        if len(which) < len(self.rows):
            self.lines, self.rows = [self.lines[i] for i in which], [self.rows[i] for i in which]


class NotATable(ValueError):
    """A file that cannot be read as a table."""


@dataclass(frozen=True)
class Dialect:
    """How a table is written.

    ``skipped`` lines stand above the table. ``names`` are the columns' as they are written, empty ones too; ``header`` says whether the file has them, else they are all
    empty. ``said`` tells in sentences what is not as usual.
    """

    encoding: str
    delimiter: str
    skipped: int
    header: bool
    names: list[str]
    said: list[str]

    def pieces(self, path: Path, size: int) -> Iterator[Piece]:
        """The rows below the header, each with one cell a column where it can: empty cells at the end are cut off."""
        width, drop = len(self.names), self.skipped + self.header
        for piece in _pieces(path, self.encoding, self.delimiter, size):
            skipped = min(drop, piece.size)
            piece.keep([*range(skipped, piece.size)])
            drop -= skipped
            for row in piece.rows:
                while len(row) > width and not row[-1].strip():
                    row.pop()
            if piece.rows:
                yield piece


def _pieces(path: Path, encoding: str, delimiter: str, size: int) -> Iterator[Piece]:
    with path.open("rb") as content, io.TextIOWrapper(content, encoding, newline="") as file:
        hint = file.readline(7).lower().startswith("sep=")  # Excel's line for itself, "sep=;"
        if not hint:
            file.seek(0)
        table = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
        last = 0
        while rows := list(islice(table, size)):
            piece = Piece(_lines(rows, last, table.line_num, hint), rows, content.tell())
            last = table.line_num
            if not all(row and row[0].strip() for row in rows):
                piece.keep([i for i, row in enumerate(rows) if any(c.strip() for c in row)])
            yield piece


def _lines(rows: list[list[str]], last: int, end: int, hint: bool) -> list[int]:
    """The lines on which rows end, those of a piece between ``last`` and ``end``; longer ones have breaks in quotes."""
    if end - last == len(rows):
        return [*range(last + hint + 1, end + hint + 1)]
    return [
        *accumulate((1 + sum(c.replace("\r\n", "\n").replace("\r", "\n").count("\n") for c in row) for row in rows), initial=last + hint)
    ][1:]


def recognise(path: Path) -> Dialect:
    """How the table in a file is written. Raises NotATable, UnicodeDecodeError and csv.Error."""
    encoding, said = _encoding(path)
    with path.open(newline="", encoding=encoding) as file:
        sample = file.read(_SAMPLE_CHARS)
    if not sample.strip():
        raise NotATable("expected a header line with at least two columns, got an empty file")
    delimiter = _delimiter(sample)
    rows = next((piece.rows for piece in _pieces(path, encoding, delimiter, _SAMPLE_ROWS) if piece.rows), [])
    if not rows:
        raise NotATable("expected a header line with at least two columns, got none but empty cells")
    width = _usual(map(_width, rows[1:] or rows))
    skipped = 0
    while len(rows) - skipped > 2 and width > 1 and _width(rows[skipped]) == 1 and _width(rows[skipped + 1]) in (1, width):
        said.append(f"left out above the table: {rows[skipped][0].strip()[:80]!r}")
        skipped += 1
    names, *below = rows[skipped:]
    header = _is_header(names, below)
    if max(width, len(names)) < 2:
        raise NotATable("expected a header line with at least two columns, got one column")
    if delimiter != ",":
        said.append(f"the delimiter is a {DELIMITERS[delimiter]}")
    if not header:
        width = _usual(map(len, rows[skipped:]))
        said.append(f"no header line: the first line is a row like the others; the columns are named column_1 to column_{width}")
        return Dialect(encoding, delimiter, skipped, False, [""] * width, said)
    names = [n.strip() for n in names]
    if names[0].startswith("#"):  # as NumPy's savetxt comments its header
        names[0] = names[0][1:].strip()
    if len(names) == width - 1 and below:
        names.insert(0, "")  # R leaves the name of the row names out
    return Dialect(encoding, delimiter, skipped, True, names, said)


def _usual(widths: Iterable[int]) -> int:
    return Counter(widths).most_common(1)[0][0]


def _width(row: list[str]) -> int:
    """The number of cells up to the last that is not empty."""
    return next((i for i in range(len(row), 0, -1) if row[i - 1].strip()), 0)


def _encoding(path: Path) -> tuple[str, list[str]]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        start = file.read(4)
        for mark, name in _MARKS:
            if start.startswith(mark):
                return name, [] if name == "utf-8-sig" else [f"decoded from {name.upper()}"]
        if start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
            raise NotATable("this is an Excel workbook or an archive, not a CSV file: save the sheet as CSV")
        file.seek(0)
        at = 0
        utf8 = True
        while piece := file.read(1 << 20):
            if b"\0" in piece:
                raise NotATable(f"not a CSV file in UTF-8: byte {at + piece.index(0)} is zero")
            if utf8:
                try:
                    decoder.decode(piece)
                except UnicodeDecodeError as error:
                    utf8, wrong, offset = False, error.object[error.start], at + error.start
            at += len(piece)
    if utf8:
        return "utf-8", []
    return "cp1252" if _decodes(path, "cp1252") else "latin-1", [f"not UTF-8 (byte {offset} is 0x{wrong:02X}): decoded as Windows-1252"]


def _decodes(path: Path, encoding: str) -> bool:
    try:
        with path.open(encoding=encoding) as file:
            while file.read(1 << 20):
                pass
    except UnicodeDecodeError:
        return False
    return True


def _delimiter(sample: str) -> str:
    first = sample.lstrip("\ufeff").splitlines()[0]
    if first.lower().startswith("sep=") and first[4:5] in DELIMITERS:
        return first[4]
    return max(DELIMITERS, key=lambda d: _fitness(sample, d))


def _fitness(sample: str, delimiter: str) -> tuple[float, int]:
    """How well a delimiter explains a sample: rows of one width, of cells that are values or at least hold no other delimiter; then by width."""
    table = csv.reader(sample.splitlines(keepends=True), delimiter=delimiter, skipinitialspace=True)
    try:
        rows = [row for row in islice(table, _SAMPLE_ROWS) if any(c.strip() for c in row)]
    except csv.Error:
        return 0.0, 0
    width = _usual(map(len, rows)) if rows else 0
    if width < 2:
        return 0.0, 0
    same = sum(len(row) == width for row in rows) / len(rows)
    cells = [cell for row in rows for cell in row]
    others = "".join(d for d in DELIMITERS if d != delimiter)
    clean = sum(not any(d in cell for d in others) or bool(readings(cell)) for cell in cells) / len(cells)
    return round(same + clean, 2), width


def _is_header(first: list[str], below: list[list[str]]) -> bool:
    """Whether the first line names columns: it is unlike the rows below where these are numbers or dates, or its words are none of theirs.

    A line whose cells are all like those below is data.
    """
    if not below:
        return not any(_TYPED & readings(cell) for cell in first)
    alike, novel = False, False
    for i, cell in enumerate(first):
        column = [row[i] for row in below if i < len(row) and not is_missing(row[i])]
        typed = sum(bool(_TYPED & readings(c)) for c in column)
        if is_missing(cell) or not column:
            continue
        if typed >= max(1, 0.8 * len(column)):
            if not _TYPED & readings(cell):
                return True
            alike = True
        elif cell.strip() not in (values := {c.strip() for c in column}):
            novel = novel or len(values) <= len(column) / 2
        elif len(values) <= len(column) / 2:
            return False
    names = [cell.strip() for cell in first]
    distinct = len(set(names)) == len(names)
    if alike:
        return novel and distinct and all(MISSING not in readings(n) and (not _TYPED & readings(n) or n.isdigit()) for n in names)
    return distinct and all(name not in {row[i].strip() for row in below if i < len(row)} for i, name in enumerate(names))
