"""Jobs: check, submit, list, look at, control."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response

from engine.check import check_targets, sample_shape
from engine.data import Report, open_source
from engine.spec import Problem, SpecError, check, json_schema, resolve_layers, summarize, variants
from server.dependencies import Body, Caller, Held, Services
from server.examples import SPEC
from server.problems import ProblemError, not_found
from worker import datasets, doorbell, jobs, station

router = APIRouter(prefix="/v1", tags=["jobs"])
_SPEC_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object", "description": "See GET /v1/schema."}, "example": SPEC}},
    }
}
State = Literal[
    "queued", "starting", "running", "pausing", "paused", "stopping", "cancelling", "succeeded", "stopped", "cancelled", "failed"
]


def shown(held: Services, record: dict[str, Any], whole: bool = True) -> dict[str, Any]:
    """What the API tells of a job; a row of a list leaves out what is long."""
    names = [
        "id",
        "name",
        "state",
        "reason",
        "attempt",
        "created",
        "started",
        "finished",
        "dataset",
        "queue",
        "worker",
        "points",
        "error",
        "results",
    ]
    row = {k: record.get(k) or None for k in names}
    row.update(attempt=record["attempt"], points=record["points"], progress=_progress(record), eta_s=_eta(record))
    if whole:
        row.update(
            spec=record["spec"], model=record["model"], history=record["history"], checksum=f"{record['crc']:08x}", queue_position=None
        )
        if record["state"] == "queued":
            waiting = doorbell.waiting(held.redis, record["queue"])
            name = jobs.ring_id(record["id"], record["attempt"])
            row["queue_position"] = waiting.index(name) + 1 if name in waiting else None
    return row


def _progress(record: dict[str, Any]) -> dict[str, Any] | None:
    p = record["progress"]
    if not p:
        return None
    total = p["total_steps"]
    return {
        "step": p["step"],
        "total_steps": total,
        "epoch": p["epoch"],
        "epochs": record["spec"]["epochs"],
        "fraction": p["step"] / max(1, total),
    }


def _eta(record: dict[str, Any]) -> float | None:
    """Seconds left at the speed so far."""
    p = record["progress"]
    here = p["step"] - p["from_step"] if p else 0
    if record["state"] != "running" or not here:
        return None
    return round((time.time() - p["since"]) / here * (p["total_steps"] - p["step"]), 1)


def _dataset(held: Services, spec: dict[str, Any]) -> dict[str, Any]:
    """The dataset that a spec names, ready to be read."""
    name = spec["data"]["dataset"]
    if name is None:
        raise SpecError([Problem("/data/dataset", "missing", "dataset is missing: expected the id of an uploaded dataset", "a dataset id")])
    record = datasets.get(held.redis, name)
    if record is None:
        raise SpecError(
            [
                Problem(
                    "/data/dataset",
                    "unknown_dataset",
                    f"there is no dataset {name!r:.100}: upload it first (POST /v1/datasets)",
                    "a dataset id",
                    name,
                )
            ]
        )
    if record["state"] == "rejected":
        raise SpecError(
            [
                Problem(
                    "/data/dataset",
                    "rejected_dataset",
                    f"the dataset was rejected: {(record['report'] or {}).get('reason')}",
                    "a dataset that is ready",
                    name,
                )
            ]
        )
    if record["state"] != "ready":
        raise ProblemError(
            409, f"the dataset {name} is still being validated ({record['progress']:.0%}); ask again soon", headers={"Retry-After": "1"}
        )
    return record


def _checked(held: Services, body: Any) -> tuple[dict[str, Any], tuple[int, ...], list[Any], Report]:
    """A spec checked against its dataset: resolved, with the shape of a sample, every variant's summary, and the dataset's report."""
    spec = check(body)
    record = _dataset(held, spec)
    try:
        source = open_source(held.place.dataset(record["id"]) / datasets.PREPARED)
    except FileNotFoundError:
        raise ProblemError(409, f"the files of dataset {record['id']} are not on this server's storage") from None
    shape = sample_shape(source, spec)
    return spec, shape, check_targets(spec, source, shape), source.report


@router.get("/schema", summary="JSON Schema of the spec")
def schema() -> dict[str, Any]:
    return json_schema()


@router.post("/jobs/validate", openapi_extra=_SPEC_BODY, summary="Check a spec without queueing it")
def validate(
    held: Held,
    caller: Caller,
    body: Body,
    input: Annotated[
        str | None,
        Query(pattern=r"^\d+(x\d+)*$", examples=["1x8x8"], description="The shape of a sample, where the spec names no dataset."),
    ] = None,
) -> dict[str, Any]:
    """The spec with every default and every size filled in, the per-layer table, what training takes, and what the dataset's report says was converted or is odd."""
    if input is not None:
        spec, shape, told = check(body), tuple(int(n) for n in input.split("x")), list[str]()
        summaries = [summarize(s, shape) for _, s in variants(spec)]
    else:
        spec, shape, summaries, report = _checked(held, body)
        told = [*report.converted, *report.warnings]
    memory = max((w["memory_bytes"] for w in station.live(held.redis) if w["queue"] != doorbell.DATA), default=0)
    resolved = {**spec, "model": resolve_layers(spec, shape)}
    return {
        "spec": resolved, "input": list(shape), **summaries[0].as_dict(), "worker_memory_bytes": memory,
        "largest_batch": min(s.largest_batch(memory) for s in summaries) if memory else None, "dataset_notes": told,
    }  # fmt: skip


@router.post("/jobs", status_code=201, openapi_extra=_SPEC_BODY, summary="Submit a job")
def submit(
    held: Held, caller: Caller, body: Body, response: Response,
    idempotency_key: Annotated[str | None, Header(max_length=200, description="The same key within 24 h is the same job.")] = None,
) -> dict[str, Any]:  # fmt: skip
    """Checks the spec against its dataset and queues the job. Everything that is wrong comes back at once, as 422."""
    spec, *_ = _checked(held, body)
    device = spec["device"]
    if device == "auto":
        device = doorbell.CUDA if any(w["queue"] == doorbell.CUDA for w in station.live(held.redis)) else doorbell.CPU
    job_id = jobs.create(held.redis, jobs.new_id("job"), spec, device.split(":")[0], caller, idempotency_key)
    response.headers["Location"] = f"/v1/jobs/{job_id}"
    return _found(held, job_id)


def _found(held: Services, job_id: str) -> dict[str, Any]:
    record = jobs.get(held.redis, job_id)
    if record is None:
        raise not_found("job", job_id)
    return shown(held, record)


@router.get("/jobs", summary="List jobs, newest first")
def listing(
    held: Held, caller: Caller, state: State | None = None, after: str | None = None, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> dict[str, Any]:
    rows, more = jobs.listed(held.redis, state, after, limit)
    return {
        "data": [shown(held, r, False) for r in rows],
        "first_id": rows[0]["id"] if rows else None,
        "last_id": rows[-1]["id"] if rows else None,
        "has_more": more,
    }


@router.get("/jobs/{job_id}", summary="A job's state, progress, spec and results")
def one(held: Held, caller: Caller, job_id: str) -> dict[str, Any]:
    return _found(held, job_id)


@router.post("/jobs/{job_id}/{action}", status_code=202, summary="Cancel, stop (keeping the best model), pause or resume a job")
def control(held: Held, caller: Caller, job_id: str, action: Literal["cancel", "stop", "pause", "resume"]) -> dict[str, Any]:
    """Repeatable; without effect on a job that has ended."""
    record = jobs.request(held.redis, job_id, action)
    if record is None:
        raise not_found("job", job_id)
    return shown(held, record)
