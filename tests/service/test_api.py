"""What the API's requests do: repeated ones, labels and names, the output of runs, request ids, and the server's log lines."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.service.deployment import EXAMPLES, Deployment, example


def test_an_idempotency_key_is_for_one_request(service: Deployment, digits: str) -> None:
    spec, headers = example("digits-mlp", digits, device="cuda"), {"Idempotency-Key": "at once"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: service.http.post("/v1/jobs", json=spec, headers=headers), range(8)))
    assert {a.status_code for a in answers} == {201} and len({a.json()["id"] for a in answers}) == 1
    job = answers[0].json()["id"]
    assert sum(j["id"] == job for j in service.get("/v1/jobs", dataset=digits, limit=100)["data"]) == 1
    assert {a.headers["location"] for a in answers} == {f"/v1/jobs/{job}"}
    for other, params in ((spec | {"seed": 5}, {}), (spec, {"label": "a=b"})):
        refused = service.http.post("/v1/jobs", json=other, params=params, headers=headers)
        assert refused.status_code == 422 and "another request" in refused.json()["detail"] and job in refused.json()["detail"]
    again = service.http.post("/v1/jobs", json=dict(reversed(spec.items())), headers=headers)  # the same JSON in another order
    assert again.json()["id"] == job
    assert service.http.post("/v1/jobs", json=spec, headers={"Idempotency-Key": ""}).status_code == 422
    service.http.post(f"/v1/jobs/{job}/cancel")


def test_jobs_are_labelled_renamed_found_and_deleted(service: Deployment, digits: str) -> None:
    spec = example("digits-mlp", digits, device="cuda", name="Before")
    made = [
        service.http.post("/v1/jobs", json=spec, params={"label": labels}).json()["id"]
        for labels in (["team=api", "run=1"], ["team=api", "run=2"], ["team=other"])
    ]

    def found(**filters: Any) -> list[str]:
        return [j["id"] for j in service.get("/v1/jobs", **filters)["data"]]

    assert found(label="team=api") == made[1::-1] and found(label=["team=api", "run=1"]) == made[:1]
    changed = service.http.patch(f"/v1/jobs/{made[0]}", json={"name": "After wards", "labels": {"team": "b c"}})
    assert changed.status_code == 200 and changed.json()["labels"] == {"team": "b c"} and changed.json()["name"] == "After wards"
    assert found(name="after W") == found(label="team=b c") == made[:1] and found(label="team=api") == made[1:2]
    assert service.http.patch(f"/v1/jobs/{made[0]}", json={"labels": {}}).json()["name"] == "After wards"
    assert found(label="team=b c") == []
    created = service.job(made[1])["created"]
    assert found(created_after=created - 0.0005, created_before=created + 0.0005) == made[1:2]
    refused = service.http.delete(f"/v1/jobs/{made[1]}")
    assert refused.status_code == 409 and "cancel it first" in refused.json()["detail"]
    for job in (made[1], made[0], made[2]):
        service.http.post(f"/v1/jobs/{job}/cancel")
    assert found(sort="finished", state="cancelled", dataset=digits)[-3:] == [made[1], made[0], made[2]]
    assert found(sort="-finished", limit=3) == [made[2], made[0], made[1]]
    assert service.http.delete(f"/v1/jobs/{made[1]}").status_code == 204 and service.http.get(f"/v1/jobs/{made[1]}").status_code == 404
    assert found(label="team=api") == [] and not (service.data / "jobs" / made[1]).exists()


@pytest.mark.parametrize(
    "body", [{"nmae": "x"}, {"name": 3}, {"labels": {"a=b": "c"}}, {"labels": {"a": "\n"}}, {"name": "x" * 201}, {"labels": {"": "c"}}, []]
)
def test_a_wrong_change_is_refused_with_its_place(service: Deployment, digits: str, body: Any) -> None:
    job = service.submit(example("digits-mlp", digits, device="cuda"))["id"]
    refused = service.http.patch(f"/v1/jobs/{job}", json=body)
    assert refused.status_code == 422 and refused.json()["errors"][0]["pointer"].startswith("/body"), refused.text
    service.http.post(f"/v1/jobs/{job}/cancel")


def test_a_filter_with_a_typing_error_or_given_twice_is_refused(service: Deployment) -> None:
    for query in ("stat=queued", "state=queued&state=failed", "limit=1&limit=2", "label=novalue"):
        refused = service.http.get(f"/v1/jobs?{query}")
        assert refused.status_code == 422 and refused.json()["errors"][0]["pointer"].startswith("/query/"), refused.text


def test_the_output_of_a_run_that_raises_is_its_log(service: Deployment, digits: str) -> None:
    busy = service.submit(example("digits-cnn", digits, epochs=1000))["id"]
    service.wait_state(busy, "running")
    dataset = service.upload((EXAMPLES / "parabola.npz").read_bytes(), "broken later.npz")["id"]
    job = service.submit(example("optimizers", dataset))["id"]
    for file in (service.data / "datasets" / dataset / "prepared").rglob("*.npy"):
        file.write_bytes(b"not an array")
    service.http.post(f"/v1/jobs/{busy}/cancel")
    failed = service.wait_state(job, "failed")
    assert failed["error"]["code"] == "internal"
    lines = service.get(f"/v1/jobs/{job}/logs", level="error")["data"]
    assert lines[-1]["level"] == "error" and "Traceback (most recent call last)" in lines[-1]["message"]
    assert service.get(f"/v1/jobs/{job}/logs", tail=1)["data"] == service.get(f"/v1/jobs/{job}/logs")["data"][-1:]
    assert service.http.get(f"/v1/jobs/{job}/logs", params={"tail": 0}).status_code == 422
    service.http.delete(f"/v1/datasets/{dataset}")


def test_methods_and_kinds_of_bodies_that_are_not_possible(service: Deployment) -> None:
    for method, path, allowed in (
        ("PUT", "/v1/jobs", "GET, POST"),
        ("OPTIONS", "/v1/jobs/job_x", "DELETE, GET, PATCH"),
        ("POST", "/healthz", "GET"),
    ):
        refused = service.http.request(method, path)
        assert refused.status_code == 405 and refused.headers["allow"] == allowed and allowed in refused.json()["detail"]
    form = service.http.post("/v1/jobs", data={"model": "x"})
    assert form.status_code == 415 and "Content-Type: application/json" in form.json()["detail"]
    large = service.http.patch("/v1/jobs/job_x", content=b'"' + b"x" * (2 << 20) + b'"', headers={"Content-Type": "application/json"})
    assert large.status_code == 413


def test_the_servers_log_says_who_asked_for_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EPOCHLINE_LOG_FORMAT", "json")
    d = Deployment(tmp_path, "--auth", "--workers", "0").start().authenticate()
    try:
        capfd.readouterr()
        answer = d.http.get("/v1/jobs/job_x/logs", headers={"X-Request-ID": "mine-1"})
        assert answer.headers["x-request-id"] == answer.json()["request_id"] == "mine-1"
        made_up = d.http.get("/v1/datasets/ds_x", headers={"X-Request-ID": "not {allowed}", "Authorization": "Bearer wrong"})
        assert made_up.status_code == 401 and made_up.headers["x-request-id"] not in ("", "not {allowed}")
        assert made_up.headers["www-authenticate"] == "Bearer"
        unreadable = d.http.patch("/v1/jobs/job_x?nope=1", content=b"{", headers={"Authorization": "", "Content-Type": "application/json"})
        assert unreadable.status_code == 401  # the key comes first
    finally:
        d.stop()
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    requests = [line for line in lines if line["event"] == "request"]
    first, second, _ = requests
    assert first.items() >= {
        "request_id": "mine-1", "job": "job_x", "key": "tests", "method": "GET", "path": "/v1/jobs/job_x/logs", "status": 404,
        "process": "server", "level": "info",
    }.items()  # fmt: skip
    assert second["dataset"] == "ds_x" and second["status"] == 401 and "key" not in second and second["duration_ms"] > 0
    assert d.http.headers["authorization"].removeprefix("Bearer ") not in json.dumps(lines)


def test_a_job_that_no_worker_can_take_says_so(service: Deployment, digits: str) -> None:
    job = service.submit(example("digits-mlp", digits, device="cuda"))
    assert job["state"] == "queued" and "no live worker" in job["reason"] and "cuda" in job["reason"]
    assert service.http.post(f"/v1/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
