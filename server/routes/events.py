"""What a job reports: its log by page, long poll or stream; its metrics; its checkpoints."""

from __future__ import annotations

import asyncio
import csv
import io
import itertools
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from server.dependencies import Caller, Held, Services
from server.hub import Hubs, frame
from server.problems import ProblemError, not_found
from server.thinning import thinned
from worker import checkpoints, events, jobs

router = APIRouter(prefix="/v1", tags=["events"])
KEEPALIVE_S = 15.0
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_SSE: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {}, "text/event-stream": {"schema": {"type": "string"}}}}}


async def _alive(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A comment now and then while a stream is silent, so that proxies keep it open."""
    pending: asyncio.Task[bytes] | None = None
    try:
        while True:
            pending = pending or asyncio.ensure_future(anext(stream))
            done, _ = await asyncio.wait([pending], timeout=KEEPALIVE_S)
            if not done:
                yield b": keep-alive\n\n"
                continue
            task, pending = pending, None
            try:
                yield task.result()
            except StopAsyncIteration:
                return
    finally:
        if pending is not None:
            pending.cancel()


async def _bytes(hubs: Hubs, job_id: str, after: int) -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    async for batch in hubs.follow(job_id, after):
        yield batch.bytes if batch.first > after else b"".join(frame(e) for e in batch.events if e["seq"] > after)


def _stream(body: AsyncIterator[bytes]) -> StreamingResponse:
    return StreamingResponse(_alive(body), media_type="text/event-stream", headers=_HEADERS)


def _page(held: Services, job_id: str, after: int, limit: int) -> dict[str, Any]:
    rows = list(itertools.islice(events.read(held.redis, held.place, job_id, after), limit + 1))
    more, rows = len(rows) > limit, rows[:limit]
    return {"data": rows, "first_seq": rows[0]["seq"] if rows else None, "last_seq": rows[-1]["seq"] if rows else None, "has_more": more}


@router.get("/jobs/{job_id}/events", responses=_SSE, summary="The event log: a page, a long poll, or a stream")
async def log(
    request: Request, held: Held, caller: Caller, job_id: str, after: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=5000)] = 500,
    wait: Annotated[float, Query(ge=0, le=60, description="Seconds to wait for an event if there is none yet.")] = 0,
    last_event_id: Annotated[int | None, Header(ge=0, description="Where a stream goes on.")] = None,
) -> Any:  # fmt: skip
    """With `Accept: text/event-stream` the log as server-sent events, live until `done`; the id is the sequence number."""
    known = await held.hubs.over(job_id)
    if known is None:
        raise not_found("job", job_id)
    over, last = known
    if "text/event-stream" in request.headers.get("accept", ""):
        start = after if last_event_id is None else last_event_id
        return Response(status_code=204) if over and start >= last else _stream(_bytes(held.hubs, job_id, start))
    if wait and not over and after >= last:
        follower = held.hubs.follow(job_id, after)
        try:
            async with asyncio.timeout(wait):
                await anext(follower, None)
        except TimeoutError:
            pass
        finally:
            await follower.aclose()  # type: ignore[attr-defined]  # an async generator, typed by what it yields
    return await run_in_threadpool(_page, held, job_id, after, limit)


@router.get("/events", responses=_SSE, summary="One stream for several jobs")
async def several(
    held: Held,
    caller: Caller,
    jobs: Annotated[str, Query(description="Job ids, separated by commas.")],
    last_event_id: Annotated[str, Header()] = "",
) -> StreamingResponse:
    """Every event carries its `job`; the id of an event is the place in every job's log, for Last-Event-ID."""
    names = list(dict.fromkeys(j for j in jobs.split(",") if j))
    if not names or len(names) > 100:
        raise ProblemError(422, f"expected 1 to 100 job ids in ?jobs=, got {len(names)}")
    for name in names:
        if await held.hubs.over(name) is None:
            raise not_found("job", name)
    seen = dict.fromkeys(names, 0)
    for part in last_event_id.split(","):
        name, _, seq = part.rpartition(":")
        if name in seen and seq.isdigit():
            seen[name] = int(seq)
    return _stream(_merged(held.hubs, seen))


async def _merged(hubs: Hubs, seen: dict[str, int]) -> AsyncIterator[bytes]:
    queue: asyncio.Queue[tuple[str, list[dict[str, Any]] | None]] = asyncio.Queue(64)

    async def pump(name: str) -> None:
        async for batch in hubs.follow(name, seen[name]):
            await queue.put((name, batch.events))
        await queue.put((name, None))

    tasks = [asyncio.create_task(pump(name)) for name in seen]
    try:
        yield b"retry: 1000\n\n"
        left = len(tasks)
        while left:
            name, batch = await queue.get()
            if batch is None:
                left -= 1
                continue
            out = []
            for event in batch:
                if event["seq"] > seen[name]:
                    seen[name] = event["seq"]
                    out.append(frame({"job": name, **event}, ",".join(f"{n}:{s}" for n, s in seen.items())))
            yield b"".join(out)
    finally:
        for task in tasks:
            task.cancel()


@router.get(
    "/jobs/{job_id}/metrics",
    summary="The history of losses and metrics, whole or thinned",
    responses={200: {"content": {"application/json": {}, "text/csv": {}}}},
)
def metrics(
    held: Held, caller: Caller, job_id: str, name: Annotated[str | None, Query(description="One value, such as loss.")] = None,
    split: Annotated[Literal["train", "val", "test"] | None, Query()] = None, max_points: Annotated[int | None, Query(ge=1, le=100_000)] = None,
    format: Annotated[Literal["json", "csv"], Query()] = "json",
) -> Any:  # fmt: skip
    """Thinned, a curve keeps the lowest and the highest value of every stretch, and its last point."""
    record = jobs.get(held.redis, job_id)
    if record is None:
        raise not_found("job", job_id)
    rows = [
        e
        for e in events.read(held.redis, held.place, job_id)
        if e["type"] == "metrics" and (split is None or e["split"] == split) and (name is None or name in e["values"])
    ]
    if max_points is not None:
        rows = thinned(rows, max_points)
    points = [
        {k: r[k] for k in ("seq", "step", "epoch", "split", "variant", "samples_per_s") if k in r}
        | {"values": {n: v for n, v in r["values"].items() if name in (None, n)}}
        for r in rows
    ]
    if format == "json":
        return {"data": points, "points": record["points"], "checksum": f"{record['crc']:08x}", "complete": record["state"] in jobs.ENDED}
    text = io.StringIO()
    names = sorted({n for p in points for n in p["values"]})
    table = csv.writer(text)
    table.writerow(["step", "epoch", "split", "variant", *names])
    for p in points:
        table.writerow([p["step"], p["epoch"], p["split"], p.get("variant", ""), *(_cell(p["values"].get(n, "")) for n in names)])
    return Response(text.getvalue(), media_type="text/csv")


def _cell(value: Any) -> Any:
    """A value as a table has it: what is not a number as JSON."""
    return json.dumps(value) if isinstance(value, dict | list) else value


@router.get("/jobs/{job_id}/checkpoints", summary="The checkpoints of a job", tags=["checkpoints"])
def saved(held: Held, caller: Caller, job_id: str) -> dict[str, Any]:
    if jobs.get(held.redis, job_id) is None:
        raise not_found("job", job_id)
    return {"data": checkpoints.listed(held.place.job(job_id))}


@router.get("/jobs/{job_id}/checkpoints/{step}", summary="A model as safetensors", tags=["checkpoints"], response_class=FileResponse)
def download(held: Held, caller: Caller, job_id: str, step: str) -> FileResponse:
    """`step` is a checkpoint's number, or `latest`, or `best`. The keys are those of PyTorch's `state_dict`."""
    record = jobs.get(held.redis, job_id)
    if record is None:
        raise not_found("job", job_id)
    known = checkpoints.listed(held.place.job(job_id))
    number = (
        int(step)
        if step.isdigit() and len(step) < 12
        else known[-1]["step"]
        if step == "latest" and known
        else known[-1]["best"]
        if step == "best" and known
        else None
    )
    path = checkpoints.model_file(held.place.job(job_id), number) if number is not None else None
    if path is None:
        raise not_found(f"checkpoint of {job_id} at step", step)
    return FileResponse(path, media_type="application/octet-stream", filename=f"{job_id}-{number}.safetensors")
