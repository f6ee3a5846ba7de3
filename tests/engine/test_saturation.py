"""Losses and gradients where sigmoids saturate, eager and in a captured step: finite, and the same."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine as torch
from engine.nn import functional as F
from engine.nn.utils import clip_grad_norm_, clip_grad_value_

LOGITS = np.array([-200, -110, -88, -40, -17, -8, -1, 0, 1, 8, 17, 40, 88, 110, 200], np.float32)


def both(loss: Callable[[Any, Any], Any], targets: np.ndarray[Any, Any]) -> list[tuple[float, Any]]:
    """The loss and the gradient of the logits, of an eager step and of a captured one."""
    found = []
    for capture in (False, True):
        x, y = torch.tensor(LOGITS, requires_grad=True), torch.tensor(targets)

        def step(x: Any = x, y: Any = y) -> Any:
            x.grad = None
            value = loss(x, y)
            value.backward()
            return value

        run = torch.compile(step) if capture else step
        for _ in range(3):
            value = run()
        assert x.grad is not None
        found.append((value.item(), x.grad.numpy()))
    return found


@pytest.mark.parametrize("targets", [np.zeros(15), np.ones(15), np.arange(15) % 2, np.full(15, 0.3)])
def test_binary_cross_entropy(targets: Any) -> None:
    """Logarithms end at -100 (PyTorch's rule), and the gradient with them: y (1 - y) of the sigmoid times at most 1e12."""
    targets = targets.astype(np.float32)
    with np.errstate(divide="ignore", over="ignore"):
        p = 1 / (1 + np.exp(-LOGITS))
        expected = -np.mean(targets * np.maximum(np.log(p), -100) + (1 - targets) * np.maximum(np.log1p(-p), -100))
    slope = (p - targets) / np.maximum((1 - p) * p, np.float32(1e-12)) * (p * (1 - p)) / 15
    for value, gradient in both(lambda x, y: F.binary_cross_entropy(torch.sigmoid(x), y), targets):
        assert value == pytest.approx(expected, rel=1e-5)
        np.testing.assert_allclose(gradient, slope, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("targets", [np.zeros(15), np.ones(15), np.full(15, 0.3)])
def test_binary_cross_entropy_with_logits(targets: Any) -> None:
    targets = targets.astype(np.float32)
    x = LOGITS.astype(np.float64)
    expected = np.mean(np.maximum(x, 0) - x * targets + np.log1p(np.exp(-np.abs(x))))
    slope = (1 / (1 + np.exp(-x)) - targets) / 15
    for value, gradient in both(F.binary_cross_entropy_with_logits, targets):
        assert value == pytest.approx(expected, rel=1e-5)
        np.testing.assert_allclose(gradient, slope, rtol=1e-5, atol=1e-9)


def test_a_sigmoid_is_accurate_far_below_zero() -> None:
    """To the last bits, down to the least number: by tanh it was 0 from -17 on."""
    x = np.linspace(-87, 87, 2001).astype(np.float32)
    exact = 1 / (1 + np.exp(-x.astype(np.float64)))
    compiled = torch.compile(torch.sigmoid)
    for function in (torch.sigmoid, compiled, compiled, compiled):
        np.testing.assert_allclose(function(torch.tensor(x)).numpy(), exact, rtol=1e-6)


@pytest.mark.parametrize("clip", [lambda p: clip_grad_norm_(p, 1.0), lambda p: clip_grad_value_(p, 1.0)])
def test_clipping_by_an_exhausted_generator_warns(clip: Callable[[Any], Any]) -> None:
    model = torch.nn.Linear(2, 2)
    parameters = (p for p in model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    clip(parameters)
    with pytest.warns(UserWarning, match="empty generator"):
        clip(parameters)
    clip([])
