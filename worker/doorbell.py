"""RQ, kept behind one small module: it wakes a worker; who runs what is decided by the job's record.

One queue a worker process: with several, RQ pops before it registers, and a worker killed in between loses the job.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from rq import Queue, Worker
from rq.job import Job
from rq.worker import SimpleWorker

from worker.connection import Redis

CPU, CUDA, DATA = "cpu", "cuda", "data"
"""The queues: training on either kind of device, and reading uploads."""
_HEARTBEAT_S = 30


def _queue(redis: Redis, name: str) -> Queue:
    return Queue(name, connection=redis, serializer="json")


def ring(redis: Redis, queue: str, entry: str, subject: str, ring_id: str, pipeline: Any = None) -> None:
    """Queues a call of the function at ``entry`` with ``subject``; part of ``pipeline``'s transaction where one is given."""
    _queue(redis, queue).enqueue_call(
        entry,
        args=(subject,),
        job_id=ring_id,
        timeout=-1,
        result_ttl=0,
        failure_ttl=60,
        description=f"{entry}({subject})",
        pipeline=pipeline,
    )


def is_waiting(redis: Redis, queue: str, ring_id: str) -> bool:
    """Whether a call is still in its queue, not taken by a worker."""
    return redis.lpos(_queue(redis, queue).key, ring_id) is not None


def waiting(redis: Redis, queue: str) -> list[str]:
    """The ids of the calls in a queue, first to run first."""
    return _queue(redis, queue).get_job_ids()


def forget(redis: Redis, queue: str, ring_id: str) -> None:
    """Takes a call out of its queue."""
    redis.lrem(_queue(redis, queue).key, 1, ring_id)
    redis.delete(Job.key_for(ring_id))


class _Short:
    """Settings for both workers: notice soon when a worker, or the store, is gone."""

    max_connection_wait_time = 1.0
    log_result_lifespan = False

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        return _HEARTBEAT_S


class TrainingWorker(_Short, SimpleWorker):
    """Runs the entry in this process: all it does is watch a child that trains. It may ask ``stop_requested`` at any time."""

    on_tick: Callable[[], None] | None = None

    def execute_job(self, job: Job, queue: Queue) -> None:
        execution = self.prepare_execution(job)
        self.on_tick = lambda: self.maintain_heartbeats(job, execution)
        try:
            self.perform_job(job, queue, execution)
        finally:
            self.on_tick = None

    @property
    def stop_requested(self) -> bool:
        return bool(self._stop_requested)


def shutdown_requested(worker: Any) -> bool:
    """Whether a worker's loop ended because a signal asked for it."""
    return worker._shutdown_requested_date is not None


class DataWorker(_Short, Worker):
    """Runs the entry in a forked process, which decodes what strangers upload."""


def make_worker(kind: type[TrainingWorker] | type[DataWorker], redis: Redis, queue: str, name: str) -> Any:
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    return kind(
        [queue],
        name=name,
        connection=redis,
        serializer="json",
        log_job_description=False,
        worker_ttl=_HEARTBEAT_S,
        job_monitoring_interval=2,
        maintenance_interval=60,
    )
