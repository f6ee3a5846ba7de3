"""Lines of JSON as a table: an object a line, whose keys are columns, or arrays of one length."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.data.tables.dialect import NotATable, Piece

_MAX_COLUMNS = 10_000


@dataclass
class JsonLines:
    """How the lines of a file are read: as a ``Dialect`` of tables, with the same attributes.

    Values become cells as a table would have them: null and missing keys are empty, numbers and truth values are spelled out, objects and arrays are JSON again.
    """

    names: list[str]
    said: list[str] = field(default_factory=list)
    header: bool = True
    delimiter: str = ","

    def pieces(self, path: Path, size: int) -> Iterator[Piece]:
        """The rows, with one cell a column; a line that is no JSON has one cell fewer, so that it is refused."""
        lines: list[int] = []
        rows: list[list[str]] = []
        offset = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                offset += len(line)
                if not line.strip():
                    continue
                lines.append(number)
                rows.append(self._cells(line))
                if len(rows) == size:
                    yield Piece(lines, rows, offset)
                    lines, rows = [], []
        if rows:
            yield Piece(lines, rows, offset)

    def _cells(self, line: bytes) -> list[str]:
        value = _value(line)
        if isinstance(value, dict):
            return [_cell(value.get(name)) for name in self.names]
        return [_cell(v) for v in value] if isinstance(value, list) else []


def recognise(path: Path) -> JsonLines:
    """The columns of a file of JSON lines: the keys of all its objects, in the order in which they come. Raises NotATable."""
    names: dict[str, None] = {}
    arrays, first = 0, None
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            value = _value(line)
            if first is None and not isinstance(value, dict | list):
                raise NotATable(_no_object(number, line))
            first = number
            if isinstance(value, dict):
                names.update(dict.fromkeys(value))
            elif isinstance(value, list):
                arrays = max(arrays, len(value))
            if len(names) > _MAX_COLUMNS or arrays > _MAX_COLUMNS:
                raise NotATable(f"more than {_MAX_COLUMNS} different keys: expected the same ones in each line")
    if first is None:
        raise NotATable("expected a JSON object on each line, got an empty file")
    if not names and not arrays:
        raise NotATable("expected a JSON object on each line, got nothing but empty ones")
    return JsonLines(list(names) or [f"column_{i}" for i in range(1, arrays + 1)])


def _no_object(number: int, line: bytes) -> str:
    text = line[:60].decode("utf-8", "replace").strip()
    advice = ": put each object on a line of its own" if text[:1] in ("[", "{") else ""
    return f"expected a JSON object on each line, got {text!r} on line {number}{advice}"


def _value(line: bytes) -> Any:
    """What a line holds; None where it is no JSON."""
    try:
        return json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
