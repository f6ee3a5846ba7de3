"""The main job through REST, RQ and the embedded store."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data import ingest, open_source
from engine.spec import check
from engine.state import load
from engine.train import Metrics, Run
from tests.service.deployment import EXAMPLES, Deployment, example, wait_for
from worker.records import checksum


def finished(service: Deployment, spec: dict[str, Any]) -> dict[str, Any]:
    return service.wait_state(service.submit(spec)["id"], "succeeded", "failed")


def points(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The loss history of a log."""
    return [{k: e[k] for k in ("step", "epoch", "split", "values", "variant") if k in e} for e in events if e["type"] == "metrics"]


def test_the_service_trains_bit_for_bit_as_the_library_does(service: Deployment, digits: str, tmp_path: Path) -> None:
    spec = example("digits-mlp", digits)
    job = finished(service, spec)
    assert job["state"] == "succeeded", job["error"]
    ingest(EXAMPLES / "digits.zip", tmp_path / "data", "imagefolder")
    run = Run(check(spec), open_source(tmp_path / "data"), plan=service.plan(job["id"]))
    expected = [r.as_dict() for r in run if isinstance(r, Metrics)]
    events = service.events(job["id"])
    assert points(events) == expected
    assert job["results"]["variants"][0]["val_accuracy"] > 0.95
    model = service.http.get(f"/v1/jobs/{job['id']}/checkpoints/latest").content
    (tmp_path / "model.safetensors").write_bytes(model)
    for name, x in load(tmp_path / "model.safetensors").items():
        np.testing.assert_array_equal(x.numpy(), run.model.state_dict()[name].numpy())


def test_the_log_is_whole_and_proves_it(service: Deployment, digits: str) -> None:
    job = finished(service, example("digits-mlp", digits))
    events = service.events(job["id"])
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert [e["state"] for e in events if e["type"] == "state"] == ["queued", "starting", "running", "succeeded"]
    done = events[-1]
    history = points(events)
    assert done["type"] == "done" and done["points"] == len(history) == 12 * 23 + 12 == job["points"]
    assert done["checksum"] == f"{checksum(iter(history)):08x}" == job["checksum"]
    assert job["progress"]["fraction"] == 1


def test_the_stream_is_the_log(service: Deployment, digits: str) -> None:
    job = service.submit(example("digits-mlp", digits))
    live = list(service.stream(job["id"]))  # from before the first event until done
    assert live == service.events(job["id"])
    for last in (0, 5, len(live) - 1):
        assert list(service.stream(job["id"], {"Last-Event-ID": str(last)})) == live[last:]
    after_the_end = service.http.get(
        f"/v1/jobs/{job['id']}/events", headers={"Accept": "text/event-stream", "Last-Event-ID": str(len(live))}
    )
    assert after_the_end.status_code == 204  # what makes a browser stop asking


def test_a_stream_taken_up_again_and_again_has_no_gap_and_no_duplicate(service: Deployment, digits: str) -> None:
    job = service.submit(example("digits-mlp", digits, epochs=30))
    seen: list[int] = []
    while True:
        for i, event in enumerate(service.stream(job["id"], {"Last-Event-ID": str(seen[-1] if seen else 0)})):
            seen.append(event["seq"])
            if i == 40 or event["type"] == "done":
                break
        if event["type"] == "done":
            break
    assert seen == list(range(1, len(seen) + 1))


def test_one_stream_for_several_jobs(service: Deployment, digits: str) -> None:
    ids = [service.submit(example("digits-mlp", digits, epochs=3, seed=i))["id"] for i in range(2)]
    got: dict[str, list[int]] = {i: [] for i in ids}
    with service.http.stream("GET", "/v1/events", params={"jobs": ",".join(ids)}) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                event = json.loads(line[6:])
                got[event["job"]].append(event["seq"])
    for i in ids:
        assert got[i] == [e["seq"] for e in service.events(i)]


