"""How a run speaks to its job's record: points in batches, the lease kept alive, and what others ask for heard."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

from worker import events, fence, jobs, keys
from worker.connection import Redis

LEASE_MS = 10_000
RENEW_S = 2.0
LISTEN_S = 0.2
BATCH_POINTS, BATCH_S = 50, 0.1
_ASKED = ("cancelling", "stopping", "pausing")


LOST_LEASE = 5
"""The exit code of a process whose job is another's."""


class LostLease(RuntimeError):
    """Another process has the job, or it is over: nothing more may be written."""


class Reporter:
    """The only writer of a job while it runs. A thread flushes, renews the lease and listens, so that a long step hides nothing."""

    def __init__(self, redis: Redis, job_id: str, worker: str, leave: Callable[[int], Any] = os._exit) -> None:
        self.redis, self.job_id, self.worker = redis, job_id, worker
        self._leave_process = leave
        self.runner = secrets.token_hex(8)
        self.attempt = self.produced = self._logged = self._crc = self._batch = 0
        self._pending: list[dict[str, Any]] = []
        self._state, self._lost = "starting", False
        self._lock = threading.RLock()
        self._last_flush = self._last_write = 0.0
        self._progress: dict[str, Any] = {}
        self._closed = threading.Event()

    # -- life

    def start(self) -> dict[str, Any]:
        """Takes the job: queued becomes starting, for this process alone. The record. Raises LostLease if it is not to be had."""
        record = jobs.get(self.redis, self.job_id)
        if record is None:
            raise LostLease("there is no such job")
        self.attempt = record["attempt"]
        fields = {
            "runner": self.runner, "worker": self.worker, "host": socket.gethostname(), "pid": os.getpid(),
            **({} if record["started"] else {"started": jobs.now_ms()}),
        }  # fmt: skip
        answer = jobs.move(
            self.redis,
            self.job_id,
            "starting",
            states=("queued",),
            attempt=self.attempt,
            batch=self._next(),
            lease_ms=LEASE_MS,
            fields=fields,
        )
        if not answer.applied or (self.redis.hget(keys.job(self.job_id), "runner") or b"").decode() != self.runner:
            raise LostLease(f"the job is {answer.state} (attempt {answer.attempt})")
        self._logged, self._crc = record["points"], record["crc"]
        self._last_write = time.monotonic()
        threading.Thread(target=self._keep, daemon=True, name="reporter").start()
        return record

    def resume(self, points: int, step: int) -> None:
        """Tells how many points the run had produced when the state it goes on from was saved."""
        self.produced = points
        self._add(events.log_event(f"resumed from the checkpoint of step {step}", self.attempt, step=step))

    def running(self, total_steps: int, done_steps: int, card: dict[str, Any]) -> None:
        """Starting becomes running, unless something has been asked for meanwhile; ``done_steps`` were done by earlier attempts.

        ``card`` is what the record keeps of the model: classes, input, transform.
        """
        with self._lock:
            self._progress = {"step": done_steps, "total_steps": total_steps, "epoch": 0, "since": time.time(), "from_step": done_steps}
            answer = jobs.move(
                self.redis, self.job_id, "running", states=("starting",), attempt=self.attempt, batch=self._next(), lease_ms=LEASE_MS,
                fields={"model": card},
            )  # fmt: skip
            if answer.state in _ASKED and answer.attempt == self.attempt:
                self._state = answer.state
            else:
                self._check(answer)

    def _next(self) -> int:
        self._batch += 1
        return self._batch

    def _check(self, answer: fence.Answer) -> None:
        if not answer.applied:
            self._lost = True
            raise LostLease(
                "there is no such job any more"
                if answer.missing
                else f"the job is {answer.state} in attempt {answer.attempt}; this was attempt {self.attempt}"
            )
        self._state, self._last_write = answer.state, time.monotonic()

    def _leave(self, to: str, **more: Any) -> None:
        """Moves the job to a state in which no process works on it, after sending what is pending."""
        with self._lock:
            self.flush()
            self._closed.set()
            self._check(jobs.move(self.redis, self.job_id, to, states=jobs.ACTIVE, attempt=self.attempt, batch=self._next(), **more))

    # -- what the run says

    def metrics(self, point: dict[str, Any], step: int, epoch: int) -> None:
        """One point of the history. A point that an earlier attempt has logged is not logged again."""
        with self._lock:
            self.produced += 1
            self._progress.update(step=step, epoch=epoch)
            if self.produced <= self._logged:
                return
            self._crc = zlib.crc32(events.canonical(point), self._crc)
            self._add(events.metric_event(point, self.attempt))
            if len(self._pending) >= BATCH_POINTS or time.monotonic() - self._last_flush > BATCH_S:
                self.flush()

    def total(self, steps: int) -> None:
        """How many steps the job has after all, where a variant has ended early."""
        with self._lock:
            self._progress.update(total_steps=steps)

    def saved(self, step: int) -> None:
        with self._lock:
            self._add(events.log_event(f"checkpoint of step {step}", self.attempt, step=step))
            self._write({"failures": 0})

    def log(self, message: str, **more: Any) -> None:
        """A line for the people who watch."""
        self._add(events.log_event(message, self.attempt, **more))

    def _add(self, event: dict[str, Any]) -> None:
        with self._lock:
            self._pending.append(event)

    def _write(self, fields: dict[str, Any]) -> None:
        """Sends what is pending, in one write that may be repeated."""
        pending, self._pending = self._pending, []
        self._logged = max(self._logged, self.produced)
        answer = fence.write(
            self.redis, self.job_id, attempt=self.attempt, states=jobs.ACTIVE, batch=self._next(), lease_ms=LEASE_MS,
            fields={"points": self._logged, "crc": self._crc, "progress": self._progress, **fields}, events=pending,
        )  # fmt: skip
        self._last_flush = time.monotonic()
        self._check(answer)

    def flush(self) -> None:
        """Sends pending events now."""
        with self._lock:
            if self._pending:
                self._write({})

    # -- how it ends

    def finish(
        self, state: str, *, reason: str | None = None, error: dict[str, Any] | None = None, results: dict[str, Any] | None = None
    ) -> None:
        """Ends the job, with the event that lets a client prove that it has every point."""
        with self._lock:
            self.flush()
            fields = {k: v for k, v in (("error", error), ("results", results), ("progress", self._progress)) if v}
            done = jobs.done_event({"attempt": self.attempt}, state, self._logged, self._crc)
            self._leave(state, reason=reason or (error or {}).get("message"), fields=fields, events=[done])

    def pause(self) -> None:
        self._leave("paused", reason="requested")

    def hand_back(self) -> None:
        """Gives the job back to the queue: this worker is ending."""
        with self._lock:
            self.flush()
            self._closed.set()
            jobs.lost(self.redis, self.job_id, self.attempt, "the worker was told to stop", harmless=True)

    def asked(self) -> str | None:
        """``cancelling``, ``stopping`` or ``pausing``, once somebody has asked for it. Raises LostLease."""
        if self._lost:
            raise LostLease(f"attempt {self.attempt} is not the current one any more")
        return self._state if self._state in _ASKED else None

    def _keep(self) -> None:
        """The thread: a refused write means the job is somebody else's, so the process ends at once."""
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
                if state.decode() in _ASKED:
                    self._state = state.decode()
            except Exception as error:  # refused, or the store stayed away: this process must not go on
                if not self._closed.is_set():
                    print(f"{self.job_id}: {error}", file=sys.stderr, flush=True)
                    self._leave_process(LOST_LEASE)
                    return
