"""Where a program finds its arguments: large ones that only products read stay where they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import engine as torch
from engine.kernels.native import address, native
from engine.nn import functional as F
from tests.capture.test_kernels import normal

pytestmark = pytest.mark.skipif(native() is None, reason="no compiled kernels on this machine, or EPOCHLINE_KERNELS=numpy")


class Layer:
    """A step of one layer, and what it makes of ``x``."""

    def __init__(self, size: int = 100) -> None:
        torch.manual_seed(0)
        self.weight = torch.randn(size, size, requires_grad=True)
        self.optimizer = torch.optim.SGD([self.weight], lr=1e-3)
        self.compiled = torch.compile(self.step)

    def step(self, x: Any) -> Any:
        self.optimizer.zero_grad()
        y = F.linear(x, self.weight)
        y.square().mean().backward()
        self.optimizer.step()
        return y

    def check(self, x: Any) -> Any:
        """One step on ``x``; the place where the program read it."""
        before, given = self.weight.detach().numpy().copy(), x.detach().numpy().copy()
        np.testing.assert_allclose(self.compiled(x).numpy(), given @ before.T, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(
            self.weight.grad.numpy(), 2 * (given @ before.T).T @ given / given.shape[0] / len(before), rtol=1e-4, atol=1e-4
        )
        assert self.compiled.latest
        return self.compiled.latest.inputs[0].place


def off(n: int, skipped: int) -> Any:
    """Rows of 100 that begin ``skipped`` floats behind a line of the cache."""
    room = torch.zeros(n * 100 + 16)._data
    return torch.from_numpy(room[skipped : skipped + n * 100].reshape(n, 100))


def test_a_large_argument_is_read_where_it_lies() -> None:
    layer = Layer()
    for seed in range(3):
        x = torch.tensor(normal(64, 100, seed=seed))
        assert layer.check(x) == address(x._data)
        x.mul_(2)
        assert layer.check(x) == address(x._data)


def test_what_lies_otherwise_is_copied() -> None:
    layer = Layer()
    x = off(64, 1)
    x.copy_(torch.tensor(normal(64, 100)))
    assert layer.check(x) != address(x._data)
    turned = torch.tensor(normal(100, 64)).T
    assert layer.check(turned) != address(turned._data)
    x = torch.tensor(normal(64, 100, seed=2))
    assert layer.check(x) == address(x._data)
    small = torch.tensor(normal(16, 100))
    assert layer.check(small) != address(small._data)


def test_memory_that_the_step_changes_is_copied() -> None:
    layer = Layer()
    whole = torch.zeros(400, 100)
    layer.check(torch.tensor(normal(100, 100)))
    for x in (layer.weight.detach(), layer.weight.grad):
        assert layer.check(x) != address(x._data)
    moved = whole[64:164]
    layer.weight.data = moved.copy_(layer.weight.detach())
    layer.check(torch.tensor(normal(100, 100, seed=1)))
    for first in (0, 96, 160):
        assert layer.check(whole[first : first + 100]) != address(whole[first:]._data)
    assert layer.check(whole[176:276]) == address(whole[176:]._data)


def test_many_steps_have_a_memory_of_their_own() -> None:
    layer, alone = Layer(), Layer()
    xs = torch.tensor(normal(4 * 64, 100)).view(4, 64, 100)
    layer.check(xs[0]), alone.compiled(xs[0])
    found = layer.compiled.many(xs)
    for x, y in zip(xs, found, strict=True):
        np.testing.assert_array_equal(alone.compiled(x).numpy(), y.numpy())
    assert layer.check(xs[1]) == address(xs[1]._data)
