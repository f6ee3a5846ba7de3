"""SIGKILL of each process during a job: the job finishes, and its history is that of a run nobody disturbed, bit for bit."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.data import ingest, open_source
from engine.spec import check
from engine.train import Metrics, Report, Run
from tests.service.deployment import EXAMPLES, Deployment, example, kill, wait_for
from worker.records import checksum

EPOCHS = 60


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, int]], tuple[list[dict[str, Any]], list[int]]]:
    """The history of an uninterrupted run by a job's plan, and the epochs that have a report."""
    folder = tmp_path_factory.mktemp("expected") / "data"
    ingest(EXAMPLES / "digits.zip", folder, "imagefolder")

    def history(plan: dict[str, int]) -> tuple[list[dict[str, Any]], list[int]]:
        records = list(Run(check(example("digits-cnn", "", epochs=EPOCHS)), open_source(folder), plan=plan))
        return [r.as_dict() for r in records if isinstance(r, Metrics)], [r.epoch for r in records if isinstance(r, Report)]

    return history


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    d = Deployment(tmp_path).start()
    yield d
    d.stop()


def run_pid(d: Deployment, job_id: str) -> int:
    return int(d.redis.hget(f"job:{job_id}", "pid"))


VICTIMS: dict[str, Callable[[Deployment, str], int]] = {
    "the training process": run_pid,
    "the worker": lambda d, job_id: int(d.worker()["pid"]),
    "Valkey": lambda d, job_id: d.store_pid(),
    "the server": lambda d, job_id: d.process.pid if d.process else 0,
}


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_job_survives_the_death_of(
    victim: str, deployment: Deployment, expected: Callable[[dict[str, int]], tuple[list[dict[str, Any]], list[int]]]
) -> None:
    d = deployment
    job = d.submit(example("digits-cnn", d.digits(), epochs=EPOCHS))["id"]
    d.wait_checkpoint(job)
    assert d.job(job)["state"] == "running"
    kill(VICTIMS[victim](d, job))
    if victim == "the server":
        assert d.process is not None
        d.process.wait(10)
        d.start()  # what an init system would do
    done = wait_for(lambda: _ended(d, job), 60, "the end of the job")
    assert done["state"] == "succeeded", done["error"]
    assert done["attempt"] == (1 if victim == "Valkey" else 2)
    events = d.events(job)
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    history = [{k: e[k] for k in ("step", "epoch", "split", "values", "variant") if k in e} for e in events if e["type"] == "metrics"]
    undisturbed, reported = expected(d.plan(job))
    assert history == json.loads(json.dumps(undisturbed))
    assert [e["epoch"] for e in events if e["type"] == "report"] == reported and EPOCHS in reported
    assert events[-1]["points"] == len(undisturbed) and events[-1]["checksum"] == f"{checksum(iter(undisturbed)):08x}"


def _ended(d: Deployment, job: str) -> Any:
    try:
        found = d.http.get(f"/v1/jobs/{job}")
    except httpx.TransportError:
        return None
    return found.status_code == 200 and found.json()["state"] in ("succeeded", "failed") and found.json()


def test_a_job_that_kills_every_process_fails_in_the_end(deployment: Deployment) -> None:
    d = deployment
    spec = example("digits-cnn", d.digits(), epochs=1000)
    spec["data"]["batch_size"] = 1  # killed long before the first epoch ends, after which it would have a checkpoint to go on from
    job = d.submit(spec)["id"]
    killed: set[int] = set()

    def next_pid() -> int | None:
        if d.job(job)["state"] == "failed":
            return -1
        pid = int(d.redis.hget(f"job:{job}", "pid") or 0)
        return pid if d.job(job)["state"] == "running" and pid not in killed else None

    while (pid := wait_for(next_pid, what="the next attempt")) != -1:
        killed.add(pid)
        kill(pid)
    failed = d.job(job)
    assert failed["attempt"] == len(killed) == 5
    assert failed["error"]["code"] == "lost" and "SIGKILL" in failed["error"]["message"]
    assert failed["history"][-1]["state"] == "failed"


def test_a_server_told_to_stop_gives_its_job_back(
    deployment: Deployment, expected: Callable[[dict[str, int]], tuple[list[dict[str, Any]], list[int]]]
) -> None:
    d = deployment
    job = d.submit(example("digits-cnn", d.digits(), epochs=EPOCHS))["id"]
    d.wait_checkpoint(job)
    d.stop()
    d.start()
    done = d.wait_state(job, "succeeded", "failed")
    assert done["attempt"] == 2 and "told to stop" in str(done["history"])
    history = [
        {k: e[k] for k in ("step", "epoch", "split", "values", "variant") if k in e} for e in d.events(job) if e["type"] == "metrics"
    ]
    assert history == json.loads(json.dumps(expected(d.plan(job))[0]))
