"""A problem in a spec's file with its line and a caret under it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len
from rich.text import Text

from client.specfile import Located, SpecFileError
from client.terminal import printable

_LONGEST = 20
"""How many problems are shown with their lines; the others are one line each."""


def excerpts(error: SpecFileError, width: int) -> Iterator[Text]:
    """The lines of an error, each of at most ``width`` columns where it shows the file."""
    n = len(error.faults)
    if n > 1:
        yield Text(printable(f"{error.path} has {n} problems:"))
    for i, fault in enumerate(sorted(error.faults, key=lambda f: (f.line or 0, f.column))):
        yield from _excerpt(error, fault, width, i < _LONGEST)


def _excerpt(error: SpecFileError, fault: Located, width: int, with_line: bool, note: bool = False) -> Iterator[Text]:
    where = error.path if fault.line is None else f"{error.path}:{fault.line}:{fault.column}"
    at = f"{fault.pointer}: " if fault.pointer else ""
    head = Text(printable(f"{where}: "), style="dim" if note else "bold")
    yield head + Text(printable(at + fault.detail), style="dim" if note else "")
    if fault.line is not None and with_line:
        yield from caret(error.lines[fault.line - 1], fault, width)
    if fault.related is not None:
        yield from _excerpt(error, fault.related, width, with_line, note=True)


def caret(line: str, fault: Located, width: int) -> Iterator[Text]:
    """The line of the file, and the caret under what is meant; of a long line the part around it."""
    number = f"{fault.line:>5} | "
    shown = printable(line.replace("\t", " "))  # one column a character, as the caret counts
    before, meant, after = (
        shown[: fault.column - 1],
        shown[fault.column - 1 : fault.column - 1 + fault.length],
        shown[fault.column - 1 + fault.length :],
    )
    room = max(20, width - len(number))
    meant = _cut(meant, room // 2, "")
    before = _cut(before[::-1], max(room // 3, room - cell_len(meant) - cell_len(after)), "...")[::-1]
    after = _cut(after, room - cell_len(before) - cell_len(meant), "...")
    yield Text(number, style="dim") + Text(before + meant + after)
    yield Text(" " * (len(number) - 2) + "| ", style="dim") + Text(" " * cell_len(before) + "^" * max(1, cell_len(meant)), style="bold red")


def _cut(text: str, width: int, mark: str) -> str:
    """As much of a text as has room, with a mark where something is left out."""
    if cell_len(text) <= width:
        return text
    kept = ""
    for c in text:
        if cell_len(kept + c) > width - len(mark):
            break
        kept += c
    return kept + mark
