"""Steps that cannot be guarded, or whose values change too often: they run as they are, and the log says why."""

from __future__ import annotations

import logging
import random
import time
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine as torch
from engine import nn
from tests.capture.values import X


class Counter:
    def __init__(self) -> None:
        self.n, self.last = 0, None


def counts_in_an_attribute() -> Callable[..., Any]:
    counter = Counter()

    def step(x: Any) -> Any:
        counter.n += 1
        return x * counter.n

    return step


def counts_in_a_variable() -> Callable[..., Any]:
    n = 0

    def step(x: Any) -> Any:
        nonlocal n
        n += 1
        return x * n

    return step


def counts_in_a_dict() -> Callable[..., Any]:
    counts = {"n": 0}

    def step(x: Any) -> Any:
        counts["n"] += 1
        return x * counts["n"]

    return step


def counts_in_an_array() -> Callable[..., Any]:
    counts = np.zeros(3)

    def step(x: Any) -> Any:
        counts[1] += 1
        return x * float(counts[1])

    return step


def collects_results() -> Callable[..., Any]:
    seen: list[Any] = []

    def step(x: Any) -> Any:
        seen.append(x * 2)
        return sum(seen) + len(seen)

    return step


def remembers_a_result() -> Callable[..., Any]:
    counter: Any = Counter()

    def step(x: Any) -> Any:
        counter.last = x if counter.last is None else counter.last + x
        return counter.last * 2

    return step


def schedules_by_itself() -> Callable[..., Any]:
    weight = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        (x * weight).sum().backward()
        optimizer.step()
        scheduler.step()
        return weight.detach() * 1

    return step


def steps_by_its_own_optimizer() -> Callable[..., Any]:
    """Its loop over parameters is Python of the user's, and counts."""

    class Descent(torch.optim.Optimizer):
        def step(self) -> None:
            for group in self.param_groups:
                for p in group["params"]:
                    self.state[p]["step"] = self.state[p].get("step", 0) + 1
                    p.data.add_(p.grad, alpha=-group["lr"] / self.state[p]["step"])

    weight = nn.Parameter(torch.ones(3))
    optimizer = Descent([weight], {"lr": 0.5})

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        (x * weight).square().sum().backward()
        optimizer.step()
        return weight.detach() * 1

    return step


def _draws(draw: Callable[[], float]) -> Callable[[], Callable[..., Any]]:
    return lambda: lambda x: x * draw()


def _shuffled() -> float:
    numbers = [1.0, 2.0, 3.0, 4.0, 5.0]
    random.shuffle(numbers)
    return numbers[0]


def draws_from_its_own_generator() -> Callable[..., Any]:
    generator = np.random.default_rng(0)
    return lambda x: x * float(generator.normal())


def draws_by_a_method() -> Callable[..., Any]:
    draw = random.Random(0).random
    return lambda x: x * draw()


def reads_on() -> Callable[..., Any]:
    numbers = iter([float(i) for i in range(20)])
    return lambda x: x * next(numbers)


def generates() -> Callable[..., Any]:
    def count() -> Any:
        n = 0.0
        while True:
            n += 1
            yield n

    numbers = count()
    return lambda x: x * next(numbers)


def reads_a_large_array() -> Callable[..., Any]:
    numbers = np.ones(300_000)

    def step(x: Any) -> Any:
        return x * float(numbers.sum())

    return step