def test_long_poll_answers_when_something_happens(service: Deployment, digits: str) -> None:
    job = service.submit(example("digits-mlp", digits))
    service.wait_state(job["id"], "succeeded")
    last = service.events(job["id"])[-1]["seq"]
    answer = service.http.get(f"/v1/jobs/{job['id']}/events", params={"after": last, "wait": 60}, timeout=30)
    assert answer.json()["data"] == []  # over: nothing to wait for
    job = service.submit(example("digits-mlp", digits, epochs=100))
    page = service.get(f"/v1/jobs/{job['id']}/events", after=1, wait=20)
    assert page["data"] and page["data"][0]["seq"] == 2
    service.http.post(f"/v1/jobs/{job['id']}/cancel")
    service.wait_state(job["id"], "cancelled")


def test_metrics_are_thinned_and_come_as_csv(service: Deployment, digits: str) -> None:
    job = finished(service, example("digits-mlp", digits))
    whole = service.get(f"/v1/jobs/{job['id']}/metrics")
    assert len(whole["data"]) == job["points"] and whole["complete"]
    thin = service.get(f"/v1/jobs/{job['id']}/metrics", max_points=10, split="train")["data"]
    assert len(thin) == 10 and thin[-1]["step"] == 276
    table = service.http.get(f"/v1/jobs/{job['id']}/metrics", params={"format": "csv", "split": "val"}).text.splitlines()
    assert table[0] == "step,epoch,split,variant,accuracy,loss" and len(table) == 13


def test_compare_runs_every_variant_from_the_same_start(service: Deployment) -> None:
    record = service.upload((EXAMPLES / "parabola.npz").read_bytes(), "parabola.npz")
    job = finished(service, example("optimizers", record["id"], epochs=2))
    assert job["state"] == "succeeded", job["error"]
    history = points(service.events(job["id"]))
    first = {p["variant"]: p["values"]["loss"] for p in history if p["step"] == 1}
    assert list(first) == ["SGD", "Momentum", "RMSprop", "Adam"] and len(set(first.values())) == 1
    kept = [(c["variant"], c["epoch"]) for c in service.get(f"/v1/jobs/{job['id']}/checkpoints")["data"]]
    assert [k for k in kept if k[1] == 2] == [(name, 2) for name in first]  # the last of every variant


@pytest.mark.parametrize("when", ["queued", "running"])
def test_cancel_frees_the_process(service: Deployment, digits: str, when: str) -> None:
    long = example("digits-cnn", digits, epochs=1000)
    first = service.submit(long)["id"]
    service.wait_state(first, "running")
    victim = first if when == "running" else service.submit(long)["id"]
    for _ in range(2):  # repeatable
        assert service.http.post(f"/v1/jobs/{victim}/cancel").status_code == 202
    assert service.wait_state(victim, "cancelled")["reason"] == "requested"
    if when == "queued":
        assert service.job(first)["state"] == "running"
        service.http.post(f"/v1/jobs/{first}/cancel")
        service.wait_state(first, "cancelled")
    else:
        after = finished(service, example("digits-mlp", digits, epochs=1))
        assert after["state"] == "succeeded"
        assert service.events(victim)[-1]["type"] == "done"
    assert service.http.post(f"/v1/jobs/{victim}/cancel").json()["state"] == "cancelled"


def test_cancel_does_not_wait_for_a_long_step(service: Deployment, digits: str) -> None:
    wide = [
        {"type": "Flatten"},
        {"type": "Linear", "out_features": 8000},
        {"type": "Linear", "out_features": 8000},
        {"type": "Linear", "out_features": 10},
    ]
    spec = example("digits-mlp", digits, model=wide, optimizer={"type": "SGD"})
    spec["data"]["batch_size"] = 1400  # a step of several seconds
    job = service.submit(spec)["id"]
    service.wait_state(job, "running")
    pid = int(service.redis.hget(f"job:{job}", "pid"))
    service.http.post(f"/v1/jobs/{job}/cancel")
    service.wait_state(job, "cancelled")
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), what="the end of the process")
    assert not [e for e in service.events(job) if e["type"] == "metrics"]


