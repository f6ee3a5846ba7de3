"""The recordings of a step, and what of Python's values its program depends on.

A run of the step finds the places that it reads. What they hold then is what the next run starts from, so the program that
the next gives is right whenever they hold that again; and what the next leaves otherwise, the step itself changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.capture.guards import Guards, put_back
from engine.capture.reads import Reads
from engine.capture.record import NotCaptured


class Watch:
    """What the recordings of ``step`` read."""

    def __init__(self, step: Callable[..., Any]) -> None:
        self._step = step
        self._runs: list[Reads] = []
        self._held: dict[tuple[Any, ...], Any] = {}

    def begin(self) -> Reads:
        """Of the next recording."""
        if self._runs:
            self._runs[-1].found.again()
            self._held = {at: place.now() for at, place in self._runs[-1].places.items()}
        reads = Reads(self._step)
        self._runs.append(reads)
        return reads

    def guards(self) -> Guards:
        """Of the program. Raises NotCaptured if the step changes what it reads."""
        first, second = self._runs[-2:]
        found = []
        for at, place in second.places.items():
            if at not in self._held or not second.ran(place):  # an object that the step made
                continue
            if not place.holds(self._held[at]):
                raise NotCaptured(f"it {place.verb} {first.places[at].path}")
            found.append((place, self._held[at]))
        return Guards(found)

    def undo(self) -> None:
        """Puts back what the step changed, for it is about to run as it is."""
        if self._runs:
            put_back(self._runs[0].places.values())


__all__ = ["Watch"]
