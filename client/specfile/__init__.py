"""A spec's file: JSON, YAML or TOML, and where in it a problem is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from client.specfile.json_reader import read_json
from client.specfile.places import Flaw, Places, Span, Unreadable
from client.specfile.toml_reader import read_toml
from client.specfile.yaml_reader import read_yaml

_READERS = {".json": read_json, ".yaml": read_yaml, ".yml": read_yaml, ".toml": read_toml}
MAX_BYTES = 1 << 20
"""What the server takes, too."""


class Fault(Protocol):
    """A problem that the check or the server has found."""

    @property
    def pointer(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def detail(self) -> str: ...


@dataclass(frozen=True)
class Located:
    """A fault with its place in the file: ``line`` and ``column`` count from 1, ``length`` characters are meant."""

    detail: str
    pointer: str = ""
    code: str = "invalid"
    line: int | None = None
    column: int = 1
    length: int = 1
    related: Located | None = None
    expected: Any = None
    got: Any = None


class SpecFileError(ValueError):
    """A spec's file with problems; ``faults`` lists all of them, ``lines`` are those of the file."""

    def __init__(self, path: str, lines: list[str], faults: list[Located]) -> None:
        super().__init__("\n".join(f"{path}:{f.line}:{f.column}: {f.detail}" if f.line else f"{path}: {f.detail}" for f in faults))
        self.path, self.lines, self.faults = path, lines, faults


@dataclass(frozen=True)
class SpecFile:
    """What a file says, and where."""

    path: Path
    text: str
    value: Any
    places: Places

    def error(self, faults: Iterable[Fault]) -> SpecFileError:
        """The problems that were found in the spec, each at its place."""
        return SpecFileError(str(self.path), self.text.split("\n"), [self._located(f) for f in faults])

    def _located(self, fault: Fault) -> Located:
        more = {k: getattr(fault, k, None) for k in ("expected", "got")}
        return _located(self.text, fault.detail, fault.code, self.places.locate(fault.pointer, fault.code), fault.pointer, **more)


def read(path: str | Path) -> SpecFile:
    """Reads a spec by its file's ending; a file of another ending is taken for JSON. Raises SpecFileError."""
    path = Path(path)
    text = _text(path)
    try:
        parsed = _READERS.get(path.suffix.lower(), read_json)(text)
    except Unreadable as error:
        raise SpecFileError(str(path), text.split("\n"), [_flawed(text, f) for f in error.flaws]) from None
    return SpecFile(path, text, parsed.value, parsed.places)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise SpecFileError(str(path), [], [Located(f"a spec may have at most {MAX_BYTES:,} bytes", code="too_large")])
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise SpecFileError(str(path), [], [Located(f"cannot be read: {error.strerror}", code="unreadable")]) from None
    except UnicodeDecodeError as error:
        detail = f"expected a spec as JSON, YAML or TOML in UTF-8; the byte 0x{raw[error.start]:02x} at {error.start} is no text"
        raise SpecFileError(str(path), [], [Located(detail, code="unreadable")]) from None


def _flawed(text: str, flaw: Flaw) -> Located:
    related = _located(text, flaw.related[1], flaw.code, flaw.related[0]) if flaw.related else None
    return _located(text, flaw.detail, flaw.code, flaw.span, related=related)


def _located(text: str, detail: str, code: str, span: Span | None, pointer: str = "", **more: Any) -> Located:
    if span is None:
        return Located(detail, pointer, code, **more)
    start, end = min(span[0], len(text)), span[1]
    newline = text.find("\n", start)
    length = max(1, min(end, newline if newline >= 0 else len(text)) - start)
    return Located(detail, pointer, code, text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start), length, **more)


__all__ = ["Located", "SpecFile", "SpecFileError", "read"]
