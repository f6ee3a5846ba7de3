"""Captured steps of ready-made architectures, or of the blocks that the large ones repeat, against eager ones."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine as torch
from engine import nn, optim
from engine.models.efficientnet import MBConv
from engine.models.mobilenetv3 import _SMALL, InvertedResidual
from engine.nn import functional as F
from tests.models.test_architectures import example, small

STEM = (3, 8, 3, 2)
NETWORKS: dict[str, Callable[[], Any]] = {
    "convnext_tiny": lambda: small("convnext_tiny", depths=(1, 1, 1, 1)),
    "vit_b_16": lambda: small("vit_b_16", dropout=0.1),
    "unet": lambda: small("unet", depth=1),
    "gpt": lambda: small("gpt", dropout=0.1),
    "textcnn": lambda: small("textcnn", padding_idx=0),
    "lstm_classifier": lambda: small("lstm_classifier", padding_idx=0),
    "efficientnet_b0": lambda: nn.Sequential(nn.Conv2d(*STEM), MBConv(8, 8, 5, 1, 4, 0.3), nn.Flatten(), nn.LazyLinear(2)),
    "mobilenet_v3_small": lambda: nn.Sequential(nn.Conv2d(*STEM), InvertedResidual(8, _SMALL[4], 0.2), nn.Flatten(), nn.LazyLinear(2)),
}


def losses(net: Any, x: Any, y: Any, of_positions: bool, compiled: bool) -> list[float]:
    """The losses of four steps."""
    optimizer = optim.SGD(net.parameters(), lr=0.1)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        scores = net(x)
        loss = F.cross_entropy(scores.transpose(1, 2) if of_positions else scores, y)
        loss.backward()
        optimizer.step()
        return loss

    torch.manual_seed(5)
    run: Any = torch.compile(step) if compiled else step
    found = [float(run(x, y).detach()) for _ in range(4)]
    assert not compiled or all(run.programs.values()), "it was not captured"
    return found


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_captured_steps_are_eager_ones(name: str) -> None:
    torch.manual_seed(0)
    model, x = NETWORKS[name](), example(name, 4)
    model(x)  # sizes that were not given
    y = torch.tensor(np.random.default_rng(3).integers(0, 2, {"gpt": (4, 8), "unet": (4, 32, 32)}.get(name, 4)))
    eager, captured = (losses(copy.deepcopy(model), x, y, name == "gpt", compiled) for compiled in (False, True))
    np.testing.assert_allclose(captured, eager, rtol=1e-4)
    assert captured[-1] < captured[0]
