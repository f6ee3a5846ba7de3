"""Named models: versions that outlive their job, aliases that move and come back, and their use in place of a job."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.service.deployment import Deployment, example, png


@pytest.fixture(scope="module")
def jobs(service: Deployment, digits: str) -> list[str]:
    found = [str(service.submit(example("digits-mlp", digits, epochs=n, seed=n))["id"]) for n in (1, 2)]
    for job_id in found:
        assert service.wait_state(job_id, "succeeded", "failed")["state"] == "succeeded"
    return found


def put(service: Deployment, **body: Any) -> Any:
    answer = service.http.post("/v1/models", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def outputs(service: Deployment, name: str) -> Any:
    answer = service.http.post(f"/v1/jobs/{name}/predict", content=png())
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def test_a_name_stands_for_its_versions(service: Deployment, jobs: list[str]) -> None:
    first, second = jobs
    put(service, name="digits", job=first, aliases=["production"])
    model = put(service, name="digits", job=second, step="latest", aliases=["candidate"])
    assert [(v["number"], v["job"]) for v in model["versions"]] == [(1, first), (2, second)]
    assert model["aliases"] == {"production": 1, "candidate": 2}
    by_job = [outputs(service, j) for j in jobs]
    named = {n: outputs(service, n) for n in ("digits@1", "digits@production", "digits@2", "digits", "digits@latest", "digits@candidate")}
    assert named == {n: by_job[i] for n, i in zip(named, (0, 0, 1, 1, 1, 1), strict=True)} and by_job[0] != by_job[1]
    content = service.http.get("/v1/jobs/digits@production/checkpoints/best").content
    assert content == service.http.get(f"/v1/jobs/{first}/checkpoints/best").content


def test_aliases_are_promoted_and_rolled_back(service: Deployment, jobs: list[str]) -> None:
    for job_id in jobs:
        put(service, name="moved", job=job_id)
    for version in (1, 2, 2):
        assert service.http.put("/v1/models/moved/aliases/live", json={"version": version}).json()["aliases"] == {"live": version}
    assert service.http.post("/v1/models/moved/aliases/live/rollback").json()["aliases"] == {"live": 1}
    assert service.http.post("/v1/models/moved/aliases/live/rollback").status_code == 404
    assert service.http.put("/v1/models/moved/aliases/live", json={"version": 9}).status_code == 404
    assert service.http.put("/v1/models/moved/aliases/latest", json={"version": 1}).status_code == 422
    assert service.http.delete("/v1/models/moved/aliases/live").json()["aliases"] == {}
    assert service.http.post("/v1/jobs/moved@live/predict", content=png()).status_code == 404


def test_versions_outlive_their_job(service: Deployment, digits: str) -> None:
    job_id = service.submit(example("digits-mlp", digits, epochs=1))["id"]
    service.wait_state(job_id, "succeeded")
    put(service, name="kept", job=job_id)
    before = outputs(service, "kept")
    assert service.http.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert service.http.get(f"/v1/jobs/{job_id}").status_code == 404 and outputs(service, "kept") == before
    assert service.http.delete("/v1/models/kept").status_code == 204
    assert service.http.post("/v1/jobs/kept/predict", content=png()).status_code == 404
    assert not (service.data / "models" / "kept").exists()


def test_versions_made_at_once_have_numbers_of_their_own(service: Deployment, jobs: list[str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: put(service, name="many", job=jobs[0]), range(16)))
    model = service.get("/v1/models/many")
    assert [v["number"] for v in model["versions"]] == list(range(1, 17))
    assert "many" in [m["id"] for m in service.get("/v1/models")["data"]]


@pytest.mark.parametrize("name", ["job_x", "", "a/b", "a@b", "x" * 65, "1x"])
def test_names_that_cannot_be(service: Deployment, jobs: list[str], name: str) -> None:
    assert service.http.post("/v1/models", json={"name": name, "job": jobs[0]}).status_code == 422
