"""Lists of images and their labels inside an archive: a table (``labels.csv``), or an index of lines ``path label``.

What a column means is told by what is in it: the one whose cells name images of the archive is the name. A list may stand in any folder; its paths are
relative to it, to the archive, or only the end of a path, with or without the image's extension.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from engine.data.images.archive import BadArchive, Entry
from engine.data.images.names import split_path
from engine.vision.decode import SUFFIXES

MAX_BYTES = 64 << 20
_TABLES = (".csv", ".tsv")
_INDEXES = (".txt", ".lst", ".list")
_MANY = 50  # files of a kind: no lists, but the annotations of one image each
_DELIMITERS = (",", ";", "\t", "|", " ")  # a space: the last word of a line is the label
_LABELS = ("label", "labels", "class", "classes", "class_name", "target", "category", "y")
_SPLITS = ("split", "subset", "partition", "set", "data set", "dataset")
_MISSING = ("", "na", "nan", "null", "none", "-")
_LOOKED_AT = 500  # lines that tell what the columns are
_HEAD = 1 << 18  # characters that tell what the delimiter is
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True, slots=True)
class Row:
    """An image and its label, and where the list says so."""

    entry: Entry
    label: str
    split: str | None
    source: str
    line: int


@dataclass
class Listing:
    """What lists say. ``refused`` are (file, reason); ``refused_images`` the names of listed images that are not used; ``used`` the lists read."""

    target: dict[str, str]
    is_table: bool
    rows: list[Row] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    refused_images: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)


def candidates(entries: Iterable[Entry]) -> list[Entry]:
    """The files that may be lists."""
    small = [e for e in entries if e.info.file_size <= MAX_BYTES]
    kinds = [[e for e in small if e.parts[-1].lower().endswith(kind)] for kind in (_TABLES, _INDEXES)]
    return [e for kind in kinds if len(kind) <= _MANY for e in kind]


def read_lists(
    lists: list[Entry], images: list[Entry], target: str | None, read: Callable[[Entry], bytes], suffixes: tuple[str, ...] = SUFFIXES
) -> Listing | None:
    """What the lists that name images say of them; None where none does. Raises BadArchive if there is no column ``target``."""
    if not lists:
        return None
    find, found = _Finder(images, suffixes), None
    for entry in lists:
        table = _Table.of(entry, _text(read(entry)), find)
        if table is None:
            continue
        columns = table.label_columns(target)
        found = found or Listing(table.target(columns, target), table.delimiter != " ")
        found.used.add(entry.name)
        _read_rows(table, columns, found)
    return _without_conflicts(found) if found and found.rows else None


def _text(content: bytes) -> str:
    for encoding in ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")


class _Finder:
    """The image that a cell names."""

    def __init__(self, images: list[Entry], suffixes: tuple[str, ...]) -> None:
        self.suffixes = suffixes
        self._exact = {e.parts: e for e in images}
        self._stems = {self._stem(e.parts): e for e in images}
        tails, stems = Counter(e.parts[-1] for e in images), Counter(self._stem(e.parts)[-1] for e in images)
        self._tails = {e.parts[-1]: e for e in images if tails[e.parts[-1]] == 1}
        self._tails |= {s: e for e in images if stems[s := self._stem(e.parts)[-1]] == 1 and s not in self._tails}
        self._folders = sorted({e.parts[:n] for e in images for n in range(len(e.parts))}, key=len)[:100]

    @staticmethod
    def _stem(parts: tuple[str, ...]) -> tuple[str, ...]:
        return (*parts[:-1], parts[-1].rpartition(".")[0] or parts[-1])

    def __call__(self, cell: str, folder: tuple[str, ...]) -> Entry | None:
        """By the path from the list's folder, from any folder of the archive, or else by a file name that is there only once."""
        parts = tuple(p for p in split_path(cell.strip()) if p != "..")
        if not parts:
            return None
        for start in (folder, *self._folders):
            entry = self._exact.get(start + parts) or self._stems.get(start + parts)
            if entry:
                return entry
        return self._tails.get(parts[-1])


