"""Repairs what a death at the wrong moment left behind: one process at a time looks for it every two seconds."""

from __future__ import annotations

import secrets
import threading
import time

from redis.exceptions import RedisError

from worker import dispatch, events, jobs, keys
from worker.deployment import Deployment, Redis
from worker.logs import logger
from worker.states import ENDED

PERIOD_S = 2.0
LOCK_MS = 6_000
ARCHIVE_AFTER_S = 60.0
_log = logger("reconciler")


def expire_leases(redis: Redis) -> list[str]:
    """Jobs whose process has not renewed its lease go to another attempt; their ids."""
    seconds, micros = redis.time()
    expired = redis.zrangebyscore(keys.LEASES, "-inf", seconds * 1000 + micros // 1000)
    moved = []
    for raw in expired:
        job_id = raw.decode()
        job = jobs.get(redis, job_id)
        if job is None or not dispatch.lose(redis, job_id, job.attempt, "the worker stopped answering"):
            redis.zrem(keys.LEASES, raw)
        else:
            moved.append(job_id)
    return moved


def archive_ended(redis: Redis, deployment: Deployment, after_s: float = ARCHIVE_AFTER_S) -> None:
    """Moves the logs of jobs that are over out of memory, once those who follow have read them."""
    for state in ENDED:
        for raw in redis.zrevrange(keys.in_state(state), 0, 199):
            job_id = raw.decode()
            finished, archived = redis.hmget(keys.job(job_id), "finished", "archived")
            if archived != b"1" and finished is not None and jobs.now_ms() - int(finished) > after_s * 1000:
                events.archive(redis, deployment, job_id)


def once(redis: Redis, deployment: Deployment) -> None:
    """One round."""
    for job_id in expire_leases(redis):
        _log.warning("a lease ended", job=job_id)
    for job_id in dispatch.requeue_orphaned(redis):
        _log.warning("an orphaned job is enqueued again", job=job_id)
    dispatch.requeue_stale_uploads(redis)
    archive_ended(redis, deployment)


class Reconciler(threading.Thread):
    """Runs a round every two seconds while this process holds the lock, which it keeps as long as it lives."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(daemon=True, name="reconciler")
        self.deployment, self._token, self._gone = deployment, secrets.token_hex(8), threading.Event()

    def run(self) -> None:
        redis = self.deployment.connect(patience_s=5)
        while not self._gone.is_set():
            began = time.monotonic()
            try:
                if self._holds(redis):
                    once(redis, self.deployment)
            except RedisError as error:
                _log.warning("Redis is unreachable", error=str(error))
            except Exception:
                _log.exception("a round failed")
            self._gone.wait(max(0.1, PERIOD_S - (time.monotonic() - began)))

    def _holds(self, redis: Redis) -> bool:
        if redis.set(keys.RECONCILER, self._token, nx=True, px=LOCK_MS):
            return True
        if redis.get(keys.RECONCILER) != self._token.encode():
            return False
        redis.pexpire(keys.RECONCILER, LOCK_MS)
        return True

    def stop(self) -> None:
        self._gone.set()
