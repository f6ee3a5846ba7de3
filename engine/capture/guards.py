"""Guards: places of Python values that a step read, and whether each still holds what it held when the step was recorded.

They are compiled into one function, which takes some nanoseconds a place and is called before each step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from engine.capture.places import ATOMS, MISSING, Bound, Place


class Guards:
    """Places and what they held. ``hold()`` says whether they still do."""

    def __init__(self, held: Sequence[tuple[Place, Any]]) -> None:
        self.held = held
        self.hold = _compiled(held)

    def broken(self) -> str | None:
        """Where something else is now, and what, for people."""
        for place, value in self.held:
            if not place.holds(value):
                now = place.now()
                return (
                    f"{place.path} was {_short(value)} and is {_short(now)}" if _shown(value) and _shown(now) else f"{place.path} changed"
                )
        return None


def _shown(value: Any) -> bool:
    return value is MISSING or type(value) in ATOMS or isinstance(value, np.generic)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."


def _compiled(held: Sequence[tuple[Place, Any]]) -> Callable[[], bool]:
    bound = Bound()
    conditions = [c for c in (place.condition(bound, value) for place, value in held) if c is not None]
    given = "".join(f" {name} = None\n" for name in bound.cells)
    tests = "\n   and ".join(conditions) or "True"
    text = f"def make():\n{given} def hold():\n  try:\n   return ({tests})\n  except Exception:\n   return False\n"
    outer = next(c for c in compile(text, "<guards>", "exec").co_consts if isinstance(c, CodeType))
    inner = next(c for c in outer.co_consts if isinstance(c, CodeType))
    return FunctionType(inner, bound.objects, "hold", None, tuple(bound.cells[name] for name in inner.co_freevars))


def put_back(places: Iterable[Place]) -> None:
    """What the step changed, as it was before."""
    for place in places:
        if place.trusted and not place.holds(place.first):
            with contextlib.suppress(Exception):  # what is read-only stays
                place.put(place.first)


__all__ = ["Guards", "put_back"]
