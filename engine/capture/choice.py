"""Which of several algorithms: the fastest, timed once and kept in a plan."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from engine.kernels.native import address

ANY = "*"
"""What a plan has in place of the size of a batch where a choice holds for all."""


class AnySize(dict[str, int]):
    """A view of a plan for steps that must give a sample the same bits in every batch: its choices hold for all sizes."""

    def __init__(self, plan: dict[str, int]) -> None:
        super().__init__()
        self._plan = plan

    @staticmethod
    def _key(key: str) -> str:
        kind, _, shape = key.split(" ", 2)  # the size comes first
        return f"{kind} {ANY} {shape}"

    def __contains__(self, key: object) -> bool:
        return self._key(str(key)) in self._plan

    def __getitem__(self, key: str) -> int:
        return self._plan[self._key(key)]

    def __setitem__(self, key: str, algorithm: int) -> None:
        self._plan[self._key(key)] = algorithm


class Choice:
    """A plan, by what is computed and how large it is, and the memory to time with."""

    def __init__(self, plan: dict[str, int]) -> None:
        self.plan = plan
        self.of_any_size = isinstance(plan, AnySize)
        self.release()

    def release(self) -> None:
        self._scratch = np.empty(0, np.float32)

    def of(self, key: str, candidates: Sequence[int], time: Callable[[int, float], float], least: Callable[[int], float]) -> int:
        """The fastest candidate: as the plan has it, else by timing each now that could be, by the ``least`` time it can take. ``time`` is told what is fast
        ``enough``: nothing that is still to be timed can be faster."""
        if len(candidates) == 1:
            return candidates[0]
        if key not in self.plan:
            best = math.inf
            for i, candidate in enumerate(candidates):
                enough = min([best, *map(least, candidates[i + 1 :])])
                if least(candidate) < best and (spent := time(candidate, enough)) < best:
                    best, self.plan[key] = spent, candidate
        return self.plan[key] if self.plan[key] in candidates else candidates[0]

    def scratch(self, *sizes: int) -> list[int]:
        """Addresses of so many floats each, to time with: the same memory each time, as new memory takes as long to get as to use."""
        starts = [0]
        for n in sizes:
            starts.append(starts[-1] + (n + 31) // 16 * 16)
        if self._scratch.size < starts[-1]:
            self._scratch = np.ones(2 * starts[-1], np.float32)
        return [address(self._scratch) + 4 * start for start in starts[:-1]]
