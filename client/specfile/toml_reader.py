"""TOML, with the place of each key and value. ``tomllib`` reads it; what it has accepted is gone through once more for the places."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from client.specfile.places import Flaw, Parsed, Places, Unreadable
from engine.spec.problems import pointer

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[ \t]*("(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+)[ \t]*""")
_STRING = re.compile(r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.S)
_BARE = re.compile(r"[^,\]}\n#]*")
_WHERE = re.compile(r" \(at line (\d+), column (\d+)\)$")


class _Scanner:
    """Goes through a text that is known to be TOML."""

    def __init__(self, text: str) -> None:
        self.text, self.places = text, Places()
        self.lengths: dict[str, int] = {}
        """How many tables each array of tables has by now."""
        self.places.values[""] = (0, 1)

    def skip(self, i: int) -> int:
        match = _BLANK.match(self.text, i)
        assert match is not None
        return match.end()

    def document(self) -> None:
        i, table = self.skip(0), ""
        while i < len(self.text):
            if self.text[i] == "[":
                i, table = self.header(i)
            else:
                i = self.pair(i, table)
            i = self.skip(i)

    def keys(self, i: int, table: str) -> tuple[int, str]:
        """A dotted key; the pointer of what it names."""
        while True:
            match = _KEY.match(self.text, i)
            assert match is not None
            table = pointer(self.newest(table), next(iter(tomllib.loads(f"{match[1]} = 0"))))
            self.places.keys.setdefault(table, match.span(1))
            self.places.values.setdefault(table, match.span(1))
            i = match.end()
            if self.text[i] != ".":
                return i, table
            i += 1

    def newest(self, table: str) -> str:
        """The table of that name, or the last one of an array of tables."""
        return pointer(table, self.lengths[table] - 1) if table in self.lengths else table

    def header(self, i: int) -> tuple[int, str]:
        """``[table]`` or ``[[table]]``."""
        double = self.text.startswith("[[", i)
        end, table = self.keys(i + 1 + double, "")
        if double:
            self.lengths[table] = self.lengths.get(table, 0) + 1
        self.places.values[self.newest(table)] = (i, end + 1 + double)
        return end + 1 + double, self.newest(table)

    def pair(self, i: int, table: str) -> int:
        """``key = value``."""
        i, here = self.keys(i, table)
        return self.value(self.skip(i + 1), here)

    def value(self, i: int, at: str) -> int:
        first = self.text[i]
        if first in "[{":
            end = self.several(i, at)
        else:
            match = (_STRING if first in "\"'" else _BARE).match(self.text, i)
            assert match is not None
            end = match.end() - (len(match[0]) - len(match[0].rstrip()))
        self.places.values[at] = (i, end)
        return end

    def several(self, i: int, at: str) -> int:
        """An array, or an inline table."""
        array, closing, count = self.text[i] == "[", "]" if self.text[i] == "[" else "}", 0
        i = self.skip(i + 1)
        while self.text[i] != closing:
            i = self.skip(self.value(i, pointer(at, count)) if array else self.pair(i, at))
            count += 1
            if self.text[i] == ",":
                i = self.skip(i + 1)
        return i + 1


def read_toml(text: str) -> Parsed:
    """Raises Unreadable for what tomllib refuses."""
    try:
        value: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = _WHERE.search(str(error))
        at = _offset(text, int(where[1]), int(where[2])) if where else len(text)
        detail = _WHERE.sub("", str(error)).removesuffix(" (at end of document)")
        raise Unreadable([Flaw((at, at + 1), detail[0].lower() + detail[1:])]) from None
    except RecursionError:
        raise Unreadable([Flaw((0, 1), "tables and arrays are nested too deep")]) from None
    scanner = _Scanner(text)
    scanner.document()
    flaws = [Flaw(scanner.places.values[at], f"{shown} is nothing that a spec can have") for at, shown in _not_json(value, "")]
    if flaws:
        raise Unreadable(flaws)
    return Parsed(value, scanner.places)


def _not_json(value: Any, at: str) -> Iterator[tuple[str, str]]:
    """Dates, times, NaN and infinity, each with its pointer."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _not_json(inner, pointer(at, key))
    elif not isinstance(value, str | int | float) or value in (math.inf, -math.inf) or value != value:
        yield at, f"{value} ({type(value).__name__})"


def _offset(text: str, line: int, column: int) -> int:
    start = 0
    for _ in range(line - 1):
        start = text.index("\n", start) + 1
    return start + column - 1
