"""Schedules together and of one's own, and the hooks of optimizers, beside PyTorch."""

from typing import Any

import numpy as np
import pytest

import engine
from tests.peers.sides import both, values

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]  # PyTorch warns of much that is compared here


def optimizer_of(lib: Any, groups: int = 1) -> Any:
    return lib.optim.SGD([{"params": [lib.zeros(1, requires_grad=True)], "lr": 0.1 * (i + 1)} for i in range(groups)], momentum=0.5)


SCHEDULES = [
    "[LambdaLR(o, [lambda e: 0.9**e, lambda e: 1 / (e + 1)])]", "[MultiplicativeLR(o, [lambda e: 0.9, lambda e: 0.5])]", "[ExponentialLR(o, 0.9), StepLR(o, 2, 0.5)]",
    "[MultiStepLR(o, [3, 5], 0.1), CosineAnnealingLR(o, 4)]", "[LinearLR(o, 0.1, 1.0, 4), ExponentialLR(o, 0.9), PolynomialLR(o, 8)]",
    "[ChainedScheduler([ConstantLR(o, 0.1, 3), ExponentialLR(o, 0.9)], optimizer=o)]", "[CyclicLR(o, [0.1, 0.2], [0.5, 1.0], 3)]",
    "[CyclicLR(o, 0.1, 0.5, 3, scale_fn=lambda c: 0.5 ** (c - 1))]", "[CyclicLR(o, 0.1, 0.5, 3, scale_fn=lambda i: 0.9**i, scale_mode='iterations')]",
    "[OneCycleLR(o, [0.4, 0.8], total_steps=20, base_momentum=[0.8, 0.7])]", "[Half(o), StepLR(o, 3)]", "[SequentialLR(o, [Half(o), StepLR(o, 2)], [3])]",
]  # fmt: skip


@pytest.mark.parametrize("text", SCHEDULES)
def test_schedules_together_and_of_ones_own(text: str) -> None:
    histories = []
    for lib in (engine, torch):

        class Half(lib.optim.lr_scheduler._LRScheduler):  # type: ignore[name-defined,misc]  # a class of either library
            def get_lr(self) -> list[float]:
                return [base * 0.5**self.last_epoch for base in self.base_lrs]

        o = optimizer_of(lib, 2)
        schedules = eval(text, {**vars(lib.optim.lr_scheduler), "o": o, "Half": Half})
        history = []
        for i in range(12):
            o.step()
            for schedule in schedules:
                schedule.step()
            if i == 4:
                o.param_groups[0]["lr"] *= 0.7
            history.append([(g["lr"], g["momentum"]) for g in o.param_groups] + [(r, 0.0) for r in schedules[-1].get_last_lr()])
        states = [s.state_dict() for s in schedules]
        for schedule, state in zip(schedules, states, strict=True):
            schedule.load_state_dict(state)
            schedule.step()
        histories.append([*history, [(g["lr"], g["momentum"]) for g in o.param_groups] * 2])
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-9, atol=1e-12)


def test_schedules_at_a_given_epoch() -> None:
    def rates(lib: Any) -> Any:
        S, found = lib.optim.lr_scheduler, []
        for make in (
            lambda o: S.CosineAnnealingWarmRestarts(o, 3, 2), lambda o: S.StepLR(o, 2), lambda o: S.CosineAnnealingLR(o, 5), lambda o: S.LambdaLR(o, lambda e: 1 / (e + 1)),
        ):  # fmt: skip
            o = optimizer_of(lib)
            schedule = make(o)
            for epoch in (0.5, 2, 3.25, 8):
                schedule.step(epoch)
                found.append(round(o.param_groups[0]["lr"], 9))
        with pytest.raises(KeyError, match="initial_lr"):
            S.StepLR(optimizer_of(lib), 2, last_epoch=3)
        return found

    both(rates)


def test_hooks_of_optimizers() -> None:
    def seen(lib: Any) -> Any:
        calls: list[Any] = []
        o = optimizer_of(lib)
        o.register_step_pre_hook(lambda opt, args, kwargs: calls.append(("before", len(args), sorted(kwargs))))
        handle = o.register_step_post_hook(lambda opt, args, kwargs: calls.append("after"))
        o.register_state_dict_pre_hook(lambda opt: calls.append("saving"))
        o.register_state_dict_post_hook(lambda opt, state: {**state, "more": 1})
        o.register_load_state_dict_pre_hook(lambda opt, state: calls.append(sorted(state)))
        o.register_load_state_dict_post_hook(lambda opt: calls.append("loaded"))
        o.step()
        o.step(closure=lambda: 1.0)
        handle.remove()
        o.step()
        o.load_state_dict(o.state_dict())
        return calls

    both(seen)


def test_zeroed_gradients_are_the_same_memory() -> None:
    def zeroed(lib: Any) -> Any:
        layer = lib.nn.Linear(1, 1)
        found = []
        for zero in (layer.zero_grad, lib.optim.SGD(layer.parameters(), lr=0.1).zero_grad):
            (layer(lib.ones(1, 1)) * float("inf")).sum().backward()
            g = layer.weight.grad
            zero(set_to_none=False)
            found += [values(g), values(layer.weight.grad)]
            zero()
            found.append(layer.weight.grad)
        return found

    both(zeroed)
