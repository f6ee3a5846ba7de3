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

from worker.deployment import Redis

CPU, CUDA, DATA = "cpu", "cuda", "data"
"""The queues: training on either kind of device, and reading uploads."""
_HEARTBEAT_S = 30


def _queue(redis: Redis, name: str) -> Queue:
    return Queue(name, connection=redis, serializer="json")


def enqueue(redis: Redis, queue: str, task: Callable[[str], None], subject: str, call_id: str, pipeline: Any = None) -> None:
    """Queues the call ``task(subject)`` under the name ``call_id``; part of ``pipeline``'s transaction where one is given."""
    _queue(redis, queue).enqueue_call(
        task, args=(subject,), job_id=call_id, timeout=-1, result_ttl=0, failure_ttl=60, description=f"{task.__name__}({subject})",
        pipeline=pipeline,
    )  # fmt: skip


def is_enqueued(redis: Redis, queue: str, call_id: str) -> bool:
    """Whether a call is still in its queue, not taken by a worker."""
    return redis.lpos(_queue(redis, queue).key, call_id) is not None


def enqueued(redis: Redis, queue: str) -> list[str]:
    """The ids of the calls in a queue, first to run first."""
    return _queue(redis, queue).get_job_ids()


def dequeue(redis: Redis, queue: str, call_id: str) -> None:
    """Takes a call out of its queue."""
    redis.lrem(_queue(redis, queue).key, 1, call_id)
    redis.delete(Job.key_for(call_id))


class _Short:
    """Settings for both workers: notice soon that a worker, or Redis, is gone."""

    max_connection_wait_time = 1.0
    log_result_lifespan = False

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        return _HEARTBEAT_S


class TrainingWorker(_Short, SimpleWorker):
    """Performs a call in this process: all it does is watch a child that trains."""

    def __init__(self, *args: Any, after_call: Callable[[str], None], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._after_call = after_call
        self._heartbeat: Callable[[], None] | None = None

    def execute_job(self, job: Job, queue: Queue) -> None:
        execution = self.prepare_execution(job)
        self._heartbeat = lambda: self.maintain_heartbeats(job, execution)
        try:
            self.perform_job(job, queue, execution)
        finally:
            self._heartbeat = None
        self._after_call(job.args[0])

    def heartbeat_of_call(self) -> None:
        """Tells RQ that the call goes on."""
        if self._heartbeat is not None:
            self._heartbeat()

    @property
    def stop_requested(self) -> bool:
        """Whether a signal asked this worker to end."""
        return bool(self._stop_requested)


class DataWorker(_Short, Worker):
    """Performs a call in a forked process, which decodes what strangers upload."""


def shutdown_requested(worker: Any) -> bool:
    """Whether a worker's loop ended because a signal asked for it."""
    return worker._shutdown_requested_date is not None


def _settings(redis: Redis, queue: str, name: str) -> Any:
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    return {
        "queues": [queue], "name": name, "connection": redis, "serializer": "json", "log_job_description": False, "worker_ttl": _HEARTBEAT_S,
        "job_monitoring_interval": 2, "maintenance_interval": 60,
    }  # fmt: skip


def training_worker(redis: Redis, queue: str, name: str, after_call: Callable[[str], None]) -> TrainingWorker:
    """A worker for training jobs; ``after_call`` is given the subject of each call that was performed."""
    return TrainingWorker(after_call=after_call, **_settings(redis, queue, name))


def data_worker(redis: Redis, name: str) -> DataWorker:
    """A worker that reads uploads."""
    return DataWorker(**_settings(redis, DATA, name))
