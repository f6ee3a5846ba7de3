"""How a run speaks to its job's record: points in batches, the lease kept alive, and what is requested of it heard."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

from worker import fence, jobs, keys
from worker.deployment import Redis
from worker.fence import Fields, Write
from worker.logs import logger
from worker.records import Event, Job, JobError, JsonObject, LogEvent, MetricsEvent, Progress, ReportEvent, canonical
from worker.states import ACTIVE, JobState, Step, Trigger

LEASE_MS = 10_000
RENEW_S = 2.0
LISTEN_S = 0.2
BATCH_POINTS, BATCH_S = 50, 0.1
REQUESTED = (JobState.CANCELLING, JobState.STOPPING, JobState.PAUSING)
"""The states by which a run learns what is requested of it."""

LOST_LEASE = 5
"""The exit code of a process whose job is another's."""
_log = logger("run")


class LostLease(RuntimeError):
    """Another process has the job, or it is over: nothing more may be written."""


class Reporter:
    """The only writer of a job while it runs. A thread flushes, renews the lease and listens, so that a long step hides nothing."""

    def __init__(self, redis: Redis, job_id: str, worker: str, leave: Callable[[int], Any] = os._exit) -> None:
        self.redis, self.job_id, self.worker = redis, job_id, worker
        self._leave_process = leave
        self.runner = secrets.token_hex(8)
        self.attempt = self.produced = self.produced_reports = self._logged = self._logged_reports = self._crc = self._number = 0
        self._pending: list[Event] = []
        self._state, self._lost = JobState.STARTING, False
        self._lock = threading.RLock()
        self._last_flush = self._last_write = 0.0
        self._progress: Progress | None = None
        self._closed = threading.Event()

    # -- life

    def start(self) -> Job:
        """Takes the job: queued becomes starting, for this process alone. The record. Raises LostLease if it is not to be had."""
        job = jobs.get(self.redis, self.job_id)
        if job is None:
            raise LostLease("there is no such job")
        self.attempt = job.attempt
        fields: Fields = {"runner": self.runner, "worker": self.worker, "host": socket.gethostname(), "pid": os.getpid()}
        if job.started_ms is None:
            fields["started_ms"] = jobs.now_ms()
        answer = self._apply(Step.START, Write(fields))
        if not answer.applied or (self.redis.hget(keys.job(self.job_id), "runner") or b"").decode() != self.runner:
            raise LostLease(f"the job is {answer.state} (attempt {answer.attempt})")
        self._logged, self._crc, self._logged_reports = job.points, job.crc, job.reports
        self._last_write = time.monotonic()
        threading.Thread(target=self._keep, daemon=True, name="reporter").start()
        return job

    def resume(self, points: int, reports: int, step: int) -> None:
        """Tells how many points and reports the run had produced when the state it goes on from was saved."""
        self.produced, self.produced_reports = points, reports
        self.log(f"resumed from the checkpoint of step {step}", step=step)

    def running(self, total_steps: int, done_steps: int, card: JsonObject) -> None:
        """Starting becomes running, unless something has been requested meanwhile; ``done_steps`` were done by earlier attempts.

        ``card`` is what the record keeps of the model: classes, input, transform.
        """
        with self._lock:
            self._progress = Progress(step=done_steps, total_steps=total_steps, epoch=0, since=time.time(), from_step=done_steps)
            answer = self._apply(Step.RUN, Write({"model": card}))
            if answer.state in REQUESTED and answer.attempt == self.attempt:
                self._state = answer.state
            else:
                self._check(answer)

    def _apply(self, step: Trigger, what: Write, **more: Any) -> fence.Answer:
        numbered = Write(what.fields, what.events, LEASE_MS, self._next())
        return jobs.apply(self.redis, self.job_id, step, attempt=self.attempt, what=numbered, **more)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _check(self, answer: fence.Answer) -> None:
        if not answer.applied or answer.state is None:
            self._lost = True
            raise LostLease(
                "there is no such job any more"
                if answer.missing
                else f"the job is {answer.state} in attempt {answer.attempt}; this was attempt {self.attempt}"
            )
        self._state, self._last_write = answer.state, time.monotonic()

    # -- what the run says

    def metrics(self, point: JsonObject, step: int, epoch: int) -> None:
        """One point of the history. A point that an earlier attempt has logged is not logged again."""
        with self._lock:
            self.produced += 1
            self._advance(step=step, epoch=epoch)
            if self.produced <= self._logged:
                return
            self._crc = zlib.crc32(canonical(point), self._crc)
            self._add(MetricsEvent(time=_now(), attempt=self.attempt, **point))
            if len(self._pending) >= BATCH_POINTS or time.monotonic() - self._last_flush > BATCH_S:
                self.flush()

    def report(self, step: int, epoch: int, split: str, variant: str | None, values: JsonObject) -> None:
        """An evaluation. One that an earlier attempt has logged is not logged again."""
        with self._lock:
            self.produced_reports += 1
            if self.produced_reports > self._logged_reports:
                self._add(
                    ReportEvent(time=_now(), attempt=self.attempt, step=step, epoch=epoch, split=split, variant=variant, report=values)
                )

    def total(self, steps: int) -> None:
        """How many steps the job has after all, where a variant has ended early."""
        with self._lock:
            self._advance(total_steps=steps)

    def _advance(self, **more: int) -> None:
        if self._progress is not None:
            self._progress = self._progress.model_copy(update=more)

    def saved(self, step: int) -> None:
        """Tells of a checkpoint: losses of attempts are counted from here."""
        with self._lock:
            self.log(f"checkpoint of step {step}", step=step)
            self._write({"failures": 0})

    def log(self, message: str, level: str = "info", **more: Any) -> None:
        """A line for the people who watch."""
        self._add(LogEvent(time=_now(), attempt=self.attempt, level=level, message=message, **more))

    def _add(self, event: Event) -> None:
        with self._lock:
            self._pending.append(event)

    def _write(self, fields: Fields) -> None:
        """Sends what is pending, in one write that may be repeated."""
        pending, self._pending = self._pending, []
        self._logged = max(self._logged, self.produced)
        self._logged_reports = max(self._logged_reports, self.produced_reports)
        standing = {"points": self._logged, "crc": self._crc, "reports": self._logged_reports, "progress": self._progress}
        what = Write({**standing, **fields}, pending, LEASE_MS, self._next())
        answer = fence.write(self.redis, self.job_id, what, attempt=self.attempt, states=ACTIVE)
        self._last_flush = time.monotonic()
        self._check(answer)

    def flush(self) -> None:
        """Sends pending events now."""
        with self._lock:
            if self._pending:
                self._write({})

    # -- how it ends

    def succeed(self, results: JsonObject) -> None:
        """Ends the job, with the event that lets a client prove that it has every point."""
        self._end(Step.SUCCEED, {"results": results})

    def fail(self, error: JobError, results: JsonObject | None = None) -> None:
        """Ends the job with the reason."""
        self._end(Step.FAIL, {"results": results} if results else {}, reason=error.message, error=error)

    def comply(self, results: JsonObject | None = None) -> JobState:
        """What was requested is done: the job is cancelled, stopped or paused; or queued, if it was resumed meanwhile. The state."""
        with self._lock:
            answer = self._leave(Step.COMPLY, {"results": results} if results else {}, reason="requested")
            if answer.state == JobState.RUNNING and jobs.lose(self.redis, self.job_id, self.attempt, "resumed", harmless=True):
                return JobState.QUEUED
            self._check(answer)
            return self._state

    def _end(self, step: Step, fields: Fields, **more: Any) -> None:
        with self._lock:
            self._check(self._leave(step, fields, **more))

    def _leave(self, step: Step, fields: Fields, **more: Any) -> fence.Answer:
        """Moves the job to a state in which no process works on it, after sending what is pending."""
        self.flush()
        self._closed.set()
        return self._apply(step, Write({**fields, "progress": self._progress}), points=(self._logged, self._crc), **more)

    def release(self) -> None:
        """Gives the job back to the queue: this worker is ending."""
        with self._lock:
            self.flush()
            self._closed.set()
            jobs.lose(self.redis, self.job_id, self.attempt, "the worker was told to stop", harmless=True)

    def requested(self) -> JobState | None:
        """``cancelling``, ``stopping`` or ``pausing``, once a user has requested it. Raises LostLease."""
        if self._lost:
            raise LostLease(f"attempt {self.attempt} is not the current one any more")
        return self._state if self._state in REQUESTED else None

    def _keep(self) -> None:
        """The thread: a refused write means the job is another process's, so this process ends at once."""
        while not self._closed.wait(LISTEN_S / 2):
            try:
                with self._lock:
                    if self._closed.is_set():
                        return
                    if time.monotonic() - self._last_write > RENEW_S:
                        self._write({})
                    else:
                        self.flush()
                state, attempt = self.redis.hmget(keys.job(self.job_id), "state", "attempt")
                if attempt is None or int(attempt) != self.attempt:
                    raise LostLease(f"the job is at attempt {attempt and int(attempt)}")
                self._hear(JobState(state.decode()))
            except Exception as error:  # refused, or Redis stayed unreachable: this process must not go on
                if not self._closed.is_set():
                    _log.error("the job is lost", job=self.job_id, error=str(error))
                    self._leave_process(LOST_LEASE)
                    return

    def _hear(self, state: JobState) -> None:
        if state in REQUESTED:
            self._state = state


def _now() -> float:
    return jobs.now_ms() / 1000
