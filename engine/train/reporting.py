"""Which epochs have a report: as many as cost less than 1% of the time, the last, and the best, whose report may come late."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from engine.reports import Collector
from engine.train.records import Report

SHARE = 0.005
"""Half of what is promised: two reports come however short the epochs are."""


@dataclass
class _Evaluated:
    collected: Collector
    split: str
    epoch: int
    step: int


class Reporting:
    """The reports of a variant. Epochs of some milliseconds, which a report would make longer, are passed over until one can be afforded."""

    def __init__(self, variant: str | None) -> None:
        self._variant = variant
        self._cost, self._since = 0.0, time.perf_counter()
        self._best: _Evaluated | None = None

    def epoch(self, collected: Collector, epoch: int, step: int, best: bool, last: bool) -> Iterator[Report]:
        """The reports due at the end of an epoch: of this one, and at the last of the best one, where that had none."""
        now = _Evaluated(collected, "val", epoch, step)
        if best:
            self._best = now
        if last or self._cost <= SHARE * (time.perf_counter() - self._since):
            if self._best is now:
                self._best = None
            yield from self.made(now)
        if last and self._best is not None:
            yield from self.made(self._best)

    def test(self, collected: Collector, epoch: int, step: int) -> Iterator[Report]:
        return self.made(_Evaluated(collected, "test", epoch, step))

    def made(self, of: _Evaluated) -> Iterator[Report]:
        """The report, if there is anything to be said."""
        began = time.perf_counter()
        values = of.collected.report()
        self._since = time.perf_counter()
        self._cost = self._since - began
        if values is not None:
            yield Report(of.step, of.epoch, of.split, values, self._variant)
