"""Weights that were made elsewhere: safetensors, and what PyTorch saved."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from engine import tensor
from engine.serialization.pytorch import to_pytorch
from tests.service.deployment import Deployment, zipped

ARRAYS = {"0.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "0.bias": np.zeros(2, np.float32)}


def sent(service: Deployment, content: bytes, name: str = "x") -> Any:
    return service.http.post("/v1/weights", params={"name": name}, content=content)


@pytest.mark.parametrize("form", ["safetensors", "torch"])
def test_weights_come_and_go(service: Deployment, form: str) -> None:
    content = save(ARRAYS) if form == "safetensors" else to_pytorch({k: tensor(v.tolist()) for k, v in ARRAYS.items()})
    first, again = sent(service, content, "net"), sent(service, content, "again")
    record = first.json()
    assert (first.status_code, again.status_code) == (201, 200) and again.json() == record
    assert (record["arrays"], record["parameters"], record["name"]) == (2, 8, "net")
    assert record["id"] in [w["id"] for w in service.get("/v1/weights")["data"]]
    assert service.http.delete(f"/v1/weights/{record['id']}").status_code == 204
    assert service.http.delete(f"/v1/weights/{record['id']}").status_code == 404
    assert not (service.data / "weights" / record["id"]).exists()


class _Hostile:
    def __reduce__(self) -> Any:
        return print, ("a stranger's code ran",)


@pytest.mark.parametrize("content", [b"nothing", b"", zipped({"a.txt": b"x"}), pickle.dumps(_Hostile(), 2), save(ARRAYS)[:-3]])
def test_what_is_none_is_refused(service: Deployment, content: bytes) -> None:
    answer = sent(service, content)
    assert answer.status_code == 422 and answer.headers["content-type"] == "application/problem+json", answer.text
    assert not list((service.data / "uploads").glob("*"))


def test_what_pytorch_saved_is_read(service: Deployment) -> None:
    torch = pytest.importorskip("torch")
    out = io.BytesIO()
    torch.save({"epoch": 3, "state_dict": torch.nn.Linear(3, 2).state_dict()}, out)
    record = sent(service, out.getvalue()).json()
    assert (record["arrays"], record["parameters"]) == (2, 8)
