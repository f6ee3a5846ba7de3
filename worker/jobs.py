"""The job record and its life: queued, starting, running, and the ways to end."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

from worker import doorbell, fence, keys
from worker.connection import Redis
from worker.fence import Answer

ACTIVE = ("starting", "running", "pausing", "stopping", "cancelling")
WAITING = ("queued", "paused")
ENDED = ("succeeded", "stopped", "cancelled", "failed")
ENTRY = "worker.station.answer"
MAX_FAILURES = 5
"""How many attempts may be lost in a row without a checkpoint between them."""
_JSON = ("spec", "history", "progress", "error", "results", "model")
_INTEGERS = ("attempt", "seq", "points", "crc", "batch", "failures", "archived")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(10)}"


def ring_id(job_id: str, attempt: int) -> str:
    """RQ's name for one attempt."""
    return f"{job_id}-{attempt}"


def state_event(state: str, attempt: int, reason: str | None = None) -> dict[str, Any]:
    event = {"type": "state", "time": now_ms() / 1000, "attempt": attempt, "state": state}
    return event if reason is None else {**event, "reason": reason}


def create(redis: Redis, job_id: str, spec: dict[str, Any], queue: str, owner: str = "", idempotency_key: str | None = None) -> str:
    """Queues a job, all in one transaction; its id. With a key that made a job within 24 h, that job's id instead."""
    created = now_ms()
    slot = keys.idempotency(owner, idempotency_key) if idempotency_key else None
    if slot and not redis.set(slot, job_id, nx=True, ex=86400):
        held = (redis.get(slot) or b"").decode()
        if redis.exists(keys.job(held)):
            return held
        redis.set(slot, job_id, ex=86400)  # whoever set it died before the job was made
    record = {
        "id": job_id, "state": "queued", "attempt": 1, "created": created, "queue": queue, "owner": owner, "name": spec["name"],
        "dataset": spec["data"]["dataset"], "spec": json.dumps(spec), "seq": 1, "points": 0, "crc": 0, "batch": 0, "failures": 0,
        "history": json.dumps([{"state": "queued", "time": created / 1000, "attempt": 1}]),
    }  # fmt: skip
    with redis.pipeline(transaction=True) as pipe:
        doorbell.ring(redis, queue, ENTRY, job_id, ring_id(job_id, 1), pipe)  # first: RQ may run commands of its own at once
        pipe.hset(keys.job(job_id), mapping=record)
        pipe.zadd(keys.JOBS, {job_id: created})
        pipe.zadd(keys.in_state("queued"), {job_id: created})
        pipe.xadd(keys.events(job_id), {"n": 1, "e": json.dumps([state_event("queued", 1)])}, id="1-0")
        pipe.execute()
    return job_id


def parse(raw: dict[bytes, bytes]) -> dict[str, Any]:
    """A record as read from Redis, with its numbers and JSON as Python values."""
    record: dict[str, Any] = {k.decode(): v.decode() for k, v in raw.items()}
    for name in _JSON:
        record[name] = json.loads(record[name]) if record.get(name) else None
    for name in _INTEGERS:
        record[name] = int(record.get(name) or 0)
    for name in ("created", "started", "finished"):
        record[name] = float(record[name]) / 1000 if record.get(name) else None
    return record


def get(redis: Redis, job_id: str) -> dict[str, Any] | None:
    """The record of a job, or None."""
    raw = redis.hgetall(keys.job(job_id))
    return parse(raw) if raw else None


