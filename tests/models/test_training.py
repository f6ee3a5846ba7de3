"""Steps of training of ready-made architectures against PyTorch's of the same source, and captured."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import engine
from engine import models
from engine.nn import functional as F
from tests.models.test_architectures import SMALL, TEXT, example
from tests.models.twin import torch_twin

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = pytest.mark.peer
NO_DRAWS = {
    "convnext_tiny": {"stochastic_depth_prob": 0.0}, "efficientnet_b0": {"stochastic_depth_prob": 0.0, "dropout": 0.0}, "gpt": {},
    **{n: {"dropout": 0.0} for n in ("mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "textcnn", "lstm_classifier")},
}  # fmt: skip
"""Options without which the two would draw different masks."""


def loss_of(f: Any, scores: Any, y: Any) -> Any:
    return f.cross_entropy(scores.reshape(-1, scores.shape[-1]) if scores.ndim == 3 else scores, y.reshape(-1) if scores.ndim == 3 else y)


@pytest.mark.parametrize("name", sorted(set(SMALL) - {"resnet34", "mobilenet_v3_large"}))  # blocks that others have
def test_loss_and_gradients_are_pytorchs(name: str) -> None:
    """In double precision, of small networks, batch normalization by the batch."""
    options = {**SMALL[name], **NO_DRAWS.get(name, {})}
    engine.manual_seed(1)
    model = getattr(models, name)(**options).double()
    theirs = torch_twin(name, model, **options).double()
    x = example(name, 3).numpy()
    x = x if name in TEXT else x.astype(np.float64)
    y = np.random.default_rng(2).integers(0, 2, {"gpt": (3, 8), "unet": (3, 32, 32)}.get(name, 3))
    ours, expected = (
        loss_of(F, model(engine.tensor(x)), engine.tensor(y)),
        loss_of(torch.nn.functional, theirs(torch.tensor(x)), torch.tensor(y)),
    )
    ours.backward()
    expected.backward()
    assert ours.item() == pytest.approx(expected.item(), rel=1e-9)
    gradients = dict(theirs.named_parameters())
    scale = max(float(p.grad.abs().max()) for p in gradients.values())
    for key, p in model.named_parameters():
        np.testing.assert_allclose(p.grad.numpy(), gradients[key].grad.numpy(), rtol=1e-6, atol=1e-7 * scale, err_msg=key)


def one_step(library: Any, net: Any, x: Any, y: Any, compiled: Any = lambda f: f) -> tuple[float, Any]:
    """The loss of a step, and all gradients in a row."""
    optimizer = library.optim.SGD(net.parameters(), lr=1e-3)

    @compiled
    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = library.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    loss = step(library.tensor(x), library.tensor(y)).item()
    assert library is torch or all(step.programs.values()), "it was not captured"
    return loss, np.concatenate([p.grad.numpy().ravel() for p in net.parameters()])


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_a_captured_step_at_its_size_is_pytorchs(name: str) -> None:
    """Images of 64 x 64, the whole network in single precision: as near to PyTorch in double precision as PyTorch's own single precision is."""
    engine.manual_seed(1)
    options = {"num_classes": 10, **NO_DRAWS.get(name, {})}
    model = getattr(models, name)(**options)
    single = torch_twin(name, model, **options)
    double = copy.deepcopy(single).double()
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 3, 64, 64)).astype(np.float32), rng.integers(0, 10, 4)
    ours = one_step(engine, model, x, y, engine.compile)
    theirs, exact = one_step(torch, single, x, y), one_step(torch, double, x.astype(np.float64), y)
    assert ours[0] == pytest.approx(exact[0], rel=1e-5)
    far, near = (float(np.linalg.norm(g - exact[1])) for g in (ours[1], theirs[1]))
    assert far <= 2 * near + 1e-5 * float(np.linalg.norm(exact[1]))
