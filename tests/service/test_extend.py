"""A job that has ended trains further, and is then one that had those epochs from the start."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load

from tests.service.deployment import Deployment, example, kill, wait_for
from worker import deployment
from worker.reconciler import archive_ended
from worker.records import canonical


def points(d: Deployment, job_id: str) -> list[dict[str, Any]]:
    return [{k: e[k] for k in ("step", "epoch", "split", "values") if k in e} for e in d.events(job_id) if e["type"] == "metrics"]


def model(d: Deployment, job_id: str) -> dict[str, Any]:
    answer = d.http.get(f"/v1/jobs/{job_id}/checkpoints/latest")
    assert answer.status_code == 200
    return load(answer.content)


@pytest.mark.parametrize("disturbed", [False, True])
def test_an_extended_job_equals_a_longer_one(service: Deployment, disturbed: bool) -> None:
    d = service
    changes = {"scheduler": {"type": "CosineAnnealingLR", "T_max": 9}, "seed": 5}
    dataset = d.digits()
    short, long = (d.submit(example("digits-mlp", dataset, epochs=n, **changes))["id"] for n in (4, 9))
    assert d.wait_state(short, "succeeded", "failed")["state"] == "succeeded"
    if disturbed:  # its log is in a file by then, and its process is killed on the way
        archive_ended(d.redis, deployment.Deployment("", Path(d.data)), after_s=0)
    answer = d.http.post(f"/v1/jobs/{short}/extend", json={"epochs": 5})
    assert answer.status_code == 202, answer.text
    assert answer.json()["spec"]["epochs"] == 9 and answer.json()["finished"] is None
    if disturbed:
        running = d.wait_state(short, "running", "succeeded", "failed")
        pid = d.redis.hget(f"job:{short}", "pid")
        if running["state"] == "running":
            kill(int(pid))
    for job_id in (short, long):
        assert d.wait_state(job_id, "succeeded", "failed")["state"] == "succeeded"
    assert points(d, short) == points(d, long)
    a, b = model(d, short), model(d, long)
    assert a.keys() == b.keys() and all((a[k] == b[k]).all() for k in a)
    events = d.events(short)
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    crc = 0
    for point in points(d, short):
        crc = zlib.crc32(canonical(point), crc)
    done = [e for e in events if e["type"] == "done"]
    assert len(done) == 2 and events[-1] == done[-1] and done[-1]["checksum"] == f"{crc:08x}" == d.job(long)["checksum"]
    assert list(d.stream(short)) == events
    wait_for(lambda: d.job(short)["progress"]["fraction"] == 1.0)


def test_what_cannot_be_extended(service: Deployment) -> None:
    d = service
    dataset = d.digits()
    stopper = {"monitor": "val_loss", "patience": 1, "min_delta": 100.0}
    ended = d.submit(example("digits-mlp", dataset, epochs=9, early_stopping=stopper))["id"]
    variants = [{"name": n, "optimizer": {"type": n, "lr": 0.01}} for n in ("SGD", "Adam")]
    compared = d.submit(example("digits-mlp", dataset, epochs=1, compare=variants))["id"]
    for job_id, why in ((ended, "early stopping"), (compared, "compares variants")):
        d.wait_state(job_id, "succeeded")
        answer = d.http.post(f"/v1/jobs/{job_id}/extend", json={"epochs": 5})
        assert answer.status_code == 409 and why in answer.json()["detail"]
    assert d.http.post("/v1/jobs/job_0/extend", json={"epochs": 5}).status_code == 404
    assert d.http.post(f"/v1/jobs/{ended}/extend", json={"epochs": 0}).status_code == 422
