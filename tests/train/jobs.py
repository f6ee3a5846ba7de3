"""Small jobs."""

from __future__ import annotations

from typing import Any

from engine.data.source import Source
from engine.spec import check
from engine.train import EpochEnd, Metrics, Run

LINEAR: list[dict[str, Any]] = [{"type": "Linear", "out_features": 2}]


def job(source: Source, loss: str | dict[str, Any] = "CrossEntropyLoss", model: list[Any] | None = None, **changes: Any) -> Run:
    """A run of a small spec."""
    data = {"dataset": "d", "batch_size": 16, "validation": 0.25, **changes.pop("data", {})}
    spec = {
        "epochs": 3, "model": model or LINEAR, "loss": {"type": loss} if isinstance(loss, str) else loss, "optimizer": {"type": "SGD", "lr": 0.05},
        "data": data, **changes,
    }  # fmt: skip
    return Run(check(spec), source)


def points(run: Run, split: str | None = None) -> list[Metrics]:
    """The history of a run, to its end."""
    return [r for r in run if isinstance(r, Metrics) and split in (None, r.split)]


def goes_on_exactly(run: Run, epoch: int) -> list[Metrics]:
    """The history of a run, which one that stopped after an epoch and went on with another run has too."""
    plan, seen = dict[str, int](), list[Metrics]()
    whole, first, again = (Run(run.spec, run.source, plan=plan, find_weights=run._find_weights) for _ in range(3))
    history = points(whole)
    for r in first:
        if isinstance(r, Metrics):
            seen.append(r)
        elif isinstance(r, EpochEnd) and r.epoch == epoch:
            break
    again.restore(first.state())
    assert [p.as_dict() for p in seen + points(again)] == [p.as_dict() for p in history]
    return history
