"""Puts right what a death in the wrong moment left behind: one process at a time looks for it every two seconds."""

from __future__ import annotations

import logging
import secrets
import threading
import time

from redis.exceptions import RedisError

from worker import datasets, doorbell, events, jobs, keys
from worker.connection import Place, Redis

PERIOD_S = 2.0
LOCK_MS = 6_000
UNHEARD_MS = 3_000
ARCHIVE_AFTER_S = 60.0
_log = logging.getLogger("epochline.reconciler")


def expire_leases(redis: Redis) -> list[str]:
    """Jobs whose process has not renewed its lease go to another attempt; their ids."""
    seconds, micros = redis.time()
    expired = redis.zrangebyscore(keys.LEASES, "-inf", seconds * 1000 + micros // 1000)
    moved = []
    for raw in expired:
        job_id = raw.decode()
        record = jobs.get(redis, job_id)
        if record is None or not jobs.lost(redis, job_id, record["attempt"], "the worker stopped answering"):
            redis.zrem(keys.LEASES, raw)
        else:
            moved.append(job_id)
    return moved


def ring_unheard(redis: Redis) -> list[str]:
    """Queued jobs that RQ knows nothing of any more are rung for again; their ids."""
    rung = []
    for raw in redis.zrange(keys.in_state("queued"), 0, -1):
        job_id = raw.decode()
        record = jobs.get(redis, job_id)
        if record is None or record["state"] != "queued":
            continue
        since = int(record.get("waiting_since") or record["created"] * 1000)
        name = jobs.ring_id(job_id, record["attempt"])
        if jobs.now_ms() - since < UNHEARD_MS or doorbell.is_waiting(redis, record["queue"], name):
            continue
        redis.hset(keys.job(job_id), "waiting_since", jobs.now_ms())
        doorbell.ring(redis, record["queue"], jobs.ENTRY, job_id, name)
        rung.append(job_id)
    return rung


def archive_ended(redis: Redis, place: Place, after_s: float = ARCHIVE_AFTER_S) -> None:
    """Moves the logs of jobs that are over out of memory, once those who follow have read them."""
    for state in jobs.ENDED:
        for raw in redis.zrevrange(keys.in_state(state), 0, 199):
            job_id = raw.decode()
            finished, archived = redis.hmget(keys.job(job_id), "finished", "archived")
            if archived is None and finished is not None and jobs.now_ms() - int(finished) > after_s * 1000:
                events.archive(redis, place, job_id)


def once(redis: Redis, place: Place) -> None:
    """One round."""
    expire_leases(redis)
    ring_unheard(redis)
    datasets.revive(redis)
    archive_ended(redis, place)


class Reconciler(threading.Thread):
    """Runs a round every two seconds while this process holds the lock, which it keeps as long as it lives."""

    def __init__(self, place: Place) -> None:
        super().__init__(daemon=True, name="reconciler")
        self.place, self._token, self._gone = place, secrets.token_hex(8), threading.Event()

    def run(self) -> None:
        redis = self.place.connect(patience_s=5)
        while not self._gone.is_set():
            began = time.monotonic()
            try:
                if self._holds(redis):
                    once(redis, self.place)
            except RedisError as error:
                _log.warning("the store is away: %s", error)
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
