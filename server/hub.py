"""Live event streams: one reader a watched job fills a ring buffer of ready bytes, and each client holds a position in it.

A client that lags behind the ring buffer, or comes back with Last-Event-ID, is served from the log first. One read a client instead would
cost 20 to 200 times the processor time at 1,000 clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import redis.asyncio
from redis.exceptions import RedisError

from worker import keys
from worker.deployment import Deployment, Redis
from worker.events import numbered, read
from worker.logs import logger
from worker.records import Event, dump_event
from worker.states import ENDED, JobState

RING = 512
LINGER_S = 10.0
INTERVAL_S = 0.05
BLOCK_MS = 5_000
_log = logger("hub")


def frame(event: Event, data: bytes | None = None, event_id: str | None = None) -> bytes:
    """One event in the format of server-sent events; ``data`` and ``event_id`` in place of its own."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % ((event_id or str(event.seq)).encode(), event.type.encode(), data or dump_event(event))


class Batch:
    """What one read brought: events, and their bytes, made once for all clients."""

    __slots__ = ("bytes", "done", "events", "first", "last")

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        self.first, self.last = events[0].seq, events[-1].seq
        self.bytes = b"".join(map(frame, events))
        self.done = events[-1].type == "done"


class Hub:
    """The reader and the ring buffer of one job."""

    def __init__(self, redis: Redis, job_id: str) -> None:
        self.redis, self.job_id = redis, job_id
        self.ring: list[Batch] = []
        self.base = 0  # the number of the first batch in the ring buffer
        self.tip = 0  # the last sequence number read
        self.clients = 0
        self.ended = False
        self.changed = asyncio.Event()
        self._started = asyncio.Event()
        self._task = asyncio.create_task(self._read())

    async def ready(self) -> None:
        await self._started.wait()

    async def _read(self) -> None:
        stream = keys.events(self.job_id)
        while not self.ended:
            try:
                if not self._started.is_set():
                    state, seq = await self.redis.hmget(keys.job(self.job_id), "state", "seq")
                    self.tip, self.ended = int(seq or 0), state is None or JobState(state.decode()) in ENDED
                    self._started.set()
                    continue
                found = await self.redis.xread({stream: f"{self.tip}-0"}, count=500, block=BLOCK_MS)
                if not found:
                    self.ended = not await self.redis.exists(stream)
                    if self.ended:
                        self._tell()
                    continue
                self._take([e for entry in found[0][1] for e in numbered(*entry)])
                await asyncio.sleep(INTERVAL_S)
            except RedisError as error:
                _log.warning("Redis is unreachable", job=self.job_id, error=str(error))
                await asyncio.sleep(0.25)

    def _take(self, events: list[Event]) -> None:
        batch = Batch(events)
        self.ring.append(batch)
        self.tip, self.ended = batch.last, batch.done
        if len(self.ring) > RING:
            del self.ring[: RING // 4]
            self.base += RING // 4
        self._tell()

    def _tell(self) -> None:
        waiting, self.changed = self.changed, asyncio.Event()
        waiting.set()

    def next_batch(self) -> int:
        """The number of the batch that comes next."""
        return self.base + len(self.ring)

    def stop(self) -> None:
        self._task.cancel()


class Hubs:
    """The hubs of a server, made when a job is first watched and dropped when nobody has for a while."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self.redis: Redis = redis.asyncio.Redis.from_url(deployment.redis_url, max_connections=10_000)
        self._sync = deployment.connect(patience_s=5)
        self._hubs: dict[str, Hub] = {}

    async def _enter(self, job_id: str) -> Hub:
        hub = self._hubs.get(job_id)
        if hub is None or hub.ended:  # one that has ended may be extended since
            hub = self._hubs[job_id] = Hub(self.redis, job_id)
        hub.clients += 1
        await hub.ready()
        return hub

    def _leave(self, hub: Hub) -> None:
        hub.clients -= 1
        if hub.clients == 0:
            asyncio.get_running_loop().call_later(LINGER_S, self._drop, hub)

    def _drop(self, hub: Hub) -> None:
        if hub.clients == 0 and self._hubs.get(hub.job_id) is hub:
            del self._hubs[hub.job_id]
            hub.stop()

    async def _backlog(self, job_id: str, after: int, until: int) -> AsyncIterator[list[Event]]:
        """Logged events from ``after`` to ``until``, some at a time, read in a thread."""
        events = read(self._sync, self._deployment, job_id, after)
        more = True
        while more:
            chunk = await asyncio.to_thread(lambda: [e for e, _ in zip(events, range(500), strict=False)])
            more = len(chunk) == 500 and chunk[-1].seq < until
            chunk = [e for e in chunk if e.seq <= until]
            if chunk:
                yield chunk

    async def follow(self, job_id: str, after: int) -> AsyncIterator[Batch]:
        """The batches of a job from the event after ``after`` on, live, until the job is done."""
        hub = await self._enter(job_id)
        last = after
        try:
            while True:
                at, tip = hub.next_batch(), hub.tip  # nothing is awaited between: one moment
                if last < tip:
                    async for events in self._backlog(job_id, last, tip):
                        last = events[-1].seq
                        yield Batch(events)
                if hub.ended and last >= hub.tip and at >= hub.next_batch():
                    return
                while at >= hub.base:
                    changed = hub.changed
                    if at < hub.next_batch():
                        batch = hub.ring[at - hub.base]
                        at += 1
                        if batch.last > last:
                            last = batch.last
                            yield batch
                        if batch.done:
                            return
                    elif hub.ended:
                        return
                    else:
                        await changed.wait()
        finally:
            self._leave(hub)

    async def over(self, job_id: str) -> tuple[bool, int] | None:
        """Whether a job has ended, and the number of its last event; None if there is no such job."""
        if not keys.is_id(job_id):
            return None
        state, seq = await self.redis.hmget(keys.job(job_id), "state", "seq")
        return None if state is None else (JobState(state.decode()) in ENDED, int(seq))

    async def close(self) -> None:
        for hub in self._hubs.values():
            hub.stop()
        await self.redis.aclose()
