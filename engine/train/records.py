"""What a run yields, keeps, and raises."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

from engine.reports import Collected
from engine.tensor import Tensor


@dataclass
class Metrics:
    """One point of the history: of a training step (split ``train``), or of samples held out (``val``, ``test``).

    ``samples_per_s``, at the last point of an epoch, is how many samples a second the epoch's training took. It is a measurement, and no part of the history
    that a run repeats bit for bit.
    """

    step: int
    epoch: int
    split: str
    values: dict[str, Any]
    variant: str | None = None
    samples_per_s: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The point without what was measured of the machine."""
        point: dict[str, Any] = {"step": self.step, "epoch": self.epoch, "split": self.split, "values": self.values}
        if self.variant is not None:
            point["variant"] = self.variant
        return point

    def as_event(self) -> dict[str, Any]:
        """The point with it."""
        return self.as_dict() if self.samples_per_s is None else {**self.as_dict(), "samples_per_s": self.samples_per_s}


@dataclass
class Report:
    """How good the model was on the samples held out at the end of an epoch, and where it failed (``engine.reports``).

    ``values``, as JSON has them, are computed when they are asked for first: an epoch of milliseconds would take longer for them, and who takes the records may
    want those of some epochs only.
    """

    step: int
    epoch: int
    split: str
    collected: Collected
    variant: str | None = None

    @functools.cached_property
    def values(self) -> dict[str, Any]:
        found = self.collected.report()
        assert found is not None  # there is no such record
        return found

    def as_dict(self) -> dict[str, Any]:
        """The report with its place."""
        return {"step": self.step, "epoch": self.epoch, "split": self.split, "variant": self.variant, **self.values}


@dataclass
class EpochEnd:
    """The end of an epoch: ``best`` if it is its variant's best so far by the monitored value, ``leads`` if it is the best of all variants so far,
    ``last`` if its variant trains no more."""

    epoch: int
    step: int
    variant: str | None
    best: bool
    leads: bool = False
    last: bool = False


@dataclass
class Best:
    """The best epoch of a variant by the monitored value. ``step`` counts the steps of all variants, ``own_step`` its own."""

    variant: str | None
    index: int
    value: float
    step: int
    epoch: int
    own_step: int


@dataclass
class Progress:
    """Where a variant stands."""

    epoch: int = 0  # the epoch under way, or done when no batch of the next has been
    batch: int = 0  # steps done of it; 0 between epochs
    step: int = 0
    total: float = 0.0  # of the epoch's losses, each by its weight
    weight: float = 0.0
    best: float | None = None
    bar: float | None = None  # what a value has to beat, for patience
    stale: int = 0
    stopped: bool = False
    report_budget: float = 0.02  # seconds that reports may take by now, of the two seconds that a job takes to begin


@dataclass
class State:
    """All that a run needs to go on: tensors, and what fits in JSON. ``best``: the parameters of the best model so far."""

    tensors: dict[str, Tensor]
    plain: dict[str, Any]
    model: dict[str, Tensor] = field(default_factory=dict)
    best: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Cause:
    """Where numbers first stopped being finite: ``what`` (``output``, ``gradient``, ..) of which layer, at which step."""

    step: int
    what: str
    layer: str = ""

    def __str__(self) -> str:
        return f"{self.what}{' of ' + self.layer if self.layer else ''} was not finite at step {self.step}"


class Diverged(ArithmeticError):
    """The loss became infinite or not a number. ``pointer`` is the part of the spec to look at."""

    def __init__(self, step: int, loss: float, cause: Cause | None = None, pointer: str = "/optimizer") -> None:
        first = f": first, {cause}" if cause else ""
        super().__init__(f"the loss became {loss} at step {step}{first}; a smaller learning rate, or normalized data, may help")
        self.step, self.loss, self.cause, self.pointer = step, loss, cause, pointer

    def as_dict(self) -> dict[str, Any]:
        """The error as a job's record has it."""
        found: dict[str, Any] = {"code": "diverged", "message": str(self), "pointer": self.pointer, "step": self.step}
        return {**found, "layer": self.cause.layer or None} if self.cause else found


@dataclass
class VariantEnd:
    """A variant that diverged; others run on."""

    variant: str | None
    error: Diverged
