"""Brings the indexes of a store of an older version up to date; records are brought up to date as they are read."""

from __future__ import annotations

from worker import jobs, keys
from worker.deployment import Redis
from worker.logs import logger
from worker.records import SCHEMA_VERSION

_log = logger("migrations")


def migrate(redis: Redis) -> None:
    """Enters every job in the indexes that came with version 2; one process at a time, and again after one that died of it."""
    if int(redis.get(keys.SCHEMA_VERSION) or 1) >= SCHEMA_VERSION:
        return
    with redis.lock(keys.MIGRATION, timeout=600):
        ids = redis.zrange(keys.JOBS, 0, -1)
        for raw in ids:
            job = jobs.get(redis, raw.decode())
            if job is not None:
                with redis.pipeline(transaction=True) as pipe:
                    jobs.index(pipe, job)
                    pipe.execute()
        redis.set(keys.SCHEMA_VERSION, SCHEMA_VERSION)
    if ids:
        _log.info("the store was migrated", jobs=len(ids), version=SCHEMA_VERSION)
