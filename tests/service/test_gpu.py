"""A GPU worker beside the server: jobs on CUDA, one that dies in between, one that asks for too much memory."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from engine.backend import cuda_device_count
from tests.service.deployment import Deployment, example, kill, wait_for

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not cuda_device_count(), reason="no CUDA device, or CuPy is not installed")]
EPOCHS = 12


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A server with its store, a CPU worker, and a GPU worker as an operator starts it."""
    d = Deployment(tmp_path_factory.mktemp("gpu")).start()
    store = f"unix://{d.data.resolve() / 'store' / 'store.sock'}"
    command = [sys.executable, "-m", "worker", "--redis", store, "--data", str(d.data), "--device", "cuda:0", "--queue", "train"]
    worker = subprocess.Popen(command, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    d.worker("cuda")
    yield d
    worker.terminate()
    worker.wait(30)
    d.stop()


def history(d: Deployment, job: str) -> list[dict[str, Any]]:
    return [{k: e[k] for k in ("step", "epoch", "split", "values")} for e in d.events(job) if e["type"] == "metrics"]


def run(d: Deployment, **changes: Any) -> str:
    """The id of a job that has succeeded."""
    job = str(d.submit(example("digits-cnn", d.digits(), epochs=EPOCHS, **changes))["id"])
    done = d.wait_state(job, "succeeded", "failed", timeout_s=100)
    assert done["state"] == "succeeded", done["error"]
    return job


def test_a_gpu_learns_as_a_cpu_does(service: Deployment) -> None:
    here, there = history(service, run(service, device="cpu")), history(service, run(service, device="cuda"))
    assert [(p["step"], p["split"]) for p in here] == [(p["step"], p["split"]) for p in there]
    first = abs(here[0]["values"]["loss"] / there[0]["values"]["loss"] - 1)
    assert first < 1e-4, (here[0], there[0])
    assert there[-1]["values"]["accuracy"] > 0.95 and abs(here[-1]["values"]["accuracy"] - there[-1]["values"]["accuracy"]) < 0.03


def test_a_job_survives_the_death_of_its_training_process(service: Deployment) -> None:
    d = service
    undisturbed = history(d, run(d, device="cuda"))
    job = d.submit(example("digits-cnn", d.digits(), epochs=EPOCHS, device="cuda", seed=1))["id"]
    d.wait_checkpoint(job)
    kill(int(d.redis.hget(f"job:{job}", "pid")))
    done = d.wait_state(job, "succeeded", "failed", timeout_s=100)
    assert done["state"] == "succeeded" and done["attempt"] == 2, done
    assert history(d, job) == undisturbed


def test_a_job_without_room_says_so_and_the_next_one_runs(service: Deployment) -> None:
    d = service
    spec = example("digits-cnn", d.digits(), epochs=1, device="cuda", init=[])
    large = [{"type": "Upsample", "scale_factor": 64}, *({"type": "Conv2d", "out_channels": 64, "kernel_size": 1} for _ in range(3))]
    spec["model"] = [*large, {"type": "AdaptiveAvgPool2d", "output_size": 1}, {"type": "Flatten"}, {"type": "Linear", "out_features": 10}]
    spec["data"]["batch_size"] = 1000  # 62 GiB a layer
    job = d.submit(spec)["id"]
    failed = d.wait_state(job, "succeeded", "failed", timeout_s=100)
    assert failed["state"] == "failed" and failed["error"]["code"] == "out_of_memory", failed
    assert failed["error"]["pointer"] == "/data/batch_size"
    assert wait_for(lambda: d.worker("cuda")["state"] == "idle", what="an idle worker")
    run(d, device="cuda")
