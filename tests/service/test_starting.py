"""Jobs that start from weights, and from specs that the server suggests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from tests.service.deployment import Deployment, example


def model(service: Deployment, job: str, step: str = "latest") -> dict[str, Any]:
    return load(service.http.get(f"/v1/jobs/{job}/checkpoints/{step}").content)


@pytest.fixture(scope="module")
def parent(service: Deployment, digits: str) -> str:
    job = service.submit(example("digits-mlp", digits, epochs=2))["id"]
    assert service.wait_state(job, "succeeded", "failed")["state"] == "succeeded"
    return str(job)


def started(service: Deployment, digits: str, init_from: dict[str, Any], **changes: Any) -> Any:
    return service.http.post("/v1/jobs", json=example("digits-mlp", digits, epochs=1, init_from=init_from, **changes))


def test_every_source_of_weights(service: Deployment, digits: str, parent: str) -> None:
    """Frozen layers tell where a job began."""
    service.http.post("/v1/models", json={"name": "base", "job": parent, "step": "latest", "aliases": ["best"]})
    weights = service.http.post("/v1/weights", content=save(model(service, parent))).json()["id"]
    latest = model(service, parent)
    last = service.job(parent)["results"]["last_step"]
    for source in ({"checkpoint": f"{parent}/{last}"}, {"job": "base@best"}, {"weights": weights}):
        answer = started(service, digits, {**source, "freeze": ["1.*"]})
        assert answer.status_code == 201, answer.text
        job = service.wait_state(answer.json()["id"], "succeeded", "failed")
        assert job["state"] == "succeeded", job["error"]
        ended = model(service, job["id"])
        np.testing.assert_array_equal(ended["1.weight"], latest["1.weight"])
        assert any((ended[k] != latest[k]).any() for k in ended)


def test_what_a_job_started_from_may_go(service: Deployment, digits: str) -> None:
    base = service.submit(example("digits-mlp", digits, epochs=1))["id"]
    service.wait_state(base, "succeeded")
    answer = started(service, digits, {"job": base, "optimizer": True}, name="from one that is gone")
    assert answer.status_code == 201, answer.text
    assert service.http.delete(f"/v1/jobs/{base}").status_code == 204
    job = service.wait_state(answer.json()["id"], "succeeded", "failed")
    assert job["state"] == "succeeded", job["error"]
    assert service.http.post(f"/v1/jobs/{job['id']}/extend", json={"epochs": 1}).status_code == 202
    assert service.wait_state(job["id"], "succeeded", "failed")["state"] == "succeeded"


@pytest.mark.parametrize(
    ("init_from", "at", "why"),
    [
        ({"job": "job_none"}, "/init_from/job", "there is no job"),
        ({"weights": "wt_none"}, "/init_from/weights", "there is no file of weights"),
        ({"job": "nobody@1"}, "/init_from/job", "there is no job or model"),
        ({"checkpoint": "PARENT/99999"}, "/init_from/checkpoint", "no checkpoint"),
    ],
)
def test_weights_that_are_not_there(service: Deployment, digits: str, parent: str, init_from: dict[str, str], at: str, why: str) -> None:
    answer = started(service, digits, {k: v.replace("PARENT", parent) for k, v in init_from.items()})
    assert answer.status_code == 422 and answer.json()["errors"][0]["pointer"] == at and why in answer.json()["detail"], answer.text


def test_weights_of_another_network_are_known_before_queueing(service: Deployment, digits: str) -> None:
    weights = service.http.post("/v1/weights", content=save({"0.weight": np.zeros((2, 2), np.float32)})).json()["id"]
    answer = started(service, digits, {"weights": weights})
    assert answer.status_code == 422 and answer.json()["errors"], answer.text


def test_examples_and_suggestions(service: Deployment, digits: str) -> None:
    examples = service.get("/v1/specs/examples")["data"]
    assert len({e["name"] for e in examples}) == len(examples) > 8
    for example_ in examples:
        checked = service.http.post("/v1/jobs/validate", json={**example_["spec"], "data": {**example_["spec"]["data"], "dataset": None}})
        assert checked.status_code == 422 and [e["pointer"] for e in checked.json()["errors"]] == ["/data/dataset"], checked.text
    found = service.http.post("/v1/specs/suggest", json={"dataset": digits}).json()
    assert found["task"] == "classification" and found["tasks"][0] == "classification"
    job = service.submit({**found["spec"], "epochs": 1})
    assert service.wait_state(job["id"], "succeeded", "failed")["state"] == "succeeded"
    refused = service.http.post("/v1/specs/suggest", json={"dataset": digits, "task": "language_model"})
    assert refused.status_code == 422 and refused.json()["errors"][0]["pointer"] == "/task"
    assert service.http.post("/v1/specs/suggest", json={"dataset": "ds_none"}).json()["errors"][0]["pointer"] == "/dataset"
