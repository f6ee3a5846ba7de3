"""The records of the service: each a frozen model, which :mod:`worker.codec` reads from Redis and writes to it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from itertools import groupby
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from engine.data import Options, Report
from worker.states import JobState

SCHEMA_VERSION = 2
"""1: records of version 0.1.0, which did not say so. 2: ``labels``; the worker of each attempt in ``history``."""

Spec = dict[str, Any]  # the engine's own form of it: its schema is generated, its check is `engine.spec.check`
JsonObject = dict[str, JsonValue]
Labels = dict[
    Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[^\x00-\x1f\x7f=,]+$")],
    Annotated[str, Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")],
]


class Record(BaseModel):
    """What all records have in common."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)
    schema_version: int = SCHEMA_VERSION


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True)


class Fault(_Part):
    """One thing that is wrong, at a JSON pointer (RFC 6901) into the spec or the request."""

    pointer: str
    code: str
    detail: str
    expected: JsonValue = None
    got: JsonValue = None


class JobError(_Part):
    """Why a job failed: a code, a sentence, and the place in the spec."""

    code: str
    message: str
    pointer: str = ""
    step: int | None = None
    layer: str | None = None
    checkpoint: int | None = Field(None, description="The step of the last checkpoint whose parameters are finite.")
    errors: tuple[Fault, ...] = ()


class StateChange(_Part):
    """A line of a job's history."""

    state: JobState
    time: float = Field(description="Seconds since 1970.")
    attempt: int
    reason: str | None = None
    worker: str | None = None


class Attempt(_Part):
    """One process's work at a job."""

    number: int
    worker: str | None
    started: float | None = Field(description="Seconds since 1970; None before a worker has taken the job.")
    ended: float | None
    outcome: JobState = Field(description="The last state of the attempt, or the state that followed it.")
    reason: str | None


class Progress(_Part):
    """How far a run has come; ``from_step`` and ``since`` say where and when this attempt began."""

    step: int
    total_steps: int
    epoch: int
    from_step: int = 0
    since: float = 0.0


class Extension(_Part):
    """Where an extended job goes on: the step of its last checkpoint, and the number of metric points and reports logged by the end."""

    step: int
    points: int
    reports: int = 0


class Job(Record):
    """A job: the truth about it."""

    id: str
    state: JobState
    attempt: int = 1
    name: str = ""
    labels: Labels = {}
    owner: str = ""
    queue: str
    dataset: str
    spec: Spec
    created_ms: int = Field(alias="created")
    started_ms: int | None = Field(None, alias="started")
    finished_ms: int | None = Field(None, alias="finished")
    waiting_since_ms: int | None = Field(None, alias="waiting_since")
    reason: str | None = None
    error: JobError | None = None
    results: JsonObject | None = None
    model: JsonObject | None = None
    progress: Progress | None = None
    history: tuple[StateChange, ...] = ()
    extension: Extension | None = None
    seq: int = 0
    points: int = 0
    crc: int = 0
    reports: int = 0
    batch: int = 0
    failures: int = 0
    archived: int = 0
    runner: str | None = None
    worker: str | None = None
    host: str | None = None
    pid: int | None = None

    @property
    def checksum(self) -> str:
        """Of all metric points so far, as the ``done`` event has it."""
        return f"{self.crc:08x}"

    @property
    def attempts(self) -> list[Attempt]:
        """The history by attempt."""
        return [_attempt(number, list(changes)) for number, changes in groupby(self.history, lambda c: c.attempt)]


def _attempt(number: int, changes: list[StateChange]) -> Attempt:
    started = next((c for c in changes if c.state == JobState.STARTING), None)
    last = changes[-1]
    over = last.state not in (JobState.QUEUED, JobState.STARTING, JobState.RUNNING)
    return Attempt(
        number=number, worker=started.worker if started else None, started=started.time if started else None,
        ended=last.time if over else None, outcome=last.state, reason=last.reason,
    )  # fmt: skip


class DatasetState(StrEnum):
    """Where a dataset stands."""

    VALIDATING = "validating"
    READY = "ready"
    REJECTED = "rejected"


class Dataset(Record):
    """An upload, and what validating it found."""

    id: str
    name: str
    labels: Labels = {}
    format: str
    size_bytes: int
    created_ms: int = Field(alias="created")
    state: DatasetState
    report: Report | None = None
    options: Options = Options()
    tries: int = 1
    touched_ms: int = Field(0, alias="touched")
    progress: float = Field(0, description="The share that has been read, from 0 to 1.")