def listed(redis: Redis, state: str | None, after: str | None, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """A page of records, newest first, after the job ``after``; and whether there are more."""
    index = keys.in_state(state) if state else keys.JOBS
    start = 0
    if after is not None:
        created = redis.zscore(keys.JOBS, after)
        if created is None:
            return [], False
        rank = redis.zrevrank(index, after)
        start = redis.zcount(index, f"({created}", "+inf") if rank is None else rank + 1
    ids = redis.zrevrange(index, start, start + limit)
    with redis.pipeline(transaction=False) as pipe:
        for i in ids[:limit]:
            pipe.hgetall(keys.job(i.decode()))
        rows = pipe.execute()
    return [parse(r) for r in rows if r], len(ids) > limit


def move(
    redis: Redis, job_id: str, to: str, *, states: tuple[str, ...], attempt: int | None = None, reason: str | None = None, batch: int | None = None,
    lease_ms: int | None = None, fields: dict[str, Any] | None = None, events: list[dict[str, Any]] | None = None,
) -> Answer:  # fmt: skip
    """Changes a job's state if it is one of ``states`` (and the attempt is as said), with the event that tells of it."""
    record = get(redis, job_id)
    current = record["attempt"] if record else 0
    new_attempt = int((fields or {}).get("attempt", attempt or current))
    entry = {"state": to, "time": now_ms() / 1000, "attempt": new_attempt, **({"reason": reason} if reason else {})}
    changes: dict[str, Any] = {
        "state": to,
        "reason": reason or "",
        "history": [*((record or {}).get("history") or [])[-99:], entry],
        **(fields or {}),
    }
    if to in ENDED:
        changes["finished"] = now_ms()
    return fence.write(
        redis, job_id, attempt=attempt, states=states, batch=batch, lease_ms=0 if to in (*WAITING, *ENDED) else lease_ms, fields=changes,
        events=[state_event(to, new_attempt, reason), *(events or [])],
    )  # fmt: skip


def done_event(record: dict[str, Any], state: str, points: int, crc: int) -> dict[str, Any]:
    """The last event of a log: how the job ended, how many metric points there are, and their checksum."""
    return {
        "type": "done",
        "time": now_ms() / 1000,
        "attempt": record["attempt"],
        "state": state,
        "points": points,
        "checksum": f"{crc:08x}",
    }


def end(
    redis: Redis,
    record: dict[str, Any],
    state: str,
    *,
    states: tuple[str, ...],
    reason: str | None = None,
    error: dict[str, Any] | None = None,
) -> Answer:
    """Ends a job that no process is working on."""
    fields = {"error": error} if error else {}
    return move(
        redis,
        record["id"],
        state,
        states=states,
        attempt=record["attempt"],
        reason=reason,
        fields=fields,
        events=[done_event(record, state, record["points"], record["crc"])],
    )


def enqueue_again(redis: Redis, record: dict[str, Any], reason: str, states: tuple[str, ...], failures: int) -> bool:
    """Starts a new attempt: the record first, then the doorbell; should this process die in between, the reconciler rings."""
    attempt = record["attempt"] + 1
    fields = {"attempt": attempt, "batch": 0, "failures": failures, "runner": "", "worker": "", "waiting_since": now_ms()}
    if not move(redis, record["id"], "queued", states=states, attempt=record["attempt"], reason=reason, fields=fields).applied:
        return False
    doorbell.ring(redis, record["queue"], ENTRY, record["id"], ring_id(record["id"], attempt))
    return True


def lost(redis: Redis, job_id: str, attempt: int, reason: str, harmless: bool = False) -> bool:
    """What happens to a job whose process is gone: what was asked for, or another attempt, or failure after too many.

    ``harmless`` losses (a worker that was told to stop) do not count. False if the attempt was not the current one any more.
    """
    record = get(redis, job_id)
    if record is None or record["attempt"] != attempt or record["state"] not in ACTIVE:
        return False
    asked = {"cancelling": "cancelled", "stopping": "stopped"}.get(record["state"])
    if asked:
        return end(redis, record, asked, states=(record["state"],)).applied
    if record["state"] == "pausing":
        return move(
            redis, job_id, "paused", states=("pausing",), attempt=attempt, reason=reason, fields={"failures": record["failures"]}
        ).applied
    failures = record["failures"] + (0 if harmless else 1)
    if failures >= MAX_FAILURES:
        message = f"{reason}; {failures} attempts in a row were lost before a checkpoint"
        return end(
            redis, record, "failed", states=ACTIVE, reason=message, error={"code": "lost", "message": message, "pointer": ""}
        ).applied
    return enqueue_again(redis, record, reason, ACTIVE, failures)


_REQUESTS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    # what a waiting job becomes at once; the states of a process that is told so
    "cancel": ({"queued": "cancelled", "paused": "cancelled"}, ("starting", "running", "pausing", "stopping")),
    "stop": ({"queued": "stopped", "paused": "stopped"}, ("starting", "running", "pausing")),
    "pause": ({"queued": "paused"}, ("starting", "running")),
}
_DURING = {"cancel": "cancelling", "stop": "stopping", "pause": "pausing"}


def request(redis: Redis, job_id: str, what: str) -> dict[str, Any] | None:
    """Cancels, stops, pauses or resumes a job; repeatable, and without effect on one that has ended. The record, or None."""
    for _ in range(10):  # the state may change between reading and writing
        record = get(redis, job_id)
        if record is None:
            return None
        if _request_once(redis, record, what):
            return get(redis, job_id)
    return get(redis, job_id)


def _request_once(redis: Redis, record: dict[str, Any], what: str) -> bool:
    state = record["state"]
    if what == "resume":
        if state == "paused":
            return enqueue_again(redis, record, "resumed", ("paused",), 0)
        return move(redis, record["id"], "running", states=("pausing",), reason="resumed").applied if state == "pausing" else True
    at_once, told = _REQUESTS[what]
    if state in at_once:
        to = at_once[state]
        if to in ENDED:
            answer = end(redis, record, to, states=(state,), reason="requested")
        else:
            answer = move(redis, record["id"], to, states=(state,), attempt=record["attempt"], reason="requested")
        if answer.applied:
            doorbell.forget(redis, record["queue"], ring_id(record["id"], record["attempt"]))
        return answer.applied
    if state in told:
        return move(redis, record["id"], _DURING[what], states=told, reason="requested").applied
    return True
