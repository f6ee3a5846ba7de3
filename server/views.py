"""Records as the API shows them."""

from __future__ import annotations

import time

from server.models import DatasetInfo, JobDetail, JobProgress, JobSummary, ModelInfo, WeightsInfo, Worker
from worker.records import Dataset, Job, Progress, RegisteredModel, Spec, Weights, WorkerInfo
from worker.states import JobState, requests


def job_summary(job: Job) -> JobSummary:
    """A job as a list shows it."""
    return JobSummary(
        id=job.id, name=job.name, state=job.state, reason=job.reason, labels=job.labels, attempt=job.attempt, created=job.created_ms / 1000,
        started=_seconds(job.started_ms), finished=_seconds(job.finished_ms), dataset=job.dataset, queue=job.queue, worker=job.worker,
        points=job.points, progress=_progress(job.progress, job.spec), eta_s=_eta_s(job), error=job.error, results=job.results,
        actions=requests(job.state),
    )  # fmt: skip


def job_detail(job: Job, queue_position: int | None) -> JobDetail:
    """A job as a whole."""
    return JobDetail(
        **dict(job_summary(job)), spec=job.spec, model=job.model, history=list(job.history), attempts=job.attempts, checksum=job.checksum,
        queue_position=queue_position,
    )  # fmt: skip


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


def _progress(p: Progress | None, spec: Spec) -> JobProgress | None:
    if p is None:
        return None
    fraction = p.step / max(1, p.total_steps)
    return JobProgress(step=p.step, total_steps=p.total_steps, epoch=p.epoch, epochs=spec["epochs"], fraction=fraction)


def _eta_s(job: Job) -> float | None:
    p = job.progress
    if p is None or job.state != JobState.RUNNING or p.step <= p.from_step:
        return None
    return round((time.time() - p.since) / (p.step - p.from_step) * (p.total_steps - p.step), 1)


def model_info(model: RegisteredModel) -> ModelInfo:
    """A named model as the API shows it."""
    return ModelInfo(id=model.name, created=model.created_ms / 1000, versions=list(model.versions), aliases=model.aliases)


def weights_info(weights: Weights) -> WeightsInfo:
    """Uploaded weights as the API shows them."""
    return WeightsInfo(
        id=weights.id, name=weights.name, size_bytes=weights.size_bytes, created=weights.created_ms / 1000, arrays=weights.arrays,
        parameters=weights.parameters,
    )  # fmt: skip


def dataset_info(dataset: Dataset) -> DatasetInfo:
    """A dataset as the API shows it."""
    return DatasetInfo(
        id=dataset.id, name=dataset.name, labels=dataset.labels, format=dataset.format, state=dataset.state, size_bytes=dataset.size_bytes,
        created=dataset.created_ms / 1000, progress=dataset.progress, report=dataset.report,
    )  # fmt: skip


def worker(info: WorkerInfo) -> Worker:
    """A worker as the API shows it."""
    return Worker(**info.model_dump(exclude={"schema_version", "seen_ms"}), seen=info.seen_ms / 1000)
