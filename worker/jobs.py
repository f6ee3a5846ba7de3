"""The job record and its life. What moves a job is in :mod:`worker.states`; who wakes a worker for it, in :mod:`worker.dispatch`."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from worker import fence, keys
from worker.codec import dump, parse
from worker.deployment import Redis
from worker.fence import Answer, Fields, Write
from worker.records import DoneEvent, Extension, Job, JobError, Labels, Spec, StateChange, StateEvent, dump_event
from worker.states import ACTIVE, ENDED, JobState, Request, Step, Trigger, transition

MAX_FAILURES = 5
"""How many attempts may be lost in a row without a checkpoint between them."""


def now_ms() -> int:
    """The time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def new_id(prefix: str) -> str:
    """A new random id."""
    return f"{prefix}_{secrets.token_hex(10)}"


def new(job_id: str, spec: Spec, queue: str, owner: str = "", labels: Labels | None = None) -> Job:
    """The record of a job that begins to wait in ``queue`` now."""
    created = now_ms()
    first = StateChange(state=JobState.QUEUED, time=created / 1000, attempt=1)
    return Job(
        id=job_id, state=JobState.QUEUED, name=spec["name"] or "", labels=labels or {}, owner=owner, queue=queue,
        dataset=spec["data"]["dataset"], spec=spec, created_ms=created, history=(first,), seq=1,
    )  # fmt: skip


def add(pipe: Any, job: Job) -> None:
    """Writes the record of a new job, its indexes and its first event, as part of ``pipe``'s transaction."""
    pipe.hset(keys.job(job.id), mapping=dump(job))
    for index in _indexes(job):
        pipe.zadd(index, {job.id: job.created_ms})
    first = StateEvent(time=job.created_ms / 1000, attempt=1, state=job.state)
    pipe.xadd(keys.events(job.id), {"n": 1, "e": b"[" + dump_event(first) + b"]"}, id="1-0")


def _indexes(job: Job) -> list[str]:
    labels = [keys.labelled("jobs", k, v) for k, v in job.labels.items()]
    return [keys.JOBS, keys.in_state(job.state), keys.of_dataset(job.dataset), *labels]


def index(pipe: Any, job: Job) -> None:
    """Enters a job in every index it belongs to; without effect where it is in them."""
    for name in _indexes(job):
        pipe.zadd(name, {job.id: job.created_ms})
    if job.finished_ms is not None:
        pipe.zadd(keys.FINISHED, {job.id: job.finished_ms})


def get(redis: Redis, job_id: str) -> Job | None:
    """The record of a job, or None."""
    raw = redis.hgetall(keys.job(job_id))
    return parse(Job, raw) if raw else None


def update(redis: Redis, job: Job, name: str | None, labels: Labels | None) -> None:
    """Renames a job, or replaces its labels; None leaves what there is."""
    fields: Fields = {k: v for k, v in (("name", name), ("labels", labels)) if v is not None}
    if not fields or not fence.write(redis, job.id, Write(fields=fields)).applied or labels is None:
        return
    with redis.pipeline(transaction=True) as pipe:
        for k, v in job.labels.items():
            pipe.zrem(keys.labelled("jobs", k, v), job.id)
        for k, v in labels.items():
            pipe.zadd(keys.labelled("jobs", k, v), {job.id: job.created_ms})
        pipe.execute()


def delete(redis: Redis, job: Job) -> None:
    """Removes the record of a job that has ended, its log and its places in the indexes."""
    with redis.pipeline(transaction=True) as pipe:
        pipe.delete(keys.job(job.id), keys.events(job.id))
        for name in (*_indexes(job), keys.FINISHED, keys.LEASES):
            pipe.zrem(name, job.id)
        pipe.execute()


