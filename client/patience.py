"""How long a request is tried again: pauses that grow, within a budget of time."""

from __future__ import annotations

import random
import time

_FIRST_S, _LONGEST_S = 0.05, 2.0


class Patience:
    """The pauses of one request, for ``budget_s`` seconds in all; each about twice the one before."""

    def __init__(self, budget_s: float) -> None:
        self._deadline = time.monotonic() + budget_s
        self._pause = _FIRST_S

    def pause(self, at_least_s: float = 0.0) -> float | None:
        """How many seconds to wait before trying again; None where that would exceed the budget."""
        pause = max(at_least_s, self._pause * random.uniform(0.5, 1.0))  # spread, so that clients do not return at the same moment
        self._pause = min(_LONGEST_S, self._pause * 2)
        return pause if time.monotonic() + pause < self._deadline else None


__all__ = ["Patience"]