class _Table:
    """A list cut into cells: ``rows`` with the number of their line, ``header`` if there is one, ``name`` the number of the column that names images."""

    def __init__(self, entry: Entry, delimiter: str, rows: list[tuple[int, list[str]]], find: _Finder) -> None:
        self.entry, self.delimiter, self.find = entry, delimiter, find
        width = max((len(cells) for _, cells in rows), default=0)
        looked_at = [cells for _, cells in rows[:_LOOKED_AT] if len(cells) > 1]
        counts = [sum(map(self._names, {cells[c] for cells in looked_at if len(cells) > c})) for c in range(width)]
        self.named = max(counts, default=0)
        self.name = counts.index(self.named) if self.named else 0
        first = rows[0][1] if rows else []
        has_header = self.named > 0 and not self.image(first) and not any(c.lower().endswith(find.suffixes) for c in first)
        self.header = [_CONTROL.sub(" ", c).strip() for c in first] if has_header else [f"column {i + 1}" for i in range(width)]
        self.has_header, self.rows = has_header, rows[has_header:]

    @classmethod
    def of(cls, entry: Entry, text: str, find: _Finder) -> _Table | None:
        """The list, cut at the delimiter by which the most rows name an image and something more; None for a file that is no list."""
        tables = [
            cls(entry, d, rows, find) for d in _DELIMITERS if (rows := _cut(text, d)) and sum(len(c) > 1 for _, c in rows[:_LOOKED_AT])
        ]
        best = max(tables, key=lambda t: t.named, default=None)
        return best if best and best.named else None

    def _names(self, cell: str) -> int:
        """2 for a cell that names an image with its extension, 1 without: a label "7" is not the image 7.png as long as another column is."""
        if not self.find(cell, self.entry.parts[:-1]):
            return 0
        return 2 if cell.strip().lower().endswith(self.find.suffixes) else 1

    def image(self, cells: list[str]) -> Entry | None:
        return self.find(cells[self.name], self.entry.parts[:-1]) if len(cells) > self.name else None

    def column(self, names: tuple[str, ...]) -> int | None:
        return next((i for n in names for i, h in enumerate(self.header) if self.has_header and h.casefold() == n and i != self.name), None)

    def label_columns(self, target: str | None) -> list[int]:
        """The column of labels; several where each is a class, with a 1 for the images that are of it. Raises BadArchive without column ``target``."""
        if target is not None:
            if target not in self.header:
                raise BadArchive(f"{self.entry.name} has no column {target!r}: expected one of {', '.join(self.header)}")
            return [self.header.index(target)]
        split = self.column(_SPLITS)
        others = [i for i in range(len(self.header)) if i not in (self.name, split)]
        named = self.column(_LABELS)
        if named is not None:
            return [named]
        cells = [[c[i].strip() if i < len(c) else "" for i in others] for _, c in self.rows[:_LOOKED_AT]]
        one_hot = self.has_header and len(others) > 1 and all(sorted(c)[-1:] == ["1"] and c.count("0") == len(c) - 1 for c in cells)
        return others if one_hot else others[-1:]

    def target(self, columns: list[int], target: str | None) -> dict[str, str]:
        """What the report says of the choice."""
        others = sum(i not in (self.name, self.column(_SPLITS)) for i in range(len(self.header)))
        reasons = {
            "as given": target is not None,
            "a column for each class": len(columns) > 1,
            "by its name": columns == [self.column(_LABELS)],
            "the only other column": others == 1,
            "the last column": True,
        }
        return {"name": ", ".join(self.header[i] for i in columns[:10]), "chosen": next(r for r, holds in reasons.items() if holds)}


def _cut(text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """The cells of each line that has any, with its number; comments of an index are left out."""
    if delimiter == " ":
        lines = enumerate(text.splitlines(), 1)
        return [(n, line.strip().rsplit(maxsplit=1)) for n, line in lines if line.strip() and not line.lstrip().startswith("#")]
    reader, rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), []
    try:
        for cells in reader:
            if any(c.strip() for c in cells):
                rows.append((reader.line_num, cells))
    except csv.Error:  # a field of more than 128 KiB, say: no list
        return []
    return rows


def _read_rows(table: _Table, columns: list[int], found: Listing) -> None:
    """Adds a table's rows to what was found; lines that cannot be used are named by their number."""
    split = table.column(_SPLITS)
    for line, cells in table.rows:
        entry, label = table.image(cells), _label(table, cells, columns)
        if len(cells) <= max(table.name, *columns):
            found.refused.append((table.entry.name, f"line {line}: expected a file name and a label, got {' '.join(cells)!r:.200}"))
        elif entry is None:
            found.refused.append((table.entry.name, f"line {line}: there is no image {cells[table.name].strip()!r:.200}"))
        elif label is None:
            found.refused.append((table.entry.name, f"line {line}: no label for {entry.name}"))
            found.refused_images.add(entry.name)
        else:
            own = cells[split].strip() if split is not None and split < len(cells) else None
            found.rows.append(Row(entry, label, own, table.entry.name, line))


def _label(table: _Table, cells: list[str], columns: list[int]) -> str | None:
    if len(columns) > 1:
        return next((table.header[i] for i in columns if i < len(cells) and cells[i].strip() == "1"), None)
    label = _CONTROL.sub(" ", cells[columns[0]]).strip() if len(cells) > columns[0] else ""
    return None if label.casefold() in _MISSING else label


def _without_conflicts(found: Listing) -> Listing:
    """An image listed again counts once; one with two labels is left out, since nobody can say which is right."""
    rows: dict[str, Row] = {}
    for row in found.rows:
        first = rows.setdefault(row.entry.name, row)
        if row.label != first.label:
            places = f"line {first.line} of {first.source} and line {row.line} of {row.source}"
            found.refused.append((row.entry.name, f"labelled {first.label} and {row.label}: {places}"))
            found.refused_images.add(row.entry.name)
    found.rows = [row for name, row in rows.items() if name not in found.refused_images]
    return found