def apply(
    redis: Redis, job_id: str, trigger: Trigger, *, attempt: int | None = None, reason: str | None = None, what: Write = Write(),
    error: JobError | None = None, points: tuple[int, int] | None = None,
) -> Answer:  # fmt: skip
    """Moves a job as the table of transitions says, with the event that tells of it; not applied where the trigger does not fit the state.

    ``what`` is written with it. ``points`` is the number of metric points and their checksum, for the ``done`` event; by default those
    of the record.
    """
    while True:  # the state may change between reading and writing
        job = get(redis, job_id)
        if job is None:
            return Answer(False, None, 0, 0)
        row = transition(trigger, job.state)
        if row is None or attempt not in (None, job.attempt):
            return Answer(False, job.state, job.attempt, job.seq)
        answer = _move(redis, job, row.target, reason, what, error, points)
        if answer.applied or answer.missing or answer.attempt != job.attempt:
            return answer


def _move(
    redis: Redis, job: Job, to: JobState, reason: str | None, what: Write, error: JobError | None, points: tuple[int, int] | None
) -> Answer:
    attempt = what.fields.get("attempt", job.attempt)
    worker = what.fields.get("worker") or None
    change = StateChange(state=to, time=now_ms() / 1000, attempt=attempt, reason=reason, worker=worker)
    fields: Fields = {"reason": reason, **what.fields, **({"error": error} if error else {})}
    if job.state in ENDED:
        fields |= {"finished_ms": None, "archived": 0}
    events = [*what.events, StateEvent(time=change.time, attempt=attempt, state=to, reason=reason)]
    if to in ENDED:
        fields["finished_ms"] = int(change.time * 1000)
        count, crc = points or (job.points, job.crc)
        events.append(DoneEvent(time=change.time, attempt=attempt, state=to, points=count, checksum=f"{crc:08x}"))
    lease_ms = what.lease_ms if to in ACTIVE else 0
    return fence.move(
        redis, job.id, change, replace(what, fields=fields, events=events, lease_ms=lease_ms), attempt=job.attempt, source=job.state
    )


def next_attempt(job: Job, failures: int) -> Mapping[str, Any]:
    """The fields of a record whose job waits for another attempt."""
    return {
        "attempt": job.attempt + 1, "batch": 0, "failures": failures, "runner": None, "worker": None, "waiting_since_ms": now_ms(),
    }  # fmt: skip


def lose(redis: Redis, job_id: str, attempt: int, reason: str, harmless: bool = False) -> bool:
    """What happens to a job whose process is gone: what was requested, or another attempt, or failure after too many.

    ``harmless`` losses (a worker that was told to stop) do not count. False if the attempt was not the current one any more.
    """
    if apply(redis, job_id, Step.COMPLY, attempt=attempt, reason=reason).applied:
        return True
    job = get(redis, job_id)
    if job is None or job.attempt != attempt:
        return False
    failures = job.failures + (0 if harmless else 1)
    if failures < MAX_FAILURES:
        again = Write(fields=next_attempt(job, failures))
        return apply(redis, job_id, Step.REQUEUE, attempt=attempt, reason=reason, what=again).applied
    message = f"{reason}; {failures} attempts in a row were lost before a checkpoint"
    error = JobError(code="lost", message=message)
    return apply(redis, job_id, Step.GIVE_UP, attempt=attempt, reason=message, error=error).applied


def extend(redis: Redis, job: Job, spec: Spec, last_step: int) -> bool:
    """Has a job that has ended wait for another attempt, which goes on from its last checkpoint with the epochs of ``spec``."""
    standing = {"spec": spec, "extension": Extension(step=last_step, points=job.points, reports=job.reports), "results": None}
    what = Write(fields={**next_attempt(job, 0), **standing})
    reason = f"extended to {spec['epochs']} epochs"
    return apply(redis, job.id, Request.EXTEND, attempt=job.attempt, reason=reason, what=what).applied


def resume(redis: Redis, job: Job) -> bool:
    """Has a paused job wait for another attempt."""
    return apply(redis, job.id, Request.RESUME, attempt=job.attempt, reason="resumed", what=Write(fields=next_attempt(job, 0))).applied
