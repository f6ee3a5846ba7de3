"""Which epoch is the best, when training stops, and what the schedule of a plateau looks at: one value, one direction."""

from __future__ import annotations

from typing import Any

from engine.metrics import higher_is_better
from engine.train.records import Best, Progress


class Monitor:
    """The value of a spec that says how good an epoch was: what early stopping names, else the held-out loss, else the training loss."""

    def __init__(self, spec: dict[str, Any], held_out: bool) -> None:
        self._stopping: dict[str, Any] | None = spec["early_stopping"]
        self.name: str = self._stopping["monitor"] if self._stopping else "val_loss" if held_out else "train_loss"
        given = self._stopping["mode"] if self._stopping else None
        self.mode: str = given or ("max" if higher_is_better(self.name) else "min")

    def better(self, value: float, than: float | None, by: float = 0.0) -> bool:
        """Whether ``value`` beats another by more than a margin."""
        return than is None or (value < than - by if self.mode == "min" else value > than + by)

    def judge(self, values: dict[str, Any], p: Progress) -> bool:
        """Whether an epoch with these values is the best so far. ``min_delta`` and ``patience`` decide when to stop, and nothing else."""
        value = values.get(self.name)
        best = value is not None and self.better(value, p.best)
        if best:
            p.best = value
        if value is not None and self.better(value, p.bar, self._stopping["min_delta"] if self._stopping else 0.0):
            p.bar, p.stale = value, 0
        else:
            p.stale += 1
            p.stopped = self._stopping is not None and p.stale >= self._stopping["patience"]
        return best

    def leader(self, bests: list[Best]) -> Best | None:
        """The best of several variants' best epochs; of equal ones the first."""
        found: Best | None = None
        for b in bests:
            if self.better(b.value, found.value if found else None):
                found = b
        return found
