"""Compiled steps whose Python values change between calls, beside PyTorch's ``compile``; but hooks added later, which PyTorch's leaves out."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]  # PyTorch warns of much that is compared here
X = np.array([[1.0, -2.0, 3.0], [-0.5, 0.25, 4.0]], np.float32)
Case = tuple[Callable[..., Any], list[Callable[[], Any]]]


def number(lib: Any) -> Case:
    held = types.SimpleNamespace(scale=2.0)
    return lambda x: x * held.scale, [lambda: setattr(held, "scale", 3.0), lambda: setattr(held, "scale", 4)]


def flag(lib: Any) -> Case:
    held = types.SimpleNamespace(negative=False)
    return lambda x: -x if held.negative else x * 2, [lambda: setattr(held, "negative", True)]


def entry(lib: Any) -> Case:
    table = {"beta": 1.0}
    return lambda x: x * table["beta"], [lambda: table.update(beta=5.0)]


def count(lib: Any) -> Case:
    factors = [1.0, 2.0]

    def step(x: Any) -> Any:
        for factor in factors:
            x = x * factor
        return x

    return step, [lambda: factors.append(3.0), lambda: factors.__setitem__(0, -1.0)]


def tensor(lib: Any) -> Case:
    held = types.SimpleNamespace(prior=lib.ones(3))
    return lambda x: x * held.prior, [lambda: setattr(held, "prior", lib.tensor([3.0, 2.0, 1.0])), lambda: held.prior.mul_(2)]


def array(lib: Any) -> Case:
    weights = np.array([1.0, 2.0, 3.0], np.float32)
    return lambda x: x * lib.tensor(weights), [lambda: weights.__setitem__(0, 7.0)]


def activation(lib: Any) -> Case:
    model = lib.nn.Sequential(lib.nn.Identity(), lib.nn.LeakyReLU(0.1))
    return lambda x: model(x), [lambda: setattr(model[1], "negative_slope", 0.7), lambda: model.__setitem__(0, lib.nn.ReLU())]


def dropout(lib: Any) -> Case:
    layer = lib.nn.Dropout(0.0)
    return lambda x: layer(x), [lambda: setattr(layer, "p", 1.0), layer.eval]


def smoothing(lib: Any) -> Case:
    loss, target = lib.nn.CrossEntropyLoss(), lib.tensor([0, 2])
    return lambda x: loss(x, target), [lambda: setattr(loss, "label_smoothing", 0.5), lambda: setattr(loss, "reduction", "sum")]


def default(lib: Any) -> Case:
    def scaled(x: Any, factor: float = 2.0) -> Any:
        return x * factor

    return lambda x: scaled(x), [lambda: setattr(scaled, "__defaults__", (5.0,))]


CASES = [number, flag, entry, count, tensor, array, activation, dropout, smoothing, default]


def _results(lib: Any, make: Callable[[Any], Case], **how: Any) -> list[Any]:
    step, changes = make(lib)
    run, found = lib.compile(step, **how), []
    with lib.no_grad():
        for change in [lambda: None, *changes]:
            change()
            found += [run(lib.tensor(X)).numpy().copy() for _ in range(2)]
    return found


@pytest.mark.parametrize("make", CASES)
def test_a_changed_value_takes_effect_as_in_pytorch(make: Callable[[Any], Case]) -> None:
    torch._dynamo.reset()
    for ours, theirs in zip(_results(engine, make), _results(torch, make, backend="eager"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
