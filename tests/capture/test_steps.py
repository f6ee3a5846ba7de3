"""Steps as people write them, captured: each trains as it does eagerly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine as torch
from engine import Tensor, nn
from engine.nn import functional as F

Step = Callable[..., Any]
Made = tuple[Step, list[Tensor], list[nn.Module]]


def _net(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))


def _classes() -> list[Tensor]:
    return [torch.randn(8, 6), torch.randint(0, 3, (8,))]


def adversaries() -> Made:
    maker, judge = _net(4, 6), _net(6, 1)
    optimizers = [torch.optim.Adam(net.parameters(), 1e-2) for net in (maker, judge)]

    def step(x: Tensor) -> Any:
        made = maker(torch.randn(x.shape[0], 4))
        optimizers[1].zero_grad()
        worst = F.softplus(-judge(x)).mean() + F.softplus(judge(made.detach())).mean()
        worst.backward()
        optimizers[1].step()
        optimizers[0].zero_grad()
        best = F.softplus(-judge(made)).mean()
        best.backward()
        optimizers[0].step()
        return worst, best

    return step, [torch.randn(8, 6)], [maker, judge]


def learned_weights_of_losses() -> Made:
    """The loss that is returned reads parameters, which are updated before anybody asks for it."""
    net, one, two = _net(6, 5), nn.Linear(5, 3), nn.Linear(5, 1)
    model = nn.ModuleList([net, one, two])
    weights = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.Adam([{"params": model.parameters()}, {"params": [weights], "lr": 0.1}], 1e-2)

    def step(x: Tensor, y: Tensor) -> Any:
        optimizer.zero_grad()
        z = net(x)
        losses = F.cross_entropy(one(z), y), F.mse_loss(two(z).squeeze(1), y.float())
        loss = (-weights[0]).exp() * losses[0] + (-weights[1]).exp() * losses[1] + weights.sum()
        loss.backward()
        optimizer.step()
        return loss, weights.detach() * 2

    return step, _classes(), [model]


def moving_average() -> Made:
    net, mean = _net(6, 3), _net(6, 3)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)

    def step(x: Tensor, y: Tensor) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for p, q in zip(net.parameters(), mean.parameters(), strict=True):
                q.mul_(0.9).add_(p, alpha=0.1)
        return loss

    return step, _classes(), [net, mean]


def gradient_penalty() -> Made:
    net = _net(6, 1)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2, eps=1e-3)

    def step(x: Tensor) -> Any:
        optimizer.zero_grad()
        at = x.clone().requires_grad_()
        y = net(at)
        (slope,) = torch.autograd.grad(y.sum(), at, create_graph=True)
        loss = ((slope.norm(dim=1) - 1) ** 2).mean() + (y * y).mean()
        loss.backward()
        optimizer.step()
        return loss

    return step, [torch.randn(8, 6)], [net]


def by_hand() -> Made:
    net = _net(6, 3)

    def step(x: Tensor, y: Tensor) -> Any:
        net.zero_grad()
        loss = sum(F.cross_entropy(net(a), b) for a, b in zip(x.chunk(2), y.chunk(2), strict=True))
        loss.backward()
        with torch.no_grad():
            for p in net.parameters():
                p -= 0.1 * p.grad
        return loss, (net(x).argmax(1) == y).float().mean()

    return step, _classes(), [net]


def shuffled() -> Made:
    """A random order that no op draws."""
    net = nn.Linear(6, 3)

    def step(x: Tensor) -> Any:
        return net(x[torch.randperm(8)])

    return step, [torch.randn(8, 6)], [net]


def rectified_normal() -> Made:
    """RMSNorm's weight: a sum of what a formula of another shape is part of."""
    net = nn.Sequential(nn.Linear(6, 8), nn.RMSNorm(8), nn.ELU(inplace=True), nn.Linear(8, 3))
    optimizer = torch.optim.RAdam(net.parameters(), 1e-2, eps=1e-3)

    def step(x: Tensor, y: Tensor) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step, _classes(), [net]


STEPS = [adversaries, learned_weights_of_losses, moving_average, gradient_penalty, by_hand, shuffled, rectified_normal]


def _run(make: Callable[[], Made], fuse: bool | None) -> list[Any]:
    torch.manual_seed(0)
    step, arguments, models = make()
    run = step if fuse is None else torch.compile(step, fuse=fuse)
    found = []
    for i in range(4):
        results = run(*[x + 0.01 * i if x.is_floating_point() else x for x in arguments])
        found += [r.detach().numpy().copy() for r in (results if isinstance(results, tuple) else [results])]
    return found + [p.detach().numpy() for model in models for p in model.parameters()]


@pytest.mark.parametrize("make", STEPS)
def test_a_captured_step_trains_as_the_eager_one(make: Callable[[], Made]) -> None:
    for e, f, u in zip(*(_run(make, fuse) for fuse in (None, True, False)), strict=True):
        np.testing.assert_array_equal(u, e)
        np.testing.assert_allclose(f, e, rtol=1e-4, atol=2e-5)
