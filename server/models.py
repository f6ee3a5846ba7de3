"""What the API takes and answers: the models of its routes, which are the client's too."""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from engine.data import Report
from engine.recipes.tasks import Task
from worker.records import (
    Attempt,
    Checkpoint,
    DatasetState,
    DoneEvent,
    Event,
    Fault,
    JobError,
    JsonObject,
    Labels,
    LogEvent,
    MetricsEvent,
    ModelVersion,
    ReportEvent,
    Spec,
    StateChange,
    StateEvent,
    checksum,
    event_adapter,
)
from worker.states import ENDED, JobState, Request

T = TypeVar("T")
Row = TypeVar("Row", "JobSummary", "DatasetInfo", "ModelInfo", "WeightsInfo")
Seconds = Annotated[float, Field(description="Seconds since 1970.")]


class Model(BaseModel):
    """What the models have in common. Attributes that a newer server adds are ignored."""

    model_config = ConfigDict(frozen=True)


class Page(Model, Generic[T]):
    """A part of a list; the next one follows with ``after=last_id``."""

    model_config = ConfigDict(json_schema_extra={"description": "A part of a list; the next one follows with `after=last_id`."})
    data: list[T]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Items(Model, Generic[T]):
    """A whole list."""

    model_config = ConfigDict(json_schema_extra={"description": "A whole list."})
    data: list[T]


class Problem(Model):
    """An error, as RFC 9457 has it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[Fault] = Field([], description="Every fault, with its place in the spec or the request.")
    request_id: str | None = Field(None, description="Names the request in the server's log.")


class JobProgress(Model):
    """How far a job has come."""

    step: int
    total_steps: int
    epoch: int
    epochs: int
    fraction: float = Field(description="From 0 to 1.")


class JobSummary(Model):
    """A job, without what is long."""

    id: str
    name: str
    state: JobState
    reason: str | None
    labels: Labels
    attempt: int
    created: Seconds
    started: Seconds | None
    finished: Seconds | None
    dataset: str
    queue: str
    worker: str | None
    points: int = Field(description="The number of metric points so far.")
    progress: JobProgress | None
    eta_s: float | None = Field(description="Seconds left at the speed so far.")
    error: JobError | None
    results: JsonObject | None
    actions: list[Request] = Field(description="What may be requested of the job now.")


class JobDetail(JobSummary):
    """A job."""

    spec: Spec = Field(description="See GET /v1/schema.")
    model: JsonObject | None = Field(description="What the job's models say of themselves: classes, input, transform.")
    history: list[StateChange]
    attempts: list[Attempt]
    checksum: str = Field(description="CRC-32 of the metric points so far.")
    queue_position: int | None = Field(description="1 is next; None if the job is not queued.")


class Update(Model):
    """What may be changed of a job or a dataset; what is left out stays."""

    model_config = ConfigDict(extra="forbid")
    name: str | None = Field(None, max_length=200)
    labels: Labels | None = Field(None, description="Replaces all labels.")


class Extension(Model):
    """How much further a job is to train."""

    model_config = ConfigDict(extra="forbid")
    epochs: int = Field(ge=1, le=1_000_000, description="How many epochs more.")


class SpecExample(Model):
    """A spec to begin with; `data.dataset` is left to be named."""

    name: str
    title: str
    description: str
    dataset: str = Field(description="Which datasets it is for.")
    spec: Spec


class SuggestionRequest(Model):
    """What to suggest a spec for."""

    model_config = ConfigDict(extra="forbid")
    dataset: str = Field(max_length=100, description="A dataset that is ready.")
    task: Task | None = Field(None, description="What is to be learned; left out: the likeliest.")


class Suggestion(Model):
    """A spec made for a dataset, which passes the check."""

    task: Task
    tasks: list[Task] = Field(description="What the dataset allows, the likeliest first.")
    spec: Spec


class DatasetInfo(Model):
    """A dataset, with the report of its validation."""

    id: str
    name: str
    labels: Labels
    format: str
    state: DatasetState
    size_bytes: int
    created: Seconds
    progress: float = Field(description="The share that has been read, from 0 to 1.")
    report: Report | None


class Worker(Model):
    """A live worker."""

    name: str
    host: str
    pid: int
    queue: str
    device: str
    python: str
    cpus: int
    memory_bytes: int
    job: str | None
    state: Literal["idle", "busy"]
    seen: Seconds


class LayerRow(Model):
    """A line of the per-layer table, for one sample."""

    pointer: str = Field(description="The layer's place in the spec.")
    name: str
    type: str
    output: list[int]
    parameters: int
    flops: int
    activation_bytes: int


class CheckResult(Model):
    """What the check of a spec found."""

    spec: Spec = Field(description="With every default and every size filled in.")
    layers: list[LayerRow]
    parameters: int
    flops: int
    activation_bytes: int
    batch_size: int
    peak_bytes: int
    fixed_bytes: int
    input: list[int]
    output: list[int]
    worker_memory_bytes: int
    largest_batch: int | None = Field(description="The largest batch that a live worker's memory allows; None without a worker.")
    dataset_notes: list[str]


class EventPage(Model):
    """A part of a job's log."""

    data: list[Event]
    first_seq: int | None = Field(None, description="Left out of a page without events, as `last_seq` is.")
    last_seq: int | None = Field(None, description="Give it as `after` to read on.")
    has_more: bool


