"""A compiled step whose Python values change between calls: each call gives what the step gives as it is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine as torch
from engine import nn
from engine.dispatch import OPS
from engine.nn import functional as F
from tests.capture.changes import CASES
from tests.capture.values import X


@pytest.mark.parametrize("name", CASES)
def test_a_changed_value_takes_effect(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Steps and changes are made twice, one after the other, so that the eager and the compiled step see the same ones."""

    def results(compiled: bool) -> list[Any]:
        torch.manual_seed(0)
        step, changes = CASES[name]()
        run: Any = torch.compile(step, fuse=False) if compiled else step
        found: list[Any] = []
        try:
            with torch.no_grad():
                for change in [lambda: None, *changes]:
                    change()
                    found += [run(X).numpy().copy() for _ in range(2)]
        finally:
            torch.set_default_dtype(torch.float32)
        assert not compiled or all(run.programs.values()), caplog.text
        return found

    with caplog.at_level(logging.INFO, "engine.capture"):
        for expected, got in zip(results(False), results(True), strict=True):
            assert expected.dtype == got.dtype
            np.testing.assert_array_equal(got, expected)


class Trainer:
    """A training loop as people write them: with a weight that is annealed, and counters that the step does not read."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.0), nn.Linear(4, 1))
        self.optimizer = torch.optim.Adam(self.model.parameters(), 0.01)
        self.config = {"beta": 0.1, "clip": 1.0, "log_every": 10}
        self.steps, self.losses = 0, list[float]()

    def penalty(self) -> Any:
        return sum(p.square().sum() for p in self.model.parameters())

    def step(self, x: Any, y: Any) -> Any:
        self.optimizer.zero_grad()
        loss = F.mse_loss(self.model(x), y) + self.config["beta"] * self.penalty()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config["clip"])
        self.optimizer.step()
        return loss

    def train(self, changes: list[Callable[[Trainer], Any]], **how: Any) -> Any:
        run: Any = torch.compile(self.step, **how) if how else self.step
        x = torch.tensor(np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32))
        for change in [lambda t: None, *changes]:
            change(self)
            for _ in range(3):
                self.losses.append(float(run(x, x.sum(1, keepdim=True))))
                self.steps += 1
        return run


def _triples(t: Trainer) -> Callable[..., None]:
    def hook(optimizer: Any, args: Any, kwargs: Any) -> None:
        t.model[0].bias.grad.mul_(3)

    return hook


CHANGES: dict[str, Callable[[Trainer], Any]] = {
    "a weight in a dict": lambda t: t.config.update(beta=0.5),
    "a bound in a dict": lambda t: t.config.update(clip=0.01),
    "the rate": lambda t: t.optimizer.param_groups[0].update(lr=0.1),
    "a frozen layer": lambda t: t.model[0].requires_grad_(False),
    "a layer that learns again": lambda t: t.model[0].requires_grad_(True),
    "a hook of a parameter": lambda t: t.model[2].weight.register_hook(lambda g: g * 0.1),
    "a hook of a layer's gradient": lambda t: t.model[2].register_full_backward_pre_hook(lambda m, g: (g[0] * 2,)),
    "a hook of the optimizer": lambda t: t.optimizer.register_step_pre_hook(_triples(t)),
    "a method replaced": lambda t: setattr(t, "penalty", lambda: t.model[0].weight.sum()),
    "another activation": lambda t: t.model.__setitem__(1, nn.Tanh()),
}


@pytest.mark.parametrize("names", [[n] for n in CHANGES] + [list(CHANGES)], ids=lambda names: names[0] if len(names) == 1 else "all")
def test_training_goes_on_as_the_eager_one(names: list[str]) -> None:
    eager, compiled = Trainer(), Trainer()
    changes = [CHANGES[n] for n in names]
    eager.train(changes)
    run = compiled.train(changes, fuse=False)
    assert all(run.programs.values())
    assert compiled.losses == eager.losses
    for p, q in zip(compiled.model.parameters(), eager.model.parameters(), strict=True):
        assert torch.equal(p, q)


def test_what_the_step_does_not_read_is_not_guarded(caplog: pytest.LogCaptureFixture) -> None:
    trainer = Trainer()
    with caplog.at_level(logging.INFO, "engine.capture"):
        trainer.train(
            [lambda t: t.config.update(log_every=5), lambda t: t.optimizer.state_dict(), lambda t: t.model.state_dict()], fuse=False
        )
    assert not [r for r in caplog.records if "anew" in r.message]


def test_a_step_that_makes_an_op_is_captured_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """There is an op for each number of tensors that ``cat`` joins, made when it is first needed; what making it reads is no part of the step."""
    count = 29
    assert f"cat{count}" not in OPS
    run = torch.compile(lambda x: torch.cat([x] * count).sum(), fuse=False)
    with caplog.at_level(logging.INFO, "engine.capture"):
        assert [run(X).item() for _ in range(2)] == [torch.cat([X] * count).sum().item()] * 2
    assert run.programs and all(run.programs.values()), caplog.text
