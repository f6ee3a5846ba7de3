"""What the training loop would meet: batches, epochs, the schedule of the learning rate, what early stopping looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.data.source import Source
from engine.data.split import partition
from engine.spec import Problem, build_scheduler, registry
from engine.spec.builder import blame
from engine.spec.optimizing import small_optimizer

_MAX_EVALUATED, _MAX_EVALUATED_BYTES = 256, 64 << 20
_EPOCHS_TRIED = 2000


def evaluation_batch(spec: dict[str, Any], sample_bytes: int) -> int:
    """How many samples are evaluated at a time, of which one takes about ``sample_bytes``.

    Evaluation keeps nothing for gradients, so its batches can be larger than those of training.
    """
    return int(max(spec["data"]["batch_size"], min(_MAX_EVALUATED, _MAX_EVALUATED_BYTES // max(1, sample_bytes))))


@dataclass(frozen=True)
class Batches:
    """How many samples train and are held out, and in batches of which sizes."""

    train: int
    held_out: int
    steps: tuple[tuple[int, ...], ...]
    """The steps that there are, whole ones and the last: each the sizes of the batches that it accumulates, equal ones no more than twice."""
    evaluation_sizes: tuple[int, ...]

    @classmethod
    def of(cls, spec: dict[str, Any], source: Source, sample_bytes: int = 0) -> Batches:
        train, held = (len(part) for part in partition(source, spec))
        size = spec["data"]["batch_size"]
        usable = train // size * size if spec["data"]["drop_last"] else train
        steps = tuple(_step(n, size) for n in _sizes(usable, size * spec["gradient_accumulation"]))
        return cls(train, held, steps, _sizes(held, evaluation_batch(spec, sample_bytes)))


def _step(n: int, size: int) -> tuple[int, ...]:
    """The batches of a step on ``n`` samples."""
    whole, rest = divmod(n, size)
    return (size,) * min(whole, 2) + ((rest,) if rest else ())


def _sizes(n: int, size: int) -> tuple[int, ...]:
    """The sizes of parts that there are: the whole ones', and the last one's where it is smaller."""
    whole, rest = ((size,) if n >= size else ()), n % size
    return (*whole, rest) if rest else whole


def loop_problems(spec: dict[str, Any], source: Source) -> list[Problem]:
    """What leaves nothing to train on, to validate with or to watch."""
    problems, batches, data = [], Batches.of(spec, source), spec["data"]
    if not batches.steps:
        detail = f"drop_last leaves no batch: there are {batches.train} samples to train on, and batch_size is {data['batch_size']}"
        problems.append(Problem("/data/drop_last", "does_not_fit", detail, f"batch_size of at most {batches.train}", data["batch_size"]))
    if data["validation"] and not batches.held_out:
        n = batches.train
        detail = (
            f"validation of {data['validation']:g} of {n} samples holds out none: expected at least {0.51 / n:.2g}, or 0 for no validation"
        )
        problems.append(Problem("/data/validation", "too_small", detail, None, data["validation"]))
    return problems + _monitor_problems(spec, batches)


def _monitor_problems(spec: dict[str, Any], batches: Batches) -> list[Problem]:
    stopping = spec["early_stopping"]
    if not stopping or batches.held_out or not stopping["monitor"].startswith("val_"):
        return []
    detail = f"{stopping['monitor']} needs held-out samples: set /data/validation above 0"
    return [Problem("/early_stopping/monitor", "invalid", detail, None, stopping["monitor"])]


def schedule_problems(spec: dict[str, Any]) -> list[Problem]:
    """Goes through the schedule of the learning rate, a step an epoch: its beginning, and its end."""
    if not spec["scheduler"]:
        return []
    scheduler, epochs = build_scheduler(spec, small_optimizer(spec)), spec["epochs"]
    try:
        for _ in range(min(epochs, _EPOCHS_TRIED)):
            scheduler.step(*([1.0] if spec["scheduler"]["type"] == "ReduceLROnPlateau" else []))
        if epochs > _EPOCHS_TRIED and spec["scheduler"]["type"] != "ReduceLROnPlateau":
            scheduler.last_epoch = epochs - 1
            scheduler.step()
    except Exception as error:  # whatever it throws would end the job
        arguments = {k: v for k, v in spec["scheduler"].items() if k != "type"}
        found = blame(registry.schedulers()[spec["scheduler"]["type"]], arguments, error, "/scheduler")
        return [Problem(found.pointer, "does_not_fit", f"{found.detail} (the run has {epochs} epochs, a step each)", epochs, found.got)]
    return []