class MetricPoint(Model):
    """A point of the history."""

    seq: int
    step: int
    epoch: int
    split: Literal["train", "val", "test"]
    values: JsonObject
    variant: str | None = None
    samples_per_s: float | None = None


class Metrics(Model):
    """The history of a job."""

    data: list[MetricPoint]
    points: int = Field(description="The number of points of the whole history.")
    checksum: str
    complete: bool = Field(description="Whether the job has ended.")


def _not_reserved(name: str) -> str:
    if name == "latest" or name.startswith(("job_", "ds_")):
        raise ValueError("expected another name: 'latest', 'job_..' and 'ds_..' have a meaning of their own")
    return name


_Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$"), AfterValidator(_not_reserved)]
ModelName = Annotated[_Name, Field(examples=["digits"])]
Alias = Annotated[_Name, Field(examples=["production"])]


class NewVersion(Model):
    """A model to give a name to."""

    model_config = ConfigDict(extra="forbid")
    name: ModelName
    job: str = Field(max_length=100, description="The job whose model it is.")
    step: str = Field("best", max_length=20, description="The checkpoint's number, `latest` or `best`.")
    aliases: list[Alias] = Field([], max_length=20, description="Aliases that are to name this version from now on.")


class AliasTarget(Model):
    """What an alias is to name."""

    model_config = ConfigDict(extra="forbid")
    version: int = Field(ge=1, le=1_000_000_000)


class ModelInfo(Model):
    """A named model. `NAME`, `NAME@ALIAS` and `NAME@NUMBER` may stand wherever the API takes a job whose model is used."""

    id: str = Field(description="Its name.")
    created: Seconds
    versions: list[ModelVersion]
    aliases: dict[str, int]


class WeightsInfo(Model):
    """A safetensors file that was uploaded; a spec's `init_from: {"weights": ID}` starts from it."""

    id: str
    name: str
    size_bytes: int
    created: Seconds
    arrays: int = Field(description="The number of arrays in the file.")
    parameters: int = Field(description="The number of elements of all arrays.")


class Prediction(Model):
    """The answer for one sample; what the task does not have is left out."""

    name: str | None = Field(None, description="The name of the file.")
    label: str | None = Field(None, description="The most probable class.")
    probability: float | None = None
    probabilities: dict[str, float] | None = Field(None, description="Of all classes, the most probable first.")
    labels: list[str] | None = Field(None, description="Of several labels, those above one half.")
    numbers: JsonValue = Field(None, description="In the shape of the target.")
    mask_png: str | None = Field(None, description="A map of class numbers as a grey PNG, in base64.")
    saliency_png: str | None = Field(None, description="Where the model looked, as a grey PNG in base64; with `explain=gradients`.")
    error: str | None = Field(None, description="Why there is no answer for this sample.")


class Predictions(Model):
    """The answers of one model, in the order of the samples."""

    job: str
    step: int
    data: list[Prediction]


class LogLines(Model):
    """The output of a run."""

    data: list[LogEvent]


class SignIn(Model):
    """An API key, as the page sends it once."""

    model_config = ConfigDict(extra="forbid")
    key: str = Field(min_length=1, max_length=200)


class SessionInfo(Model):
    """Who is signed in."""

    keys: bool = Field(description="Whether API keys are needed.")
    owner: str | None = Field(description="The name of the key; None where keys are off.")


class Health(Model):
    """Whether the server serves."""

    status: Literal["ok", "ready"]


def page(rows: list[Row], has_more: bool) -> Page[Row]:
    """A page of things that have ids."""
    return Page[Row](data=rows, first_id=rows[0].id if rows else None, last_id=rows[-1].id if rows else None, has_more=has_more)


__all__ = [
    "page",
    "ENDED", "Attempt", "Checkpoint", "DatasetState", "DoneEvent", "Event", "Fault", "JobState", "JsonObject", "Labels", "LogEvent",
    "MetricsEvent", "ReportEvent", "Request", "Spec", "StateEvent", "checksum", "event_adapter",
]  # fmt: skip
