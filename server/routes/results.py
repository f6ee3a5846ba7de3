"""What a job has brought: its history, its output, its checkpoints."""

from __future__ import annotations

import csv
import io
import json
from collections import deque
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse

from server.dependencies import Held, JobId, Services
from server.models import Checkpoint, Items, LogLines, MetricPoint, Metrics
from server.problems import ProblemError, Responses, documented, not_found
from server.routes.jobs import find
from server.thinning import thinned
from worker import checkpoints, conversion, events, lookup
from worker.records import LogEvent, MetricsEvent, ReportEvent
from worker.states import ENDED

router = APIRouter(prefix="/v1", tags=["results"], responses=documented(401, 403, 404, 422, 503))
_CSV: Responses = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}


@router.get(
    "/jobs/{job_id}/metrics", operation_id="get_metrics", response_model=Metrics, response_model_exclude_none=True, responses=_CSV,
    summary="The history of losses and metrics, whole or thinned",
)  # fmt: skip
def metrics(
    held: Held, job_id: JobId, name: Annotated[str | None, Query(max_length=200, description="One value, such as loss.")] = None,
    split: Annotated[Literal["train", "val", "test"] | None, Query(description="Only points of this split.")] = None,
    max_points: Annotated[int | None, Query(ge=1, le=100_000, description="The largest number of points of each curve (variant and split).")] = None,
    format: Annotated[Literal["json", "csv"], Query(description="`csv` is a table with a column for each value.")] = "json",
) -> Metrics | Response:  # fmt: skip
    """Thinned, a curve keeps the lowest and the highest value of every stretch, and its last point."""
    job = find(held, job_id)
    rows = [
        e
        for e in events.read(held.redis, held.deployment, job_id)
        if isinstance(e, MetricsEvent) and split in (None, e.split) and (name is None or name in e.values)
    ]
    points = [_point(row, name) for row in (rows if max_points is None else thinned(rows, max_points))]
    if format == "json":
        return Metrics(data=points, points=job.points, checksum=job.checksum, complete=job.state in ENDED)
    return Response(_table(points), media_type="text/csv")


def _point(row: MetricsEvent, name: str | None) -> MetricPoint:
    values = {n: v for n, v in row.values.items() if name in (None, n)}
    return MetricPoint(
        seq=row.seq, step=row.step, epoch=row.epoch, split=row.split, values=values, variant=row.variant, samples_per_s=row.samples_per_s
    )


def _table(points: list[MetricPoint]) -> str:
    """The points as CSV, a column for each value."""
    text, names = io.StringIO(), sorted({n for p in points for n in p.values})
    table = csv.writer(text)
    table.writerow(["step", "epoch", "split", "variant", *names])
    for p in points:
        table.writerow([p.step, p.epoch, p.split, p.variant or "", *(_cell(p.values.get(n, "")) for n in names)])
    return text.getvalue()


def _cell(value: Any) -> Any:
    """A value as a table has it: what is not a number as JSON."""
    return json.dumps(value) if isinstance(value, dict | list) else value


@router.get("/jobs/{job_id}/logs", operation_id="get_logs", response_model_exclude_none=True, summary="The output of a job's runs")
def logs(
    held: Held, job_id: JobId,
    tail: Annotated[int, Query(ge=1, le=10_000, description="The number of lines, counted from the end.")] = 1000,
    level: Annotated[Literal["debug", "info", "warning", "error"], Query(description="The lowest level to show.")] = "debug",
) -> LogLines:  # fmt: skip
    """Warnings, decisions of the compiler, checkpoints, tracebacks."""
    find(held, job_id)
    levels = ("debug", "info", "warning", "error", "critical")
    shown = levels[levels.index(level) :]
    lines = (e for e in events.read(held.redis, held.deployment, job_id) if isinstance(e, LogEvent) and e.level in shown)
    return LogLines(data=list(deque(lines, tail)))


@router.get(
    "/jobs/{job_id}/report",
    operation_id="get_report",
    response_model_exclude_none=True,
    summary="How good the model is, and where it fails",
)
def report(
    held: Held, job_id: JobId,
    epoch: Annotated[int | None, Query(ge=1, le=1 << 53, description="Left out: the last one that has a report.")] = None,
    split: Annotated[Literal["val", "test"] | None, Query(description="Only a report of this split.")] = None,
    variant: Annotated[str | None, Query(max_length=200, description="Only a report of this variant.")] = None,
) -> ReportEvent:  # fmt: skip
    """Confusion, precision, recall and F1 of each class, calibration and the most wrong samples; residuals and the worst rows; IoU; perplexity."""
    found = None
    for event in events.read(held.redis, held.deployment, find(held, job_id).id):
        if (
            isinstance(event, ReportEvent)
            and epoch in (None, event.epoch)
            and split in (None, event.split)
            and variant in (None, event.variant)
        ):
            found = event
    if found is None:
        raise not_found("report of", f"{job_id}, epoch {'any' if epoch is None else epoch}")
    return found


@router.get("/jobs/{job_id}/checkpoints", operation_id="list_checkpoints", summary="The checkpoints of a job")
def saved(held: Held, job_id: JobId) -> Items[Checkpoint]:
    """Oldest first."""
    return Items(data=checkpoints.listed(held.deployment.job(find(held, job_id).id)))


@router.get(
    "/jobs/{job_id}/checkpoints/{step}", operation_id="download_checkpoint", response_class=FileResponse, summary="A model as a file",
    responses={**documented(409), 200: {"content": {
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}, "text/markdown": {"schema": {"type": "string"}},
    }}},
)  # fmt: skip
def download(
    held: Held,
    job_id: JobId,
    step: Annotated[str, PathParameter(description="A checkpoint's number, or `latest`, or `best`.", examples=["best"])],
    format: Annotated[Literal["safetensors", "torch", "onnx", "card"], Query(description="`card` is a page in Markdown.")] = "safetensors",
) -> FileResponse:
    """The keys are those of PyTorch's `state_dict`; an ONNX file has preprocessing and class names inside. For `job_id`, a named model will do."""
    number, path = model_file(held, job_id, step)
    if format != "safetensors":
        path = _converted(held, path, format)
    kind = "text/markdown" if format == "card" else "application/octet-stream"
    return FileResponse(path, media_type=kind, filename=f"{job_id}-{number}{path.suffix}")


def _converted(held: Services, path: Path, format: str) -> Path:
    """The model in another format, beside its file."""
    try:
        return conversion.converted(path, path.with_suffix(conversion.SUFFIXES[format]), format, held.deployment.environment())
    except conversion.NotConvertible as error:
        raise ProblemError(409, f"the model has no {format} form: {error}") from None


def model_file(held: Services, job_id: str, step: str) -> tuple[int, Path]:
    """See :func:`worker.lookup.model_file`. Raises ProblemError 404."""
    try:
        return lookup.model_file(held.redis, held.deployment, job_id, step)
    except lookup.NoSuchModel as error:
        raise not_found(error.what, error.name) from None
