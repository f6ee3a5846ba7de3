"""Interpolation by its kernel: as NumPy computes it, in both directions, whole or as a part of what it is joined into."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

import engine as torch
from engine import Tensor, nn
from engine.dispatch import OPS
from engine.kernels.native import native
from engine.nn import functional as F

needs_kernels = pytest.mark.skipif(native() is None, reason="no compiled kernels on this machine, or EPOCHLINE_KERNELS=numpy")
MODES = {3: ["linear", "nearest", "nearest-exact"], 4: ["bilinear", "bicubic", "nearest"], 5: ["trilinear", "nearest"]}
SHAPES = [(2, 3, 7), (1, 1, 9), (2, 3, 7, 5), (2, 1, 6, 4), (1, 17, 5, 6), (1, 16, 1, 3), (2, 3, 3, 4, 5), (1, 9, 2, 1, 3)]
OPTIONS: list[dict[str, Any]] = [{"scale_factor": 2}, {"scale_factor": 0.6}, {"scale_factor": 1.7}, {"size": 1}, {"size": 9}]
CASES = [(shape, mode) for shape in SHAPES for mode in MODES[len(shape)]]


def _options(options: dict[str, Any], shape: tuple[int, ...]) -> bool:
    return min(int(n * options.get("scale_factor", 1)) for n in shape[2:]) > 0


@needs_kernels
@pytest.mark.parametrize(("shape", "mode"), CASES)
@pytest.mark.parametrize("align", [None, True])
def test_the_kernel_computes_what_numpy_does(shape: tuple[int, ...], mode: str, align: bool | None) -> None:
    if align and "nearest" in mode:
        return
    x = np.random.default_rng(0).standard_normal(shape)
    for options in (o for o in OPTIONS if _options(o, shape)):
        made = []
        for dtype in (np.float64, np.float32):  # in double precision NumPy computes
            t = torch.tensor(x.astype(dtype), requires_grad=True)
            y = F.interpolate(t, mode=mode, align_corners=align, **options)
            weights = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
            (y * torch.tensor(weights)).sum().backward()
            assert t.grad is not None
            made.append((y.detach().numpy(), t.grad.numpy()))
        for wide, narrow in zip(*made, strict=True):
            np.testing.assert_allclose(narrow, wide, rtol=1e-4, atol=1e-5)


@needs_kernels
def test_eager_interpolation_is_done_by_the_kernel() -> None:
    assert {"resize", "resize_data"} <= {name for name, op in OPS.items() if "numpy" in op.overrides}


class _Joined(nn.Module):
    """Upsamples what was made smaller, and joins it with what there was."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.first, self.second, self.last = nn.Conv2d(3, 9, 3, padding=1), nn.Conv2d(9, 5, 3, padding=1), nn.Conv2d(14, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        y = F.interpolate(self.second(F.max_pool2d(x, 2)), scale_factor=2, mode=self.mode)
        return self.last(torch.cat([x, y], 1))  # type: ignore[no-any-return]  # a module call is untyped


@needs_kernels
@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_what_is_joined_is_computed_in_its_place(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "engine.capture")
    torch.manual_seed(0)
    model = _Joined(mode)
    x, y = torch.randn(2, 3, 8, 12), torch.randint(0, 2, (2, 8, 12))

    def step(x: Tensor, y: Tensor) -> Tensor:
        model.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    compiled = torch.compile(step)
    losses = [step(x, y)]
    eager = [np.array(p.grad.numpy()) for p in model.parameters() if p.grad is not None]
    losses.append(compiled(x, y))
    np.testing.assert_allclose(losses[1].item(), losses[0].item(), rtol=1e-5)
    for p, g in zip(model.parameters(), eager, strict=True):
        assert p.grad is not None
        np.testing.assert_allclose(p.grad.numpy(), g, rtol=1e-3, atol=1e-5)
    assert "launched from Python" not in caplog.text
    (programs,) = compiled.programs.values()
    copies = [i for i in programs[0].builder.instructions if i.kernel == "copy" and i.writes[0].size >= 2 * 9 * 8 * 12]
    assert not copies


@needs_kernels
def test_bits_do_not_depend_on_the_number_of_threads() -> None:
    x = torch.randn(3, 20, 33, 31)
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(F.interpolate(x, scale_factor=2.0, mode="bilinear").numpy())
    torch.set_num_threads(1)
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])


@pytest.mark.parametrize("options", [{}, {"ignore_index": 1}, {"reduction": "sum"}])
def test_the_loss_of_maps_is_that_of_their_pixels(options: dict[str, Any]) -> None:
    x, y = torch.randn(2, 4, 3, 5, requires_grad=True), torch.randint(0, 4, (2, 3, 5))
    logs = F.log_softmax(x, 1)
    apart = F.nll_loss(logs, y, **options)
    together = F.cross_entropy(x, y, **options)
    (a,), (b,) = torch.autograd.grad(apart, x), torch.autograd.grad(together, x)
    assert together.isclose(apart, rtol=1e-5)
    np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=1e-4, atol=1e-6)


@needs_kernels
@pytest.mark.parametrize("dim", [0, 1, 2, -1])
@pytest.mark.parametrize("function", [F.softmax, F.log_softmax])
def test_a_softmax_over_any_dimension(function: Any, dim: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "engine.capture")
    weight = nn.Parameter(torch.randn(3, 4, 5, 2))

    def step(x: Tensor) -> Tensor:
        weight.grad = None
        y = function(x * weight, dim)
        (y * y).sum().backward()
        return y

    compiled = torch.compile(step)
    x = torch.randn(3, 4, 5, 2)
    y, g = step(x).detach().numpy(), np.array(weight.grad.numpy())
    np.testing.assert_allclose(compiled(x).numpy(), y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(weight.grad.numpy(), g, rtol=1e-4, atol=1e-5)
    assert "launched from Python" not in caplog.text
