"""A sample's outputs have the same bits in every batch, whatever the layers are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import engine
from engine import nn
from engine.inference import Outputs
from engine.inference.outputs import portable

NETWORKS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "long sums": (lambda: nn.Linear(2000, 50), (2000,)),
    "sums of one product": (lambda: nn.Linear(512, 10), (512,)),
    "convolutions": (lambda: nn.Sequential(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 9)), (16, 8, 8)),
    "attention": (lambda: nn.TransformerEncoderLayer(32, 4, 512, batch_first=True), (7, 32)),
    "groups": (lambda: nn.Sequential(nn.Conv2d(16, 16, 3, groups=16), nn.ConvTranspose2d(16, 8, 3, 2)), (16, 8, 8)),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "precision"),
    [*((n, "float32") for n in NETWORKS), *((n, p) for n in ("sums of one product", "attention") for p in ("float64", "bfloat16"))],
)
@engine.no_grad()
def test_bits_do_not_depend_on_the_batch(name: str, precision: str) -> None:
    make, shape = NETWORKS[name]
    dtype = engine.float64 if precision == "float64" else engine.float32
    model, x = make().eval().to(dtype), engine.randn(256, *shape).to(dtype)
    half = "cpu" if precision == "bfloat16" else None
    plan: dict[str, int] = {}
    outputs = Outputs(model, half, plan)
    expected = outputs(x)[0].numpy()
    elsewhere = Outputs(model, half, portable(plan))  # in another process, which has the file's plan
    for size in (1, 5, 100, 200):
        for run in (outputs, elsewhere):
            parts = [run(x[i : i + size])[0].numpy() for i in range(0, 256, size)[:3]]
            assert np.array_equal(np.concatenate(parts), expected[: 3 * size])
