"""A worker: takes jobs from one queue and has each trained by a child process.

The child has imported everything before its job arrives: measured here, Python with NumPy, redis and the engine takes 0.35 s to start,
which a job would otherwise wait for.
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import socket
import subprocess
import threading
import time
from typing import Any

from redis.exceptions import RedisError

from worker import doorbell, jobs, keys
from worker.connection import Place, Redis
from worker.processes import end, start
from worker.reporter import LOST_LEASE
from worker.run import ENDED, HANDED_BACK, available_memory

WATCH_S = 0.2
CANCEL_GRACE_S = 1.0
STOP_GRACE_S = 20.0
PRESENCE_S = 5


class Station:
    """One worker process: its name, its device, its warm child."""

    def __init__(self, place: Place, queue: str, device: str, name: str | None = None) -> None:
        self.place, self.queue, self.device = place, queue, device
        self.name = name or f"{socket.gethostname()}-{os.getpid()}-{queue}"
        self.redis = place.connect()
        self.current: str | None = None
        self._standby: subprocess.Popen[bytes] | None = None
        self._worker: Any = None
        self._gone = threading.Event()

    # -- presence

    def _describe(self) -> dict[str, Any]:
        return {
            "name": self.name, "host": socket.gethostname(), "pid": os.getpid(), "queue": self.queue, "device": self.device, "python": platform.python_version(),
            "cpus": os.cpu_count() or 1, "memory_bytes": available_memory(), "job": self.current or "", "state": "busy" if self.current else "idle",
            "seen": jobs.now_ms(),
        }  # fmt: skip

    def _announce(self, redis: Redis) -> None:
        with redis.pipeline() as pipe:
            pipe.sadd(keys.WORKERS, self.name)
            pipe.hset(keys.worker(self.name), mapping=self._describe())
            pipe.expire(keys.worker(self.name), 3 * PRESENCE_S)
            pipe.execute()

    def _be_present(self) -> None:
        redis = self.place.connect()
        while not self._gone.is_set():
            with contextlib.suppress(RedisError):  # away for longer than the client is patient: the next round tries again
                self._announce(redis)
            self._gone.wait(PRESENCE_S)

    # -- children

    def _environment(self) -> dict[str, str]:
        """One thread for linear algebra, so that a job's bits do not depend on the machine's cores; one GPU."""
        environment = {**self.place.environment(), "EPOCHLINE_WORKER": self.name, "EPOCHLINE_DEVICE": self.device.split(":")[0]}
        environment.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
        if self.device.startswith("cuda"):
            index, visible = int(self.device.partition(":")[2] or 0), os.environ.get("CUDA_VISIBLE_DEVICES")
            environment["CUDA_VISIBLE_DEVICES"] = visible.split(",")[index] if visible else str(index)
        return environment

    def _warm_up(self) -> None:
        if self._standby is None or self._standby.poll() is not None:
            self._standby = start(["-m", "worker.run", "--standby"], self._environment(), stdin=subprocess.PIPE)

    def _hand_over(self, job_id: str) -> subprocess.Popen[bytes]:
        """Gives the job to the warm child, or to a new one should that have died."""
        for _ in range(2):
            self._warm_up()
            child, self._standby = self._standby, None
            assert child is not None and child.stdin is not None
            try:
                child.stdin.write(f"{job_id}\n".encode())
                child.stdin.close()
                return child
            except BrokenPipeError:
                child.wait()
        raise RuntimeError("the training process ends before it takes a job")

    def train(self, job_id: str) -> None:
        """Has a child train the job, and sees to it that the job is not lost with the child."""
        record = jobs.get(self.redis, job_id)
        if record is None or record["state"] != "queued":
            return  # rung twice, or cancelled meanwhile
        self.current = job_id
        try:
            child = self._hand_over(job_id)
            code = self._watch(child, job_id)
            if code not in (ENDED, LOST_LEASE, HANDED_BACK):
                how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
                jobs.lost(self.redis, job_id, record["attempt"], f"the training process {how}")
        finally:
            self.current = None
        if not self._worker.stop_requested:
            self._warm_up()

    def _watch(self, child: subprocess.Popen[bytes], job_id: str) -> int:
        """Waits for the child; kills one that does not heed a request in time. Its exit code."""
        told: float | None = None
        cancelled: float | None = None
        last_tick = time.monotonic()
        while True:
            try:
                return child.wait(WATCH_S)
            except subprocess.TimeoutExpired:
                now = time.monotonic()
            if now - last_tick > 2 and self._worker.on_tick is not None:
                last_tick = now
                self._worker.on_tick()
            if self._worker.stop_requested:
                if told is None:
                    told = now
                    child.terminate()
                elif now - told > STOP_GRACE_S:
                    child.kill()
            if self.redis.hget(keys.job(job_id), "state") == b"cancelling":
                cancelled = cancelled or now
                if now - cancelled > CANCEL_GRACE_S:
                    child.kill()
            else:
                cancelled = None

    # -- life

    def serve(self) -> None:
        """Takes jobs until told to stop by SIGTERM or SIGINT."""
        global _station
        _station = self
        kind = doorbell.DataWorker if self.queue == doorbell.DATA else doorbell.TrainingWorker
        threading.Thread(target=self._be_present, daemon=True, name="presence").start()
        try:
            while True:
                if self.queue != doorbell.DATA:
                    self._warm_up()
                self._worker = doorbell.make_worker(kind, self.redis, self.queue, f"{self.name}-{jobs.now_ms()}")
                try:
                    self._worker.work(logging_level="WARNING")
                except RedisError as error:
                    print(f"worker {self.name}: {error}", flush=True)
                if doorbell.shutdown_requested(self._worker):
                    return
                time.sleep(1)  # RQ gave up, because the store was away for long: start over
        finally:
            self._gone.set()
            if self._standby is not None:
                end(self._standby, 1.0)
            self.redis.delete(keys.worker(self.name))


_station: Station | None = None


def answer(job_id: str) -> None:
    """What RQ calls for a training job, in the worker's own process."""
    assert _station is not None, "called outside of a worker"
    _station.train(job_id)


def live(redis: Redis) -> list[dict[str, Any]]:
    """What every live worker says of itself."""
    found = []
    for raw in redis.smembers(keys.WORKERS):
        described = redis.hgetall(keys.worker(raw.decode()))
        if not described:
            redis.srem(keys.WORKERS, raw)
            continue
        row: dict[str, Any] = {k.decode(): v.decode() for k, v in described.items()}
        row.update({k: int(row[k]) for k in ("pid", "cpus", "memory_bytes")}, seen=int(row["seen"]) / 1000, job=row["job"] or None)
        found.append(row)
    return sorted(found, key=lambda w: str(w["name"]))
