"""Watches over the child process that trains a job.

The child has imported everything before its job arrives: measured here, Python with NumPy, redis and the engine takes 0.35 s to start,
which a job would otherwise wait for.
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import time
from collections.abc import Callable

from worker import jobs, keys
from worker.deployment import Deployment
from worker.processes import end, start
from worker.reporter import LOST_LEASE
from worker.run import ENDED, RELEASED
from worker.states import JobState

WATCH_S = 0.2
HEARTBEAT_S = 2.0
CANCEL_GRACE_S = 1.0
STOP_GRACE_S = 20.0


class Supervisor:
    """Hands jobs to a warm child, and sees to it that a job is not lost with its child.

    ``stop_requested`` and ``heartbeat`` are the worker's: whether it is to end, and what keeps its call alive.
    """

    def __init__(self, deployment: Deployment, device: str, name: str) -> None:
        self.device, self.name = device, name
        self.redis = deployment.connect()
        self.job: str | None = None
        self.stop_requested: Callable[[], bool] = lambda: False
        self.heartbeat: Callable[[], None] = lambda: None
        self._environment = run_environment(deployment, device, name)
        self._standby: subprocess.Popen[bytes] | None = None

    def warm_up(self) -> None:
        """Starts a child that waits for a job, unless there is one."""
        if self._standby is None or self._standby.poll() is not None:
            self._standby = start(["-m", "worker.run", "--standby"], self._environment, stdin=subprocess.PIPE)

    def close(self) -> None:
        """Ends the child that waits for a job."""
        if self._standby is not None:
            end(self._standby, 1.0)

    def run(self, job_id: str) -> None:
        """Has a child train a queued job. A job whose child died goes back to the queue, or fails, in its record."""
        job = jobs.get(self.redis, job_id)
        if job is None or job.state != JobState.QUEUED:
            return  # delivered twice, or cancelled meanwhile
        self.job = job_id
        try:
            code = self._watch(self._hand_over(job_id), job_id)
            if code not in (ENDED, LOST_LEASE, RELEASED):
                how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
                jobs.lose(self.redis, job_id, job.attempt, f"the training process {how}")
        finally:
            self.job = None
        if not self.stop_requested():
            self.warm_up()

    def _hand_over(self, job_id: str) -> subprocess.Popen[bytes]:
        """Gives the job to the warm child, or to a new one should that have died."""
        for _ in range(2):
            self.warm_up()
            child, self._standby = self._standby, None
            assert child is not None and child.stdin is not None
            try:
                child.stdin.write(f"{job_id}\n".encode())
                child.stdin.close()
                return child
            except BrokenPipeError:
                child.wait()
        raise RuntimeError("the training process ends before it takes a job")

    def _watch(self, child: subprocess.Popen[bytes], job_id: str) -> int:
        """Waits for the child; kills one that does not handle a request in time. Its exit code."""
        stopping_since: float | None = None
        cancelling_since: float | None = None
        last_heartbeat = time.monotonic()
        while True:
            try:
                return child.wait(WATCH_S)
            except subprocess.TimeoutExpired:
                now = time.monotonic()
            if now - last_heartbeat > HEARTBEAT_S:
                last_heartbeat = now
                self.heartbeat()
            if self.stop_requested():
                if stopping_since is None:
                    stopping_since = now
                    child.terminate()
                elif now - stopping_since > STOP_GRACE_S:
                    child.kill()
            if self.redis.hget(keys.job(job_id), "state") == JobState.CANCELLING.encode():
                cancelling_since = cancelling_since or now
                if now - cancelling_since > CANCEL_GRACE_S:
                    child.kill()
            else:
                cancelling_since = None


def run_environment(deployment: Deployment, device: str, name: str) -> dict[str, str]:
    """The environment of a process that trains or predicts: one thread for linear algebra, so that bits do not depend on the cores; one GPU."""
    found = {**deployment.environment(), "EPOCHLINE_WORKER": name, "EPOCHLINE_DEVICE": device.split(":")[0]}
    found.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    if device.startswith("cuda"):
        index, visible = int(device.partition(":")[2] or 0), os.environ.get("CUDA_VISIBLE_DEVICES")
        found["CUDA_VISIBLE_DEVICES"] = visible.split(",")[index] if visible else str(index)
    return found


@functools.cache
def current() -> Supervisor:
    """The supervisor of this worker process, from its environment; RQ gives a call nothing but its argument."""
    return Supervisor(Deployment.from_environment(), os.environ["EPOCHLINE_DEVICE"], os.environ["EPOCHLINE_WORKER"])
