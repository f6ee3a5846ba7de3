"""Random specs over HTTP: no answer is a 5xx, and no job ends as internal."""

import json
from random import Random
from typing import Any

import pytest

from engine.data.source import Source
from tests.service.deployment import Deployment
from tests.spec.generator import damaged, prepared, random_spec, uploads

DATASETS = ("grey", "mixed", "regression", "words", "maps", "sequences")
ENDINGS = {"imagefolder": ".zip", "csv": ".csv", "npz": ".npz"}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Source]:
    found = prepared(tmp_path_factory.mktemp("datasets"))
    return {name: found[name] for name in DATASETS}


@pytest.fixture(scope="module")
def ids(service: Deployment) -> dict[str, str]:
    """The datasets' ids on the server."""
    records = {name: service.upload(content, name + ENDINGS[form]) for name, (form, content) in uploads().items() if name in DATASETS}
    assert all(r["state"] == "ready" for r in records.values()), records
    return {name: r["id"] for name, r in records.items()}


def drawn(seed: int, sources: dict[str, Source], ids: dict[str, str]) -> dict[str, Any]:
    name, spec = random_spec(Random(seed), sources)
    return {**spec, "epochs": 1, "data": {**spec["data"], "dataset": ids[name]}}


@pytest.mark.timeout(300)
def test_no_random_job_ends_as_internal(service: Deployment, sources: dict[str, Source], ids: dict[str, str]) -> None:
    jobs = {}
    for seed in range(16):
        spec = drawn(seed, sources, ids)
        answer = service.http.post("/v1/jobs", json=spec)
        assert answer.status_code in (201, 422), (answer.text, json.dumps(spec))
        if answer.status_code == 201:
            jobs[answer.json()["id"]] = spec
    assert len(jobs) > 4
    for job, spec in jobs.items():
        ended = service.wait_state(job, "succeeded", "failed", timeout_s=240)
        assert ended["state"] == "succeeded" or ended["error"]["code"] in ("diverged", "out_of_memory"), (ended["error"], json.dumps(spec))


def test_no_damaged_spec_is_answered_by_5xx(service: Deployment, sources: dict[str, Source], ids: dict[str, str]) -> None:
    for seed in range(300):
        rng = Random(seed)
        spec = drawn(seed, sources, ids)
        for _ in range(rng.randint(1, 3)):
            spec = damaged(rng, spec)
        answer = service.http.post("/v1/jobs/validate", json=spec)
        assert answer.status_code in (200, 400, 422), (answer.status_code, json.dumps(spec))
        if answer.status_code == 422:
            assert all(e["detail"] for e in answer.json()["errors"]), answer.text
