"""JSON (RFC 8259), with the place of each key and value. Refuses what the server refuses: keys that stand twice, NaN and infinity."""

from __future__ import annotations

import json
import re
from typing import Any

from client.specfile.places import Flaw, Parsed, Places, Unreadable
from engine.spec.problems import pointer

_DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORD = re.compile(r"[\w.+-]+")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}


class _Stop(Exception):
    """The text cannot be read on from ``at``."""

    def __init__(self, at: int, detail: str, length: int = 1) -> None:
        super().__init__(detail)
        self.flaw = Flaw((at, at + length), detail)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.places = text, Places()

    def skip(self, i: int) -> int:
        """Where the next token begins."""
        match = _BLANK.match(self.text, i)
        assert match is not None
        i = match.end()
        if self.text.startswith(("//", "/*", "#"), i):
            raise _Stop(i, "JSON has no comments (YAML and TOML have)")
        return i

    def document(self) -> Any:
        value, end = self.value(self.skip(0), "")
        end = self.skip(end)
        if end < len(self.text):
            raise _Stop(end, "expected the end of the file here")
        return value

    def value(self, i: int, at: str) -> tuple[Any, int]:
        value: Any
        first = self.text[i : i + 1]
        if first == "{":
            value, end = self.object(i, at)
        elif first == "[":
            value, end = self.array(i, at)
        elif first == '"':
            value, end = self.string(i)
        else:
            value, end = self.plain(i)
        self.places.values[at] = (i, end)
        return value, end

    def string(self, i: int) -> tuple[str, int]:
        try:
            found, end = _DECODER.raw_decode(self.text, i)
            return str(found), end
        except json.JSONDecodeError as error:
            raise _Stop(error.pos, error.msg[0].lower() + error.msg[1:].removesuffix(" at").removesuffix(" starting at")) from None

    def plain(self, i: int) -> tuple[Any, int]:
        """A number or a word."""
        number = _NUMBER.match(self.text, i)
        word = _WORD.match(self.text, i)
        if number and word and number.end() == word.end():
            return self.number(number), number.end()
        if word and word[0] in _WORDS:
            return _WORDS[word[0]], word.end()
        if word:
            raise _Stop(i, f"expected a value, got {word[0]!r:.60}{_hint(word[0])}", len(word[0]))
        if i >= len(self.text):
            raise _Stop(i, "expected a value, but the file ends here")
        raise _Stop(i, f"expected a value, got {self.text[i]!r}" + ("; strings stand in double quotes" if self.text[i] == "'" else ""))

    @staticmethod
    def number(match: re.Match[str]) -> int | float:
        whole = match[1] is None and match[2] is None
        try:
            found = int(match[0]) if whole else float(match[0])
        except ValueError:  # an integer of more digits than Python reads
            found = float("inf")
        if found in (float("inf"), float("-inf")):
            raise _Stop(match.start(), f"the number {match[0]:.30} is too large", match.end() - match.start())
        return found

    def array(self, i: int, at: str) -> tuple[list[Any], int]:
        found: list[Any] = []
        start, i = i, self.skip(i + 1)
        while self.text[i : i + 1] != "]":
            value, i = self.value(i, pointer(at, len(found)))
            found.append(value)
            i = self.separator(i, start, "]")
        return found, i + 1

    def object(self, i: int, at: str) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        start, i = i, self.skip(i + 1)
        while self.text[i : i + 1] != "}":
            if self.text[i : i + 1] != '"':
                raise _Stop(i, "expected a key in double quotes" if i < len(self.text) else self.unclosed(start))
            key, end = self.string(i)
            here = pointer(at, key)
            self.places.key(here, (i, end), key, key in found)
            i = self.skip(end)
            if self.text[i : i + 1] != ":":
                raise _Stop(i, f"expected ':' after the key {key!r:.60}")
            found[key], i = self.value(self.skip(i + 1), here)
            i = self.separator(i, start, "}")
        return found, i + 1

    def separator(self, i: int, start: int, closing: str) -> int:
        """Past a comma to the next element, or to the ``closing`` bracket."""
        i = self.skip(i)
        if self.text[i : i + 1] == closing:
            return i
        if self.text[i : i + 1] != ",":
            raise _Stop(i, f"expected ',' or '{closing}'" if i < len(self.text) else self.unclosed(start))
        comma, i = i, self.skip(i + 1)
        if self.text[i : i + 1] == closing:
            raise _Stop(comma, f"expected no comma before '{closing}'")
        return i

    def unclosed(self, start: int) -> str:
        line = self.text.count("\n", 0, start) + 1
        return f"the file ends, but the '{self.text[start]}' of line {line} is still open"


def _hint(word: str) -> str:
    near = {"True": "true", "False": "false", "None": "null", "NaN": "", "Infinity": "", "-Infinity": ""}.get(word)
    return "" if near is None else f"; JSON has {near}" if near else "; JSON has no such number"


def read_json(text: str) -> Parsed:
    """Raises Unreadable, with every flaw that reading on has found."""
    reader = _Reader(text)
    try:
        value = reader.document()
    except _Stop as stop:
        raise Unreadable([*reader.places.flaws, stop.flaw]) from None
    except RecursionError:
        raise Unreadable([Flaw((0, 1), "objects and lists are nested too deep")]) from None
    if reader.places.flaws:
        raise Unreadable(reader.places.flaws)
    return Parsed(value, reader.places)
