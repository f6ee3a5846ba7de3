"""Jobs: check, submit, list, look at, change, control, delete."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response

from engine.check import FindWeights, check_targets, sample_shape, with_outputs
from engine.data import Report, Source, open_source
from engine.spec import Problem, SpecError, Summary, check, resolve_layers, summarize, variants
from server.dependencies import After, Body, Change, Held, JobId, Limit, Owner, Services, WithLabels, body_of
from server.examples import SPEC, UPDATE
from server.models import CheckResult, Extension, JobDetail, JobSummary, Page, page
from server.openapi import json_request
from server.problems import ProblemError, documented, not_found
from server.views import job_detail, job_summary
from worker import checkpoints, datasets, dispatch, idempotency, jobs, keys, listing, process, queue, starting
from worker.records import DatasetState, Job, Spec
from worker.states import ENDED, JobState, Request, transition

router = APIRouter(prefix="/v1", tags=["jobs"], responses=documented(401, 403, 422, 503))
_SPEC_BODY = json_request("JobSpec", SPEC)


def find(held: Services, job_id: str) -> Job:
    """The record of a job. Raises ProblemError 404."""
    job = jobs.get(held.redis, job_id) if keys.is_id(job_id) else None
    if job is None:
        raise not_found("job", job_id)
    return job


def detail(held: Services, job: Job) -> JobDetail:
    """A job as a whole; of one that waits for a worker that is not there, with that reason."""
    shown = job_detail(job, dispatch.queue_position(held.redis, job))
    if job.state != JobState.QUEUED or any(w.queue == job.queue for w in process.live(held.redis)):
        return shown
    return shown.model_copy(update={"reason": f"no live worker takes jobs of the queue {job.queue!r}"})


def ready_source(held: Services, name: str | None, at: str) -> Source:
    """The samples of the dataset that a request names at a pointer. Raises SpecError; ProblemError 409 while it is being validated."""
    if name is None:
        raise _no_dataset(at, "missing", "dataset is missing: expected the id of an uploaded dataset", "a dataset id")
    dataset = datasets.get(held.redis, name) if keys.is_id(name) else None
    if dataset is None:
        detail = f"there is no dataset {name!r:.100}: upload it first (POST /v1/datasets)"
        raise _no_dataset(at, "unknown_dataset", detail, "a dataset id", name)
    if dataset.state == DatasetState.REJECTED:
        reason = dataset.report.reason if dataset.report else None
        raise _no_dataset(at, "rejected_dataset", f"the dataset was rejected: {reason}", "a dataset that is ready", name)
    if dataset.state != DatasetState.READY:
        detail = f"the dataset {name} is still being validated ({dataset.progress:.0%}); ask again soon"
        raise ProblemError(409, detail, headers={"Retry-After": "1"})
    try:
        return open_source(held.deployment.dataset(dataset.id) / datasets.PREPARED)
    except FileNotFoundError:
        raise ProblemError(409, f"the files of dataset {dataset.id} are not on this server's storage") from None


def _no_dataset(at: str, code: str, detail: str, expected: str, got: str | None = None) -> SpecError:
    return SpecError([Problem(at, code, detail, expected, got)])


def _checked(held: Services, body: Any, find_weights: FindWeights | None = None) -> tuple[Spec, tuple[int, ...], list[Summary], Report]:
    """A spec checked against its dataset: resolved, with the shape of a sample, every variant's summary, and the dataset's report."""
    spec = check(body)
    source = ready_source(held, spec["data"]["dataset"], "/data/dataset")
    spec = with_outputs(spec, source)
    shape = sample_shape(source, spec)
    return spec, shape, check_targets(spec, source, shape, find_weights or starting.finder(held.redis, held.deployment)), source.report


@router.post(
    "/jobs/validate", operation_id="check_spec", openapi_extra=_SPEC_BODY, responses=documented(400, 409, 413, 415),
    summary="Check a spec without queueing it",
)  # fmt: skip
def validate(
    held: Held, body: Body,
    input: Annotated[
        str | None,
        Query(pattern=r"^[1-9]\d{0,8}(x[1-9]\d{0,8}){0,5}$", examples=["1x8x8"], description="The shape of a sample, where the spec names no dataset."),
    ] = None,
) -> CheckResult:  # fmt: skip
    """The spec with every default and every size filled in, the per-layer table, what training takes, and what the dataset's report says was converted or is odd."""
    if input is not None:
        spec, shape, notes = check(body), tuple(int(n) for n in input.split("x")), list[str]()
        summaries = [summarize(s, shape) for _, s in variants(spec)]
    else:
        spec, shape, summaries, report = _checked(held, body)
        notes = [*report.converted, *report.warnings]
    memory = max((w.memory_bytes for w in process.live(held.redis) if w.queue != queue.DATA), default=0)
    largest = min(s.largest_batch(memory) for s in summaries) if memory else None
    resolved = {**spec, "model": resolve_layers(spec, shape)}
    return CheckResult.model_validate(
        {**summaries[0].as_dict(), "spec": resolved, "input": list(shape), "worker_memory_bytes": memory, "largest_batch": largest, "dataset_notes": notes}
    )  # fmt: skip