EAGER: list[tuple[str, Callable[[], Callable[..., Any]], str]] = [
    ("an attribute that counts", counts_in_an_attribute, "it changes counter.n"),
    ("a variable that counts", counts_in_a_variable, "it changes n"),
    ("a dict that counts", counts_in_a_dict, "it changes counts"),
    ("an array that counts", counts_in_an_array, "it changes the array counts"),
    ("a list that grows", collects_results, "it changes seen"),
    ("a result that is kept", remembers_a_result, "it changes counter.last"),
    ("a scheduler", schedules_by_itself, "it changes"),
    ("an optimizer of one's own", steps_by_its_own_optimizer, "it changes"),
    ("random.random", _draws(lambda: random.random()), "draws from Python's random numbers"),
    ("random.uniform", _draws(lambda: random.uniform(1, 2)), "draws from Python's random numbers"),
    ("random.shuffle", _draws(_shuffled), "draws from Python's random numbers"),
    ("np.random.rand", _draws(lambda: float(np.random.rand())), "draws from NumPy's random numbers"),
    ("a generator of NumPy's", draws_from_its_own_generator, "it draws from generator"),
    ("a method of a generator", draws_by_a_method, "it draws from draw"),
    ("an iterator", reads_on, "it reads on in numbers"),
    ("a generator function", generates, "it reads on in numbers"),
    ("a large array", reads_a_large_array, "an array of 2 MB"),
    ("a clock", _draws(lambda: 0.0 * time.perf_counter()), "it calls perf_counter()"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "reason"), [pytest.param(make, reason, id=name) for name, make, reason in EAGER])
def test_what_cannot_be_guarded_runs_as_it_is(make: Callable[[], Any], reason: str, caplog: pytest.LogCaptureFixture) -> None:
    """Each call happens once, recording leaves nothing behind, and the log says why."""

    def results(compiled: bool) -> list[Any]:
        random.seed(3)
        np.random.seed(3)
        step = make()
        run = torch.compile(step) if compiled else step
        return [run(X[0] * i).tolist() for i in range(1, 6)]

    with caplog.at_level(logging.WARNING, "engine.capture"):
        assert results(True) == results(False)
    assert len(caplog.records) == 1 and reason in caplog.text


def test_printing_happens_at_each_step(capsys: pytest.CaptureFixture[str]) -> None:
    def step(x: Any) -> Any:
        print("a step")
        return x

    run = torch.compile(step)
    for _ in range(3):
        run(X)
    assert capsys.readouterr().out == "a step\n" * 3


def test_what_changes_at_each_step_is_not_recorded_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    held = types.SimpleNamespace(scale=0.0)
    run = torch.compile(lambda x: x * held.scale)
    recorded = 0
    with caplog.at_level(logging.INFO, "engine.capture"):
        for i in range(30):
            held.scale = float(i)
            assert torch.equal(run(X), X * i)
    recorded = sum("is recorded anew: held.scale was" in r.message for r in caplog.records)
    warned = [r.message for r in caplog.records if r.levelno == logging.WARNING]
    assert (
        recorded == 8
        and len(warned) == 1
        and "runs without capture from here on" in warned[0]
        and "held.scale was 8.0 and is 9.0" in warned[0]
    )


def test_what_changes_now_and_then_stays_captured() -> None:
    held = types.SimpleNamespace(scale=0.0)
    run = torch.compile(lambda x: x * held.scale)
    for i in range(200):
        held.scale = float(i // 10)
        assert torch.equal(run(X), X * held.scale)
    (programs,) = run.programs.values()
    assert programs and len(programs) == 4


def test_values_that_come_back_find_their_program(caplog: pytest.LogCaptureFixture) -> None:
    held = types.SimpleNamespace(flag=False)
    run = torch.compile(lambda x: -x if held.flag else x * 2)
    with caplog.at_level(logging.INFO, "engine.capture"):
        for i in range(40):
            held.flag = i % 2 == 1
            assert torch.equal(run(X), -X if held.flag else X * 2)
    assert sum("recorded anew" in r.message for r in caplog.records) == 1


def test_several_steps_in_one_call_are_guarded() -> None:
    held = types.SimpleNamespace(scale=2.0)
    run = torch.compile(lambda x: x * held.scale)
    for scale in (2.0, 2.0, 3.0):
        held.scale = scale
        assert torch.equal(run.many(torch.stack([X, X + 1])), torch.stack([X, X + 1]) * scale)
