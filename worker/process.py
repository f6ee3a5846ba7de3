"""A worker process: takes jobs from one queue, or reads uploads."""

from __future__ import annotations

import contextlib
import os
import platform
import socket
import threading
import time
from typing import Literal

from redis.exceptions import RedisError

from engine.backend import available_memory
from worker import dispatch, jobs, keys, queue, supervisor
from worker.codec import dump, parse
from worker.deployment import Deployment, Redis, eviction_warning
from worker.logs import logger
from worker.records import WorkerInfo

PRESENCE_S = 5
_log = logger("worker")


class WorkerProcess:
    """What ``python -m worker`` runs: it says that it is there, and performs calls until a signal ends it.

    ``device`` is ``cpu`` or ``cuda:N``; ``kind`` the queue that it serves.
    """

    def __init__(self, deployment: Deployment, kind: str, device: str, name: str | None = None) -> None:
        self.deployment, self.queue, self.device = deployment, kind, device
        self.name = name or f"{socket.gethostname()}-{os.getpid()}-{kind}"
        self._gone = threading.Event()
        os.environ.update(EPOCHLINE_WORKER=self.name, EPOCHLINE_DEVICE=device)
        self._supervisor = supervisor.current() if kind != queue.DATA else None

    @property
    def info(self) -> WorkerInfo:
        job = self._supervisor.job if self._supervisor else None
        state: Literal["busy", "idle"] = "busy" if job else "idle"
        return WorkerInfo(
            name=self.name, host=socket.gethostname(), pid=os.getpid(), queue=self.queue, device=self.device, python=platform.python_version(),
            cpus=os.cpu_count() or 1, memory_bytes=available_memory(), job=job, state=state, seen_ms=jobs.now_ms(),
        )  # fmt: skip

    def announce(self, redis: Redis) -> None:
        """Says that this worker is there; forgotten after a while."""
        with redis.pipeline() as pipe:
            pipe.sadd(keys.WORKERS, self.name)
            pipe.delete(keys.worker(self.name))
            pipe.hset(keys.worker(self.name), mapping=dump(self.info))
            pipe.expire(keys.worker(self.name), 3 * PRESENCE_S)
            pipe.execute()

    def _announce_regularly(self) -> None:
        redis = self.deployment.connect()
        while not self._gone.is_set():
            with contextlib.suppress(RedisError):  # unreachable for longer than the client is patient: the next round tries again
                self.announce(redis)
            self._gone.wait(PRESENCE_S)

    def serve(self) -> None:
        """Performs calls until told to stop by SIGTERM or SIGINT."""
        redis = self.deployment.connect()
        if warning := eviction_warning(redis):
            _log.warning(warning)
        threading.Thread(target=self._announce_regularly, daemon=True, name="presence").start()
        try:
            while not self._serve_once(redis):
                time.sleep(1)  # RQ gave up, because Redis was unreachable for long: start over
        finally:
            self._gone.set()
            if self._supervisor is not None:
                self._supervisor.close()
            redis.delete(keys.worker(self.name))

    def _serve_once(self, redis: Redis) -> bool:
        """Runs RQ's loop; whether it ended because a signal asked for it."""
        name = f"{self.name}-{jobs.now_ms()}"
        if self._supervisor is None:
            worker: queue.DataWorker | queue.TrainingWorker = queue.data_worker(redis, name)
        else:
            worker = training = queue.training_worker(redis, self.queue, name, lambda job_id: dispatch.enqueue_waiting(redis, job_id))
            self._supervisor.stop_requested = lambda: training.stop_requested
            self._supervisor.heartbeat = training.heartbeat_of_call
            self._supervisor.warm_up()
        try:
            worker.work(logging_level="WARNING")
        except RedisError as error:
            _log.warning("Redis is unreachable", error=str(error))
        return queue.shutdown_requested(worker)


def live(redis: Redis) -> list[WorkerInfo]:
    """What every live worker says of itself."""
    found = []
    for raw in redis.smembers(keys.WORKERS):
        described = redis.hgetall(keys.worker(raw.decode()))
        if described:
            found.append(parse(WorkerInfo, described))
        else:
            redis.srem(keys.WORKERS, raw)
    return sorted(found, key=lambda w: w.name)
