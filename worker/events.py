"""A job's event log: written in batches by its run, read by sequence number from the stream, or from a file once the job is over."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from worker import jobs, keys
from worker.connection import Place, Redis

_ENTRIES = 200


def numbered(entry_id: bytes, fields: dict[bytes, bytes]) -> list[dict[str, Any]]:
    """The events of a stream entry with their sequence numbers."""
    events = json.loads(fields[b"e"])
    first = int(entry_id.split(b"-")[0]) - len(events) + 1
    return [{"seq": first + i, **e} for i, e in enumerate(events)]


def read(redis: Redis, place: Place, job_id: str, after: int = 0) -> Iterator[dict[str, Any]]:
    """All events with a sequence number above ``after``, in order."""
    record = redis.hget(keys.job(job_id), "archived")
    if record == b"1":
        yield from _from_file(place.job(job_id) / "events.jsonl", after)
        return
    at = after
    while True:
        entries = redis.xrange(keys.events(job_id), min=f"({at}-0" if at else "-", count=_ENTRIES)
        if not entries:
            return
        for entry_id, fields in entries:
            for event in numbered(entry_id, fields):
                if event["seq"] > after:
                    yield event
        at = int(entries[-1][0].split(b"-")[0])


def _from_file(path: Path, after: int) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            if event["seq"] > after:
                yield event


def archive(redis: Redis, place: Place, job_id: str) -> None:
    """Moves the log of a job that is over from Redis to a file beside its checkpoints."""
    path = place.job(job_id) / "events.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as lines:
        for event in read(redis, place, job_id):
            lines.write(json.dumps(event) + "\n")
    part.rename(path)
    redis.hset(keys.job(job_id), "archived", 1)
    redis.delete(keys.events(job_id))


def canonical(point: dict[str, Any]) -> bytes:
    """The bytes of a metric point that the checksum of a history is made of, in the order of the log."""
    return json.dumps(
        {k: point[k] for k in ("epoch", "split", "step", "values", "variant") if k in point}, sort_keys=True, separators=(",", ":")
    ).encode()


def checksum(points: Iterator[dict[str, Any]], crc: int = 0) -> int:
    """CRC-32 over the canonical bytes of metric points."""
    for point in points:
        crc = zlib.crc32(canonical(point), crc)
    return crc


def metric_event(point: dict[str, Any], attempt: int) -> dict[str, Any]:
    return {"type": "metrics", "time": jobs.now_ms() / 1000, "attempt": attempt, **point}


def log_event(message: str, attempt: int, level: str = "info", **more: Any) -> dict[str, Any]:
    return {"type": "log", "time": jobs.now_ms() / 1000, "attempt": attempt, "level": level, "message": message, **more}
