"""Datasets of texts, recordings, masks and series through the service: uploaded, looked at, trained on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.data import test_audio, test_masks
from tests.data.texts import reviews
from tests.service.deployment import Deployment, zipped


def texts() -> bytes:
    return "\n".join(json.dumps({"id": i, "review": t, "stars": n}) for i, (n, t) in enumerate(reviews())).encode()


def series() -> bytes:
    return "\n".join(["wave,step", *(f"{i % 7},{i * 0.5}" for i in range(60))]).encode()


Sample = Callable[[Any], bool]
CASES: dict[str, tuple[bytes, dict[str, Any], str, Sample, dict[str, Any]]] = {
    "texts": (
        texts(), {"name": "reviews.jsonl", "text": "review", "target": "stars"}, "application/json", lambda r: r.json()["text"] == reviews()[1][1],
        {"model": [{"type": "Linear", "out_features": 2}], "data": {"text": {"tokenizer": "word", "max_length": 12}}},
    ),
    "recordings": (
        zipped(test_audio.recordings(12)), {"name": "sounds.zip"}, "audio/wav", lambda r: r.content[:4] == b"RIFF" and len(r.content) == 8044,
        {"model": [{"type": "Flatten"}, {"type": "Linear", "out_features": 2}], "data": {"audio": {"n_mels": 8}}},
    ),
    "masks": (
        zipped(test_masks.files(test_masks.squares())), {"name": "squares.zip"}, "image/png", lambda r: r.content.startswith(b"\x89PNG"),
        {"model": [{"type": "Conv2d", "out_channels": 3, "kernel_size": 1}], "metrics": ["iou"], "data": {"transform": [{"type": "RandomHorizontalFlip"}]}},
    ),
    "a series": (
        series(), {"name": "series.csv", "target": "step"}, "application/json", lambda r: r.json()["x"] == [1.0],
        {"model": [{"type": "Flatten"}, {"type": "Linear", "out_features": 2}], "loss": {"type": "MSELoss"}, "data": {"windows": {"length": 4, "horizon": 2}}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
def test_a_dataset_of_each_kind_is_trained_on(service: Deployment, kind: str) -> None:
    content, options, media, is_right, spec = CASES[kind]
    dataset = service.upload(content, **options)
    assert dataset["state"] == "ready", dataset["report"]
    found = service.http.get(f"/v1/datasets/{dataset['id']}/samples/1")
    assert found.status_code == 200 and found.headers["content-type"] == media and is_right(found)
    data = {"batch_size": 8, "validation": 0.25, "dataset": dataset["id"], **spec["data"]}
    spec = {"epochs": 2, "loss": {"type": "CrossEntropyLoss"}, "optimizer": {"type": "SGD", "lr": 1e-5}, **spec, "data": data}
    job_id = service.submit(spec)["id"]
    job = service.wait_state(job_id, "succeeded", "failed")
    assert job["state"] == "succeeded", job["error"]


def test_layouts_are_those_of_the_format(service: Deployment) -> None:
    for name, layout, said in (
        ("x.csv", "masks", "archives of images, recordings or texts"),
        ("x.zip", "plain", "layout=plain is for tables"),
    ):
        answer = service.http.post("/v1/datasets", params={"name": name, "layout": layout}, content=b"x")
        assert answer.status_code == 422 and said in answer.json()["detail"]