def test_pause_and_resume_leave_no_trace_in_the_history(service: Deployment, digits: str) -> None:
    spec = example("digits-cnn", digits, epochs=40)
    straight = points(service.events(finished(service, spec)["id"]))
    job = service.submit(spec)["id"]
    service.wait_checkpoint(job)
    service.http.post(f"/v1/jobs/{job}/pause")
    paused = service.wait_state(job, "paused", "succeeded")
    assert paused["state"] == "paused"
    service.http.post(f"/v1/jobs/{job}/resume")
    done = service.wait_state(job, "succeeded", "failed")
    assert done["state"] == "succeeded" and done["attempt"] == 2
    assert points(service.events(job)) == straight


def test_stop_keeps_the_best_model(service: Deployment, digits: str) -> None:
    job = service.submit(example("digits-mlp", digits, epochs=100_000))["id"]
    service.wait_checkpoint(job)
    service.http.post(f"/v1/jobs/{job}/stop")
    stopped = service.wait_state(job, "stopped")
    best = stopped["results"]["best_step"]
    assert service.http.get(f"/v1/jobs/{job}/checkpoints/{best}").status_code == 200
    assert service.http.get(f"/v1/jobs/{job}/checkpoints/best").status_code == 200


def test_checkpoints_are_kept_as_asked(service: Deployment, digits: str) -> None:
    job = finished(service, example("digits-mlp", digits, checkpoint={"keep": 2, "every_epochs": 1}))
    saved = service.get(f"/v1/jobs/{job['id']}/checkpoints")["data"]
    assert [c["step"] for c in saved][-2:] == [253, 276] and len(saved) <= 3
    assert saved[-1]["values"]["val_accuracy"] == job["results"]["variants"][0]["val_accuracy"]


def test_an_idempotency_key_makes_one_job(service: Deployment, digits: str) -> None:
    spec = example("digits-mlp", digits, epochs=1)
    ids = {service.http.post("/v1/jobs", json=spec, headers={"Idempotency-Key": "one"}).json()["id"] for _ in range(3)}
    assert len(ids) == 1
    service.wait_state(ids.pop(), "succeeded")


def test_jobs_are_listed_by_page_and_state(service: Deployment, digits: str) -> None:
    made = [service.submit(example("digits-mlp", digits, epochs=1, name=f"page {i}"))["id"] for i in range(5)]
    for job in made:
        service.wait_state(job, "succeeded")
    first = service.get("/v1/jobs", limit=2)
    assert [j["id"] for j in first["data"]] == made[:-3:-1] and first["has_more"]
    second = service.get("/v1/jobs", limit=2, after=first["last_id"], state="succeeded")
    assert [j["id"] for j in second["data"]] == made[2:0:-1]


def test_a_job_whose_dataset_is_deleted_fails_with_that_reason(service: Deployment, digits: str) -> None:
    busy = service.submit(example("digits-cnn", digits, epochs=1000))["id"]
    service.wait_state(busy, "running")
    record = service.upload((EXAMPLES / "parabola.npz").read_bytes(), "again.npz")
    waiting = service.submit(example("optimizers", record["id"]))["id"]
    assert service.job(waiting)["queue_position"] == 1
    assert service.http.delete(f"/v1/datasets/{record['id']}").status_code == 204
    service.http.post(f"/v1/jobs/{busy}/cancel")
    failed = service.wait_state(waiting, "failed")
    assert failed["error"]["code"] == "dataset_deleted" and failed["error"]["pointer"] == "/data/dataset"
    assert record["id"] in failed["error"]["message"] and service.events(waiting)[-1]["type"] == "done"


def test_a_loss_that_diverges_fails_with_advice(service: Deployment, digits: str) -> None:
    job = finished(service, example("digits-mlp", digits, optimizer={"type": "SGD", "lr": 1e12}))
    assert job["state"] == "failed" and job["error"]["code"] == "diverged" and "learning rate" in job["error"]["message"]
    assert "NaN" not in service.http.get(f"/v1/jobs/{job['id']}/events").text  # no browser would read it
