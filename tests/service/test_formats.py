"""A model is taken away in the format that its user needs, and gives what the service gives."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.service.deployment import Deployment, example, png


@pytest.fixture(scope="module")
def job(service: Deployment, digits: str) -> str:
    job_id = service.submit(example("digits-cnn", digits, epochs=1))["id"]
    assert service.wait_state(job_id, "succeeded", "failed")["state"] == "succeeded"
    return str(job_id)


def taken(service: Deployment, job: str, form: str) -> bytes:
    answer = service.http.get(f"/v1/jobs/{job}/checkpoints/best?format={form}", timeout=120)
    assert answer.status_code == 200, answer.text
    return answer.content


def shares(service: Deployment, job: str, image: bytes) -> np.ndarray[Any, Any]:
    found = service.http.post(f"/v1/jobs/{job}/predict", content=image).json()["data"][0]["probabilities"]
    return np.array([found[str(i)] for i in range(10)])


def test_an_onnx_file_gives_the_same(service: Deployment, job: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    session = runtime.InferenceSession(taken(service, job, "onnx"))
    for seed in range(3):
        image = png(seed=seed)
        pixels = np.asarray(Image.open(io.BytesIO(image)))[None, None]
        (p,) = session.run(["probabilities"], {"pixels": pixels})
        np.testing.assert_allclose(p[0], shares(service, job, image), atol=1e-5)


def test_a_pytorch_file_gives_the_same(service: Deployment, job: str) -> None:
    torch = pytest.importorskip("torch")
    state = torch.load(io.BytesIO(taken(service, job, "torch")), weights_only=True)
    nn = torch.nn
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Dropout(0.25), nn.Linear(512, 10),
    )  # fmt: skip
    net.load_state_dict(state)
    image = png()
    x = torch.from_numpy(np.asarray(Image.open(io.BytesIO(image)), np.float32) / 255)[None, None]
    with torch.inference_mode():
        p = net.eval()(x).softmax(1)[0].numpy()
    np.testing.assert_allclose(p, shares(service, job, image), atol=1e-5)


def test_a_card_says_what_it_is(service: Deployment, job: str) -> None:
    card = taken(service, job, "card").decode()
    assert card.startswith("#") and "digits-cnn" in card and "accuracy" in card


def test_what_is_no_format(service: Deployment, job: str) -> None:
    assert service.http.get(f"/v1/jobs/{job}/checkpoints/best?format=gguf").status_code == 422
    assert service.http.get(f"/v1/jobs/{job}/checkpoints/77?format=onnx").status_code == 404
