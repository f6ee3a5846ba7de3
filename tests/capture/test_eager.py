"""What eager steps do at once or without tensors gives what they give one by one, with them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine as torch
from engine.capture.rules import convolution
from engine.kernels.native import native
from engine.nn import functional as F

compiled = pytest.mark.skipif(native() is None, reason="no compiled kernels on this machine, or EPOCHLINE_KERNELS=numpy")
OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.5, weight_decay=0.1),
    **{
        name: lambda p, name=name: getattr(torch.optim, name)(p)
        for name in ("ASGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop")
    },
}


def trained(make: Callable[[Any], Any], dtype: Any = torch.float32, turned: bool = False) -> list[np.ndarray[Any, Any]]:
    """Six steps on random gradients: one is left out for a while, the learning rate changes, the state is loaded anew. ``turned``: one
    gradient lies in memory the other way round."""
    torch.manual_seed(0)
    parameters = [torch.nn.Parameter(torch.randn(*shape).to(dtype)) for shape in ((1,), (37,), (40, 30), (3, 2, 5))]
    random = np.random.default_rng(1)
    optimizer = make(parameters)
    for step in range(6):
        for i, p in enumerate(parameters):
            g = torch.tensor(random.standard_normal(p.shape[::-1])).to(dtype).permute(*reversed(range(p.ndim)))
            p.grad = None if i == 1 and step in (1, 2) else g if turned and i == 2 else g.contiguous()
        if step == 3:
            optimizer.param_groups[0]["lr"] *= 0.5
        if step == 4:
            optimizer.load_state_dict(optimizer.state_dict())
        if step == 5:
            parameters[0].data = parameters[0].data.clone()
        optimizer.step()
    return [p.detach().numpy() for p in parameters]


@compiled
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("turned", [False, True])
def test_a_group_is_updated_as_its_parameters_are(name: str, turned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit: in one call, or in one a parameter, as where a gradient does not lie as the call needs it."""
    op = type(OPTIMIZERS[name]([torch.nn.Parameter(torch.zeros(1))])).update
    at_once, answers = op.together, []
    assert at_once is not None
    monkeypatch.setattr(op, "together", lambda calls: answers.append(at_once(calls)) or answers[-1])
    found = trained(OPTIMIZERS[name], turned=turned)
    # one has no formula; and where a step was left out, the numbers of Adam and its like differ from parameter to parameter
    assert answers[0] is (not turned and name != "Rprop")
    assert all(answers) or turned or name not in ("SGD", "momentum", "RMSprop")
    monkeypatch.setattr(op, "together", None)
    for a, b in zip(found, trained(OPTIMIZERS[name], turned=turned), strict=True):
        np.testing.assert_array_equal(a, b)
    monkeypatch.delitem(op.overrides, "numpy")
    for a, b in zip(found, trained(OPTIMIZERS[name], turned=turned), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


@compiled
def test_double_precision_is_left_to_numpy() -> None:
    for a, b in zip(trained(OPTIMIZERS["Adam"], torch.float64), trained(OPTIMIZERS["Adam"]), strict=True):
        assert a.dtype == np.float64
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(5,), (4, 5), (2, 3, 5), (0, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_derivatives_on_arrays_are_those_on_tensors(shape: tuple[int, ...], bias: bool) -> None:
    """To the bit: what ``backward`` computes where nobody differentiates it again, and where somebody may."""
    torch.manual_seed(0)
    x, w, b, target = torch.randn(*shape), torch.randn(6, 5), torch.randn(6), torch.randn(*shape[:-1], 6)
    leaves = [t.requires_grad_() for t in ((x, w, b, target) if bias else (x, w, target))]

    def gradients(create_graph: bool) -> list[Any]:
        y = F.relu(F.linear(x, w, b if bias else None))
        loss = F.mse_loss(y, target, reduction="sum")
        return [g.detach().numpy() for g in torch.autograd.grad(loss, leaves, create_graph=create_graph)]

    for a, b_ in zip(gradients(False), gradients(True), strict=True):
        assert a.shape == b_.shape
        np.testing.assert_allclose(a, b_, rtol=1e-6, atol=1e-6)


def test_a_leaf_used_twice_gets_both_gradients() -> None:
    x = torch.tensor([[1.0, -2.0]], requires_grad=True)
    (F.relu(x) * 3 + F.relu(-x)).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [[3.0, -1.0]]


@compiled
def test_what_cannot_be_the_fastest_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that could do any number of additions a second has all candidates timed, a slow one only the first."""
    x, conv = torch.randn(2, 32, 16, 16), torch.nn.Conv2d(32, 32, 3, padding=1)
    clock = itertools.count()
    monkeypatch.setattr(convolution.time, "perf_counter", lambda: float(next(clock)))
    looks = []
    for peak in (1e30, 1.0):
        monkeypatch.setattr(native(), "peak", peak)
        before, plan = next(clock), dict[str, int]()
        torch.compile(lambda x: conv(x).detach(), plan=plan)(x)
        assert list(plan.values()) == [convolution.WINOGRAD]
        looks.append(next(clock) - before)
    assert looks[0] > looks[1] > 1


def test_a_module_in_two_places_is_one_child_and_runs_twice() -> None:
    double = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        double.weight.fill_(2.0)
    both = torch.nn.Sequential(double, double)
    assert len(list(both.children())) == 1 and len(list(both)) == len(both) == 2
    assert both(torch.ones(1, 1)).item() == 4.0
