# Made from client/aio/stream.py by scripts/build_sync.py: change that, and run it.
"""A job's events as they happen, whole whatever the connection does."""

from __future__ import annotations

import httpx
from pydantic import ValidationError

from client.sync.runtime import Stream, closing, sleep
from client.sync.transport import Transport
from client.call import Call, refusal, retry_after
from client.errors import HistoryMismatch
from client.log import Log
from client.patience import Patience
from client.sse import Decoder
from server.models import ENDED, Event, EventPage, JobDetail, event_adapter

PATIENCE_S = 120.0
"""How long a server may be away, which may be restarting, before a reader gives up."""

_PAGE = 1000
_SILENCE_S = 40.0
"""A server that has nothing to tell says so every 15 seconds."""


def follow(transport: Transport, job_id: str, after: int) -> Stream[Event]:
    """The events above ``after`` until the log ends, each once, in order, and verified. Raises ApiError, Unreachable, HistoryMismatch.

    Whenever the live stream breaks or has a gap, what is missing is read by page, and the stream is opened again behind it.
    Events up to ``after`` are read too, for the checksum, and not yielded.
    """
    log, pause = Log(job_id), Patience(float("inf"))
    ended, sources = False, (_paged,) if after else (_live, _paged)
    while True:
        before = log.seen
        for source in sources:
            with closing(source(transport, log)) as events:
                for event in events:
                    if event.seq > after:
                        yield event
        if log.done:  # and no page follows
            return
        sources = (_live, _paged)
        if log.seen > before:
            pause, ended = Patience(float("inf")), False
            continue
        if ended:
            raise HistoryMismatch(job_id, f"the job has ended, but no event follows event {log.seen}, which is not its last")
        ended = (transport.call(JobDetail, Call("GET", f"/v1/jobs/{job_id}"), PATIENCE_S)).state in ENDED
        sleep(pause.pause() or 0.0)


def _live(transport: Transport, log: Log) -> Stream[Event]:
    """Server-sent events behind those taken, until the stream ends, breaks, or leaves one out."""
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store", "Last-Event-ID": str(log.seen)}
    decoder = Decoder()
    try:
        with transport.open(Call("GET", f"/v1/jobs/{log.job_id}/events", headers=headers), _SILENCE_S) as answer:
            if not answer.is_success and retry_after(answer) is None:
                answer.read()
                raise refusal(answer)
            if answer.status_code != 200:  # 204: the log has ended; else the server is restarting
                return
            for piece in answer.iter_bytes():
                for data in decoder.feed(piece):
                    event = event_adapter.validate_json(data)
                    if log.follows_gap(event):
                        return
                    if log.take(event):
                        yield event
                    if log.done:
                        return
    except (httpx.TransportError, ValidationError):
        return


def _paged(transport: Transport, log: Log) -> Stream[Event]:
    """The events behind those taken that there are, by page."""
    more = True
    while more:
        before = log.seen
        call = Call("GET", f"/v1/jobs/{log.job_id}/events", {"after": before, "limit": _PAGE})
        page = transport.call(EventPage, call, None if log.done else PATIENCE_S)
        for event in page.data:
            if log.take(event):
                yield event
        more = page.has_more
        if more and log.seen == before:
            raise HistoryMismatch(log.job_id, f"the server has more events than event {before}, but does not show them")


__all__ = ["follow"]
