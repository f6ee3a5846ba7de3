"""A job's log: by page, by long poll, or as a stream."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from server.dependencies import Held, JobId, Services
from server.hub import Hubs, frame
from server.models import EventPage
from server.problems import ProblemError, Responses, documented, not_found
from worker import events
from worker.records import Event, dump_event

router = APIRouter(prefix="/v1", tags=["events"], responses=documented(401, 403, 404, 422, 503))
KEEPALIVE_S = 15.0
_POSITIONS = r"^([A-Za-z0-9_]+:[0-9]{1,15}(,[A-Za-z0-9_]+:[0-9]{1,15})*)?$"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_SSE = {
    "text/event-stream": {
        "schema": {"description": "Server-sent events: of each the `data` is an event as JSON, the `event` its type, the `id` its place."}
    }
}
_OVER: Responses = {204: {"description": "The log has ended, and the reader has all of it."}}


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


async def _frames(hubs: Hubs, job_id: str, after: int) -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    async for batch in hubs.follow(job_id, after):
        yield batch.bytes if batch.first > after else b"".join(frame(e) for e in batch.events if e.seq > after)


def _stream(body: AsyncIterator[bytes]) -> StreamingResponse:
    return StreamingResponse(_alive(body), media_type="text/event-stream", headers=_HEADERS)


def _page(held: Services, job_id: str, after: int, limit: int) -> EventPage:
    rows = list(itertools.islice(events.read(held.redis, held.deployment, job_id, after), limit + 1))
    more, rows = len(rows) > limit, rows[:limit]
    return EventPage(data=rows, first_seq=rows[0].seq if rows else None, last_seq=rows[-1].seq if rows else None, has_more=more)


@router.get(
    "/jobs/{job_id}/events", operation_id="list_events", response_model=EventPage, response_model_exclude_none=True,
    responses={200: {"content": _SSE}, **_OVER}, summary="The event log: a page, a long poll, or a stream",
)  # fmt: skip
async def log(
    request: Request, held: Held, job_id: JobId,
    after: Annotated[int, Query(ge=0, le=1 << 53, description="The number of the last event that is known; 0 begins at the beginning.")] = 0,
    limit: Annotated[int, Query(ge=1, le=5000, description="The largest number of events to answer with.")] = 500,
    wait: Annotated[float, Query(ge=0, le=60, description="Seconds to wait for an event if there is none yet.")] = 0,
    last_event_id: Annotated[int | None, Header(ge=0, le=1 << 53, description="Where a stream goes on.")] = None,
) -> EventPage | Response:  # fmt: skip
    """With `Accept: text/event-stream` the log as server-sent events, live until `done`; the id is the sequence number."""
    known = await held.hubs.over(job_id)
    if known is None:
        raise not_found("job", job_id)
    over, last = known
    if "text/event-stream" in request.headers.get("accept", ""):
        start = after if last_event_id is None else last_event_id
        return Response(status_code=204) if over and start >= last else _stream(_frames(held.hubs, job_id, start))
    if wait and not over and after >= last:
        await _wait_for_event(held.hubs, job_id, after, wait)
    return await run_in_threadpool(_page, held, job_id, after, limit)


async def _wait_for_event(hubs: Hubs, job_id: str, after: int, wait_s: float) -> None:
    follower = hubs.follow(job_id, after)
    try:
        async with asyncio.timeout(wait_s):
            await anext(follower, None)
    except TimeoutError:
        pass
    finally:
        await follower.aclose()  # type: ignore[attr-defined]  # an async generator, typed by what it yields


@router.get(
    "/events", operation_id="stream_events", response_class=StreamingResponse, responses={200: {"content": _SSE}},
    summary="One stream for several jobs",
)  # fmt: skip
async def several(
    held: Held, jobs: Annotated[str, Query(description="Job ids, separated by commas.")],
    last_event_id: Annotated[str, Header(pattern=_POSITIONS, description="Where the stream goes on: the `id` of its last event.")] = "",
) -> StreamingResponse:  # fmt: skip
    """Every event carries its `job`; the id of an event is the position in every job's log, for Last-Event-ID."""
    names = list(dict.fromkeys(j for j in jobs.split(",") if j))
    if not names or len(names) > 100:
        raise ProblemError(422, f"expected 1 to 100 job ids in ?jobs=, got {len(names)}")
    for name in names:
        if await held.hubs.over(name) is None:
            raise not_found("job", name)
    seen = dict.fromkeys(names, 0)
    for part in last_event_id.split(","):
        name, _, seq = part.rpartition(":")
        if name in seen:
            seen[name] = int(seq)
    return _stream(_merged(held.hubs, seen))


async def _merged(hubs: Hubs, seen: dict[str, int]) -> AsyncIterator[bytes]:
    batches: asyncio.Queue[tuple[str, list[Event] | None]] = asyncio.Queue(64)

    async def pump(name: str) -> None:
        async for batch in hubs.follow(name, seen[name]):
            await batches.put((name, batch.events))
        await batches.put((name, None))

    tasks = [asyncio.create_task(pump(name)) for name in seen]
    try:
        yield b"retry: 1000\n\n"
        remaining = len(tasks)
        while remaining:
            name, found = await batches.get()
            if found is None:
                remaining -= 1
                continue
            yield b"".join(_of_job(name, event, seen) for event in found if event.seq > seen[name])
    finally:
        for task in tasks:
            task.cancel()


def _of_job(name: str, event: Event, seen: dict[str, int]) -> bytes:
    """An event that carries its job; its id says how far every log was read."""
    seen[name] = event.seq
    return frame(event, b'{"job":"%b",%b' % (name.encode(), dump_event(event)[1:]), ",".join(f"{n}:{s}" for n, s in seen.items()))
