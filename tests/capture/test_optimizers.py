"""Every optimizer in a captured step: what it does eagerly, whatever its settings do to its rule from one step to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine as torch
from engine import nn
from engine.nn import functional as F

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=0.5),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05, lr_decay=0.1),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, eps=1e-3),
    "adamax": lambda p: torch.optim.Adamax(p, lr=0.01, eps=1e-3),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True, eps=1e-3),
    "asgd": lambda p: torch.optim.ASGD(p, lr=0.1, t0=2),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01, eps=1e-3),
    "radam": lambda p: torch.optim.RAdam(p, lr=0.01, eps=1e-3),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5, eps=1e-3),
    "rprop": lambda p: torch.optim.Rprop(p, lr=0.01),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.5),
}


class Net:
    """A small network with an optimizer, eager or captured, on one batch."""

    def __init__(self, make: Callable[[Any], Any], captured: bool) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
        self.x, self.y = torch.randn(8, 4), torch.randint(0, 3, (8,))
        self.optimizer = make(self.model.parameters())
        self.step = torch.compile(self.eager) if captured else self.eager

    def eager(self, x: Any, y: Any) -> Any:
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        return loss

    def train(self, steps: int) -> None:
        for _ in range(steps):
            assert self.step(self.x, self.y).isfinite()

    def alone(self, steps: int) -> None:
        """Some steps of the first layer without the second."""
        self.model[2].requires_grad_(False)
        for _ in range(steps):
            self.eager(self.x, self.y)
        self.model[2].requires_grad_(True)


def _numbers(net: Net) -> list[dict[str, Any]]:
    return [{k: v for k, v in net.optimizer.state[p].items() if not isinstance(v, torch.Tensor)} for p in net.model.parameters()]


def _agree(a: Net, b: Net) -> None:
    for p, q in zip(a.model.parameters(), b.model.parameters(), strict=True):
        np.testing.assert_allclose(q.detach().numpy(), p.detach().numpy(), rtol=1e-5, atol=1e-6)
    assert _numbers(a) == _numbers(b)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_captured_steps_are_the_eager_ones(name: str) -> None:
    nets = [Net(OPTIMIZERS[name], captured) for captured in (False, True)]
    for net in nets:
        net.train(9)
    _agree(*nets)
    for net in nets:
        net.optimizer.param_groups[0]["maximize"] = True
        net.train(2)
    _agree(*nets)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_parameters_of_one_group_may_have_made_different_numbers_of_steps(name: str) -> None:
    nets = [Net(OPTIMIZERS[name], captured) for captured in (False, True)]
    for net in nets:
        net.alone(3)
        net.train(4)
        net.optimizer.zero_grad()
        net.alone(2)
        net.train(3)
    _agree(*nets)
    assert len({str(numbers) for numbers in _numbers(nets[1])}) == (1 if name == "sgd" else 2), "they still differ"


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_going_back_to_an_earlier_state_starts_from_there(name: str) -> None:
    nets = [Net(OPTIMIZERS[name], captured) for captured in (False, True)]
    for net in nets:
        net.train(1)
        saved = net.optimizer.state_dict()
        saved = {
            **saved,
            "state": {k: {n: v.clone() if isinstance(v, torch.Tensor) else v for n, v in s.items()} for k, s in saved["state"].items()},
        }
        net.train(7)
        net.optimizer.load_state_dict(saved)
        net.train(3)
    _agree(*nets)


def test_many_steps_of_which_one_has_another_rule() -> None:
    """RAdam becomes adaptive in its sixth step: nine steps in one call are then made one by one, none of them counted twice."""
    x, y = torch.randn(8, 3), torch.randn(8, 1)

    def losses(together: bool) -> list[float]:
        torch.manual_seed(0)
        model = nn.Linear(3, 1)
        two = [{"params": [model.bias], "lr": 0.02}, {"params": [model.weight]}]
        opt = torch.optim.RAdam(two, lr=0.01)

        def step(x: Any, y: Any) -> Any:
            opt.zero_grad()
            loss = F.mse_loss(model(x), y)
            loss.backward()
            opt.step()
            return loss

        compiled = torch.compile(step)
        if together:
            found: list[float] = compiled.many(torch.stack([x] * 9), torch.stack([y] * 9)).tolist()
        else:
            found = [compiled(x, y).item() for _ in range(9)]
        assert [state["step"] for state in opt.state.values()] == [9, 9]
        return found

    assert losses(True) == losses(False)


@pytest.mark.parametrize("inside", [False, True], ids=["between steps", "in the step"])
def test_a_rate_may_be_a_tensor_that_changes(inside: bool) -> None:
    ends = []
    for captured in (False, True):
        p, rate = torch.tensor([1.0, 2.0, 3.0], requires_grad=True), torch.tensor(0.125)
        optimizer = torch.optim.SGD([p], lr=rate, momentum=0.5)

        def step(p: Any = p, rate: Any = rate, optimizer: Any = optimizer) -> None:
            optimizer.zero_grad()
            if inside:
                rate.mul_(0.5)
            (p * p).sum().backward()
            optimizer.step()

        run = torch.compile(step) if captured else step
        for _ in range(5):
            run()
            if not inside:
                rate.mul_(0.5)
        ends.append(p.tolist())
    assert ends[0] == pytest.approx(ends[1], rel=1e-6)