@router.post(
    "/jobs",
    operation_id="create_job",
    status_code=201,
    openapi_extra=_SPEC_BODY,
    responses=documented(400, 409, 413, 415),
    summary="Submit a job",
)
def submit(
    held: Held, owner: Owner, body: Body, response: Response, label: WithLabels,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200, description="The same key within 24 h is the same job; with another request it is refused.")] = None,
) -> JobDetail:  # fmt: skip
    """Checks the spec against its dataset and queues the job. Everything that is wrong comes back at once, as 422."""
    spec, *_ = _checked(held, body)
    device = spec["device"]
    if device == "auto":
        device = queue.CUDA if any(w.queue == queue.CUDA for w in process.live(held.redis)) else queue.CPU
    job = jobs.new(jobs.new_id("job"), spec, device.split(":")[0], owner, label)
    if idempotency_key:
        digest = hashlib.sha256(json.dumps([body, label], sort_keys=True).encode()).hexdigest()
        earlier = idempotency.claim(held.redis, owner, idempotency_key, job.id, digest)
        if earlier is not None and earlier.digest not in (None, digest):
            raise ProblemError(422, f"the Idempotency-Key {idempotency_key!r} was used for another request, which made {earlier.job_id}")
        if earlier is not None:
            response.headers["Location"] = f"/v1/jobs/{earlier.job_id}"
            return detail(held, find(held, earlier.job_id))
    starting.keep(held.redis, held.deployment, job.id, spec)
    dispatch.submit(held.redis, job)
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return detail(held, find(held, job.id))


@router.get("/jobs", operation_id="list_jobs", summary="List jobs")
def listed(
    held: Held, label: WithLabels,
    state: Annotated[JobState | None, Query(description="Only those in this state.")] = None,
    dataset: Annotated[str | None, Query(max_length=100, description="The id of the dataset that the job trains on.")] = None,
    name: Annotated[str | None, Query(max_length=200, description="A part of the name; case does not matter.")] = None,
    created_after: Annotated[float | None, Query(description="Seconds since 1970.", allow_inf_nan=False)] = None,
    created_before: Annotated[float | None, Query(description="Seconds since 1970.", allow_inf_nan=False)] = None,
    sort: Annotated[listing.Sort, Query(description="`finished` lists only jobs that have ended; `-` is newest first.")] = "-created",
    after: After = None,
    limit: Limit = 20,
) -> Page[JobSummary]:  # fmt: skip
    """Newest first, unless `sort` says otherwise."""
    query = listing.JobQuery(state, dataset, name, label, created_after, created_before, sort)
    rows = listing.jobs(held.redis, query, after, limit)
    return page([job_summary(j) for j in rows.records], rows.has_more)


@router.get("/jobs/{job_id}", operation_id="get_job", responses=documented(404), summary="A job's state, progress, spec and results")
def one(held: Held, job_id: JobId) -> JobDetail:
    """A job as a whole."""
    return detail(held, find(held, job_id))


@router.patch(
    "/jobs/{job_id}",
    operation_id="update_job",
    responses=documented(400, 404, 413, 415),
    openapi_extra=json_request("Update", UPDATE),
    summary="Rename a job, or label it",
)
def update(held: Held, job_id: JobId, change: Change) -> JobDetail:
    """What is left out stays; labels are replaced as a whole."""
    jobs.update(held.redis, find(held, job_id), change.name, change.labels)
    return detail(held, find(held, job_id))


@router.delete(
    "/jobs/{job_id}", operation_id="delete_job", status_code=204, responses=documented(404, 409), summary="Delete a job that has ended"
)
def delete(held: Held, job_id: JobId) -> None:
    """Removes the job with its log and its checkpoints. A job that has not ended must be cancelled first."""
    job = find(held, job_id)
    if job.state not in ENDED:
        raise ProblemError(409, f"the job is {job.state}: cancel it first (POST /v1/jobs/{job_id}/cancel)")
    jobs.delete(held.redis, job)
    shutil.rmtree(held.deployment.job(job.id), ignore_errors=True)


def _control(request: Request, summary: str) -> None:
    """The route of one request: each has a name of its own in clients."""

    @router.post(f"/jobs/{{job_id}}/{request}", operation_id=f"{request}_job", status_code=202, responses=documented(404), summary=summary)
    def control(held: Held, job_id: JobId) -> JobDetail:
        """Repeatable; without effect where it does not fit the job's state."""
        job = dispatch.handle_request(held.redis, find(held, job_id).id, request)
        if job is None:
            raise not_found("job", job_id)
        return detail(held, job)


_control(Request.CANCEL, "Cancel a job; its checkpoints are removed")
_control(Request.STOP, "Stop a job, keeping the best model")
_control(Request.PAUSE, "Pause a job")
_control(Request.RESUME, "Resume a paused job")


@router.post(
    "/jobs/{job_id}/extend",
    operation_id="extend_job",
    status_code=202,
    responses=documented(400, 404, 409, 413, 415),
    openapi_extra=json_request("Extension", {"epochs": 5}),
    summary="Train a finished job further",
)
def extend(held: Held, job_id: JobId, extension: Annotated[Extension, Depends(body_of(Extension))]) -> JobDetail:
    """The job goes on from its last checkpoint, and ends as one would that had these epochs from the start.

    Its log goes on too: after the `done` of the epochs before, a second one follows at the end.
    """
    job = find(held, job_id)
    if transition(Request.EXTEND, job.state) is None:
        raise ProblemError(409, f"the job is {job.state}: only one that succeeded or was stopped can be extended")
    if job.spec["compare"]:
        raise ProblemError(409, "the job compares variants: submit the one to train further as a job of its own")
    saved = checkpoints.steps(held.deployment.job(job.id))
    if not saved:
        raise ProblemError(409, "the job has no checkpoint to go on from")
    if job.state == JobState.SUCCEEDED and job.progress is not None and job.progress.epoch < job.spec["epochs"]:
        raise ProblemError(
            409, f"early stopping ended the job in epoch {job.progress.epoch} of {job.spec['epochs']}: more epochs change nothing"
        )
    spec, *_ = _checked(held, {**job.spec, "epochs": job.spec["epochs"] + extension.epochs}, starting.kept(held.deployment, job.id))
    dispatch.extend(held.redis, job, spec, saved[-1])
    return detail(held, find(held, job_id))
