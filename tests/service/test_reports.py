"""What a job reports of its model: how good it is by class, and the samples it gets wrong, which can be looked at."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.service.deployment import Deployment, example


@pytest.fixture(scope="module")
def job(service: Deployment, digits: str) -> dict[str, Any]:
    job_id = service.submit(example("digits-mlp", digits, epochs=3))["id"]
    return service.wait_state(job_id, "succeeded", "failed")


def test_each_epoch_has_a_report_that_agrees_with_the_history(service: Deployment, job: dict[str, Any]) -> None:
    history = {p["epoch"]: p["values"] for p in service.get(f"/v1/jobs/{job['id']}/metrics", split="val")["data"]}
    for epoch in (1, 2, 3):
        found = service.get(f"/v1/jobs/{job['id']}/report", epoch=epoch)
        report = found["report"]
        matrix = np.array(report["confusion_matrix"])
        assert found["epoch"] == epoch and report["task"] == "classes" and matrix.sum() == report["samples"]
        assert np.trace(matrix) / matrix.sum() == pytest.approx(history[epoch]["accuracy"])
        assert [c["recall"] for c in report["per_class"]] == pytest.approx(np.diag(matrix) / matrix.sum(1))
        assert len(report["worst"]) == min(64, matrix.sum() - np.trace(matrix))
    assert service.get(f"/v1/jobs/{job['id']}/report") == found
    assert service.http.get(f"/v1/jobs/{job['id']}/report?epoch=4").status_code == 404


def test_the_worst_samples_can_be_looked_at_and_are_predicted_the_same(service: Deployment, job: dict[str, Any]) -> None:
    worst = service.get(f"/v1/jobs/{job['id']}/report")["report"]["worst"][:5]
    for row in worst:
        png = service.http.get(f"/v1/datasets/{job['dataset']}/samples/{row['id']}")
        with Image.open(io.BytesIO(png.content)) as image:
            assert png.headers["content-type"] == "image/png" and image.size == (8, 8)
        answer = service.http.post(f"/v1/jobs/{job['id']}/predict?step=latest", content=png.content).json()["data"][0]
        assert answer["label"] == row["predicted"] and answer["probabilities"][row["true"]] == row["probability"]


def test_samples_that_are_not_there(service: Deployment, digits: str) -> None:
    assert service.http.get(f"/v1/datasets/{digits}/samples/1797").status_code == 404
    assert service.http.get(f"/v1/datasets/{digits}/samples/-1").status_code == 422
    assert service.http.get("/v1/datasets/ds_none/samples/0").status_code == 404
    table = service.upload(b"a,y\n" + b"".join(b"%d,%d\n" % (i, i % 2) for i in range(20)), "t.csv")
    assert service.get(f"/v1/datasets/{table['id']}/samples/3") == {"index": 3, "x": pytest.approx([3.0]), "y": 1}
