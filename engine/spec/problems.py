"""What is wrong with a spec: every problem at once, each with its place, what was expected and what was given."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Problem:
    """One thing wrong, at a JSON pointer (RFC 6901)."""

    pointer: str
    code: str
    detail: str
    expected: Any = None
    got: Any = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.pointer or '/'}: {self.detail}"


class SpecError(ValueError):
    """A spec that cannot run; ``problems`` lists all that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(map(str, self.problems)))


def pointer(base: str, *parts: str | int) -> str:
    """``base`` extended by parts, escaped as RFC 6901 asks."""
    return base + "".join("/" + str(p).replace("~", "~0").replace("/", "~1") for p in parts)


def nearest(name: Any, known: Iterable[str]) -> str:
    """``; did you mean 'Conv2d'?``, or nothing where no name is near."""
    by_lower = {k.lower(): k for k in known}
    given = str(name).lower()
    found = difflib.get_close_matches(given, by_lower, 3, 0.6)
    found.sort(key=lambda k: abs(len(k) - len(given)))  # letters that changed places before letters that are missing
    return f"; did you mean '{by_lower[found[0]]}'?" if found else ""


def said(error: Exception) -> str:
    """What an error says, in a line; its kind where it says nothing."""
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    text = " ".join(str(error).split()) or f"it cannot be computed ({type(error).__name__})"
    return text if len(text) <= 500 else text[:497] + "..."


def shown(value: Any) -> str:
    """A given value, cut to a readable length."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
