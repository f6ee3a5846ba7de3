"""Where what stands in a spec's file: the offset of each key and each value, by JSON pointer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Span = tuple[int, int]
"""The offsets, in characters, of the first character and of the one behind the last."""


@dataclass(frozen=True)
class Flaw:
    """Something in a file that keeps it from being read; ``related`` is another place that has to do with it, and what is there."""

    span: Span
    detail: str
    code: str = "syntax"
    related: tuple[Span, str] | None = None


class Unreadable(ValueError):
    """A text that is not what its name says."""

    def __init__(self, flaws: Sequence[Flaw]) -> None:
        super().__init__("; ".join(f.detail for f in flaws))
        self.flaws = list(flaws)


@dataclass
class Places:
    """The spans of a text's keys and values."""

    keys: dict[str, Span] = field(default_factory=dict)
    values: dict[str, Span] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)

    def key(self, pointer: str, span: Span, name: str, known: bool) -> None:
        """Notes a key; one that is ``known`` in its object already is a flaw."""
        if known:
            self.flaws.append(
                Flaw(
                    span,
                    f"the key {name!r:.100} stands twice in one object",
                    "duplicate_key",
                    (self.keys[pointer], "it stands here already"),
                )
            )
        else:
            self.keys[pointer] = span

    def locate(self, pointer: str, code: str) -> Span | None:
        """The span that a problem at ``pointer`` is about; where there is nothing at that pointer, that of what it is missing from."""
        if code == "unknown_key" and pointer in self.keys:
            return self.keys[pointer]
        at = pointer
        while at not in self.values:
            if not at:
                return None
            at = at.rpartition("/")[0]
        if at != pointer and at in self.keys:  # something is missing in it: its name says more than all of its text
            return self.keys[at]
        return self.values[at]


@dataclass(frozen=True)
class Parsed:
    """What a text says, and where."""

    value: Any
    places: Places


def finite(value: float) -> float:
    """Raises ValueError for NaN and infinity, which a spec cannot have."""
    if not math.isfinite(value):
        raise ValueError(value)
    return value
