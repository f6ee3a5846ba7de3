"""Which epochs have a report: as many as cost less than 1% of the time, by an estimate, so that a run that goes on from a state has the same ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.reports import Collected
from engine.train.records import Progress, Report

SHARE = 0.008
_REPORT_S, _SAMPLE_S, _OUTPUT_S = 1.5e-3, 4e-6, 1e-7
"""What a report takes, in all, for each sample and for each output, in seconds of a busy core."""
_STEP_S, _FLOPS = 0.6e-3, 1e10
"""What a step takes at least, and how many additions and multiplications a second has, on the same core."""


@dataclass(frozen=True)
class Costs:
    """Of an epoch of training and of its report, in seconds: estimates, and so the same on every machine."""

    epoch_s: float
    report_s: float

    @classmethod
    def of(cls, steps: int, samples: int, sample_flops: int, held_out: int, outputs: int) -> Costs:
        """``sample_flops`` are those of one sample's forward pass; ``outputs`` how many numbers the model gives for one."""
        training = steps * _STEP_S + 3 * sample_flops * samples / _FLOPS
        return cls(training, _REPORT_S + held_out * (_SAMPLE_S + outputs * _OUTPUT_S))


class Reporting:
    """The reports of a variant. What an epoch may spend on them adds up in ``progress.report_budget`` until one can be afforded; the best epoch may borrow, and has
    its report at the end where that was not enough."""

    def __init__(self, variant: str | None, costs: Costs) -> None:
        self._variant, self._costs = variant, costs
        self._best: Report | None = None

    def epoch(self, collected: Collected, p: Progress, best: bool, last: bool) -> Iterator[Report]:
        """The reports due at the end of an epoch."""
        if not collected.has_report:
            return
        now = Report(p.step, p.epoch, "val", collected, self._variant)
        p.report_budget += SHARE * self._costs.epoch_s
        due = last or p.report_budget >= (0 if best else self._costs.report_s)
        if best:
            self._best = None if due else now
        if last and self._best is not None:
            yield self._best
        if due:
            p.report_budget -= self._costs.report_s
            yield now

    def test(self, collected: Collected, epoch: int, step: int) -> Iterator[Report]:
        """The report of the test split."""
        if collected.has_report:
            yield Report(step, epoch, "test", collected, self._variant)
