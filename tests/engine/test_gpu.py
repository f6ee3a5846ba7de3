"""Every op sample on CuPy, beside NumPy."""

from typing import Any

import numpy as np
import pytest

import engine as torch
from engine.autograd import grad
from tests.engine.samples import COMPOSITES, SAMPLES

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device, or CuPy is not installed")]
CASES = {**{f"{n}-{i}": s for n, samples in SAMPLES.items() for i, s in enumerate(samples)}, **COMPOSITES}
HOST_OPERANDS = {"where-0", "index-0", "index-1", "gather-0", "scatter_add-0", "move-0", "cross_entropy", "weighted_nll"}


@pytest.mark.parametrize("name", [n for n in CASES if n not in HOST_OPERANDS])
def test_values_and_gradients(name: str) -> None:
    function, inputs = CASES[name]
    results: list[list[Any]] = []
    for device in ("cpu", "cuda"):
        xs = [x.detach().to(device).requires_grad_() for x in inputs]
        y = function(*xs)
        assert y.device.type == device
        gradients = grad(y.sum(), xs, allow_unused=True) if y.requires_grad else []
        results.append([np.asarray(t.detach().cpu().numpy()) for t in (y, *gradients) if t is not None])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_a_seed_means_the_same_numbers_on_every_device() -> None:
    for draw in (torch.rand, torch.randn):
        torch.manual_seed(1)
        here = draw(1001).numpy()
        torch.manual_seed(1)
        there = draw(1001, device="cuda").cpu().numpy()
        np.testing.assert_allclose(here, there, rtol=1e-6)
