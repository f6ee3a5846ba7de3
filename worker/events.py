"""A job's event log: written in batches by its run, read by sequence number from the stream, or from a file once the job is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from worker import keys
from worker.deployment import Deployment, Redis
from worker.records import Event, canonical, checksum, dump_event, event_adapter, events_adapter

FILE = "events.jsonl"
_ENTRIES = 200


def numbered(entry_id: bytes, fields: dict[bytes, bytes]) -> list[Event]:
    """The events of a stream entry with their sequence numbers."""
    found = events_adapter.validate_json(fields[b"e"])
    first = int(entry_id.split(b"-")[0]) - len(found) + 1
    return [e.model_copy(update={"seq": first + i}) for i, e in enumerate(found)]


def read(redis: Redis, deployment: Deployment, job_id: str, after: int = 0) -> Iterator[Event]:
    """All events with a sequence number above ``after``, in order."""
    at, last = after, int(redis.hget(keys.job(job_id), "seq") or 0)
    path = deployment.job(job_id) / FILE
    for _ in range(2):  # again, should the log have moved to the file meanwhile
        for part in (_from_file(path, at), _from_stream(redis, job_id, at)):
            for event in part:
                if event.seq > at:
                    at = event.seq
                    yield event
        if at >= last:
            return


def _from_stream(redis: Redis, job_id: str, after: int) -> Iterator[Event]:
    at = after
    while entries := redis.xrange(keys.events(job_id), min=f"({at}-0" if at else "-", count=_ENTRIES):
        for entry_id, fields in entries:
            yield from numbered(entry_id, fields)
        at = int(entries[-1][0].split(b"-")[0])


def _from_file(path: Path, after: int) -> Iterator[Event]:
    """The events that were archived: all of a job that is over; of one that was extended, those before."""
    if not path.exists():
        return
    with path.open("rb") as lines:
        for line in lines:
            event = event_adapter.validate_json(line)
            if event.seq > after:
                yield event


def archive(redis: Redis, deployment: Deployment, job_id: str) -> None:
    """Moves the log of a job that is over from Redis to a file beside its checkpoints."""
    path = deployment.job(job_id) / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as lines:
        lines.writelines(dump_event(event) + b"\n" for event in read(redis, deployment, job_id))
    part.rename(path)
    redis.hset(keys.job(job_id), "archived", 1)
    redis.delete(keys.events(job_id))


__all__ = ["FILE", "archive", "canonical", "checksum", "numbered", "read"]