class WorkerInfo(Record):
    """What a live worker says of itself."""

    name: str
    host: str
    pid: int
    queue: str
    device: str
    python: str
    cpus: int
    memory_bytes: int
    job: str | None = None
    state: Literal["idle", "busy"]
    seen_ms: int = Field(alias="seen")


class ModelVersion(_Part):
    """A model that was given a name: a copy of a checkpoint of a job."""

    number: int
    job: str
    step: int
    created: float = Field(description="Seconds since 1970.")


class Weights(Record):
    """A safetensors file that was uploaded, for models to start from."""

    id: str
    name: str
    size_bytes: int
    created_ms: int = Field(alias="created")
    arrays: int
    parameters: int


class RegisteredModel(Record):
    """The versions of a named model, oldest first, and its aliases; of each alias the versions it named before, newest last."""

    name: str
    created_ms: int = Field(alias="created")
    versions: tuple[ModelVersion, ...] = ()
    aliases: dict[str, int] = {}
    earlier: dict[str, tuple[int, ...]] = {}

    def version(self, which: str) -> ModelVersion | None:
        """The version of a number or an alias; the newest for ``latest`` or nothing."""
        if which in ("", "latest"):
            return self.versions[-1] if self.versions else None
        number = int(which) if which.isascii() and which.isdecimal() else self.aliases.get(which)
        return next((v for v in self.versions if v.number == number), None)


class Checkpoint(_Part):
    """A saved state: where the run stood, and the values of the epoch before."""

    step: int
    epoch: int
    points: int = Field(0, description="The number of metric points logged by then.")
    best: int | None = Field(None, description="The step of the best checkpoint so far.")
    values: dict[str, float] = {}
    variant: str | None = None
    size_bytes: int = 0


# -- events


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True)
    seq: int = Field(0, description="The event's place in the log: 1, 2, 3, ..")
    time: float = Field(description="Seconds since 1970.")
    attempt: int


class StateEvent(_Event):
    """The job changed its state."""

    type: Literal["state"] = "state"
    state: JobState
    reason: str | None = None


class MetricsEvent(_Event):
    """A point of the history."""

    type: Literal["metrics"] = "metrics"
    step: int
    epoch: int
    split: Literal["train", "val", "test"]
    values: JsonObject
    variant: str | None = None
    samples_per_s: float | None = None


class LogEvent(_Event):
    """A line of the run's output."""

    type: Literal["log"] = "log"
    level: Literal["debug", "info", "warning", "error", "critical"] = "info"
    message: str
    step: int | None = None
    variant: str | None = None
    logger: str | None = None


class ReportEvent(_Event):
    """An evaluation of the model at the end of an epoch."""

    type: Literal["report"] = "report"
    step: int
    epoch: int
    split: Literal["val", "test"]
    variant: str | None = None
    report: JsonObject = Field(
        description="By `task`: confusion, values of each class, calibration, the most wrong samples; residuals; perplexity."
    )


class DoneEvent(_Event):
    """The last event: how the job ended, and what proves that a reader has every point."""

    type: Literal["done"] = "done"
    state: JobState
    points: int
    checksum: str = Field(description="CRC-32 over the canonical bytes of all metric points, in hexadecimal.")


Event = Annotated[StateEvent | MetricsEvent | LogEvent | ReportEvent | DoneEvent, Field(discriminator="type")]
events_adapter: TypeAdapter[list[Event]] = TypeAdapter(list[Event])
event_adapter: TypeAdapter[Event] = TypeAdapter(Event)


def dump_event(event: Event) -> bytes:
    """An event as JSON; without its number where it has none yet."""
    return event_adapter.dump_json(event, exclude_none=True, exclude=None if event.seq else {"seq"})


_POINT = ("epoch", "split", "step", "values", "variant")


def canonical(point: Mapping[str, JsonValue]) -> bytes:
    """The bytes of a metric point that the checksum of a history is made of, in the order of the log."""
    return json.dumps({k: point[k] for k in _POINT if k in point}, sort_keys=True, separators=(",", ":")).encode()


def checksum(points: Iterable[Mapping[str, JsonValue]], crc: int = 0) -> int:
    """CRC-32 over the canonical bytes of metric points; ``crc`` is that of the points before them."""
    for point in points:
        crc = zlib.crc32(canonical(point), crc)
    return crc
