"""A data folder that version 0.1.0 left behind, killed in the middle of things, opens with today's server.

``tests/fixtures/store-0.1.0.zip`` holds it, with ``expected.json``: the jobs' states and events as that version's API gave them.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service.deployment import Deployment
from worker.records import canonical

FIXTURE = Path(__file__).parents[1] / "fixtures" / "store-0.1.0.zip"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Deployment, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("old")
    with zipfile.ZipFile(FIXTURE) as archive:
        archive.extractall(folder)
    deployment = Deployment(folder).start()
    yield deployment, json.loads((folder / "expected.json").read_text())
    deployment.stop()


def test_jobs_and_datasets_are_as_they_were(opened: tuple[Deployment, dict[str, Any]]) -> None:
    d, expected = opened
    datasets = expected.pop("datasets")
    assert {r["id"]: {"name": r["name"], "state": r["state"]} for r in d.get("/v1/datasets")["data"]} == datasets
    assert {r["id"] for r in d.get("/v1/jobs")["data"]} == {e["id"] for e in expected.values()}
    for name in ("done", "compared", "failed", "cancelled", "running"):
        record = d.job(expected[name]["id"])
        assert record["state"] == expected[name]["state"] and record["points"] == expected[name]["points"]
        assert d.events(record["id"]) == expected[name]["events"]
    best = d.http.get(f"/v1/jobs/{expected['done']['id']}/checkpoints/best")
    assert best.status_code == 200 and len(best.content) > 500


def test_what_had_not_ended_goes_on(opened: tuple[Deployment, dict[str, Any]]) -> None:
    d, expected = opened
    assert d.wait_state(expected["queued"]["id"], "succeeded", "failed")["state"] == "succeeded"
    paused = expected["paused"]
    assert d.http.post(f"/v1/jobs/{paused['id']}/resume").status_code == 202
    assert d.wait_state(paused["id"], "succeeded", "failed")["state"] == "succeeded"
    events = d.events(paused["id"])
    assert events[: len(paused["events"])] == paused["events"]
    points: list[dict[str, Any]] = [
        {k: e[k] for k in ("step", "epoch", "split", "values", "variant") if k in e} for e in events if e["type"] == "metrics"
    ]
    crc = 0
    for point in points:
        crc = zlib.crc32(canonical(point), crc)
    assert events[-1]["type"] == "done" and (events[-1]["points"], events[-1]["checksum"]) == (len(points), f"{crc:08x}")
    assert [p["step"] for p in points if p["split"] == "train"] == list(range(1, 4 * 40 + 1))


def test_lists_find_and_sort_old_jobs(opened: tuple[Deployment, dict[str, Any]]) -> None:
    """The indexes that came later have them."""
    d, expected = opened
    jobs = [d.job(e["id"]) for e in expected.values() if "events" in e]
    ended = [j for j in jobs if j["finished"]]
    assert len(ended) == len(jobs)  # the tests before have brought the last two to an end

    def found(**filters: Any) -> list[str]:
        return [j["id"] for j in d.get("/v1/jobs", limit=100, **filters)["data"]]

    assert found(sort="created") == [j["id"] for j in sorted(jobs, key=lambda j: float(j["created"]))]
    assert found(sort="-finished") == [j["id"] for j in sorted(ended, key=lambda j: (float(j["finished"]), j["id"]), reverse=True)]
    for state in {j["state"] for j in jobs}:
        assert set(found(state=state)) == {j["id"] for j in jobs if j["state"] == state}
    for dataset in {j["dataset"] for j in jobs}:
        assert set(found(dataset=dataset)) == {j["id"] for j in jobs if j["dataset"] == dataset}
    assert all(j["history"][0]["state"] == "queued" and j["attempts"] and j["labels"] == {} for j in jobs)


def test_labels_stay_and_nothing_is_migrated_again(opened: tuple[Deployment, dict[str, Any]]) -> None:
    d, expected = opened
    job = expected["done"]["id"]
    dataset = d.job(job)["dataset"]
    for path in (f"/v1/jobs/{job}", f"/v1/datasets/{dataset}"):
        assert d.http.patch(path, json={"name": "old", "labels": {"from": "0.1.0"}}).status_code == 200
    before = {**d.job(job), "eta_s": None}
    index = f"jobs:dataset:{dataset}"
    d.redis.zrem(index, job)  # a second migration would put it back
    d.stop()
    d.start()
    assert d.redis.get("schema_version") == b"2" and d.redis.zscore(index, job) is None
    assert d.job(job) == before and before["name"] == "old"
    for kind, name in (("jobs", job), ("datasets", dataset)):
        assert [r["id"] for r in d.get(f"/v1/{kind}", label="from=0.1.0")["data"]] == [name]
    assert d.events(job) == expected["done"]["events"]
