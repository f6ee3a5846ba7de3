"""What a step makes of numbers alone is computed when it is recorded; elements that are not known then are never looked at."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine as torch
from engine import Tensor, nn
from engine.backend.uncomputed import ElementsNeeded, uncomputed
from engine.kernels.native import native
from engine.nn import functional as F

needs_kernels = pytest.mark.skipif(native() is None, reason="no compiled kernels on this machine, or EPOCHLINE_KERNELS=numpy")


def _ones_below(x: Tensor) -> Tensor:
    return x.masked_fill(torch.ones(4, 4).tril() == 0, -1.0)


def _rows_set(x: Tensor) -> Tensor:
    table = torch.zeros(4, 4)
    table[0] = 1
    table[1, 2] = 5
    table += 2
    return x * table


CONSTANT: dict[str, tuple[Callable[[Tensor], Tensor], set[str]]] = {
    "a causal mask": (_ones_below, {"where"}),
    "a table that is written to": (_rows_set, {"mul"}),
    "places": (lambda x: x[torch.arange(3) + 1], {"index"}),
    "a number of a tensor": (lambda x: x * torch.linspace(0, 1, 5).sum().item(), {"mul"}),
    "a selection": (lambda x: x + torch.tensor([3.0, 0.0, 1.0, 2.0]).sort().values.cumsum(0), {"add"}),
}


@pytest.mark.parametrize("name", CONSTANT)
def test_what_depends_on_numbers_alone_is_computed_once(name: str) -> None:
    step, left = CONSTANT[name]
    compiled = torch.compile(step)
    for i in range(3):
        x = torch.randn(4, 4) + i
        np.testing.assert_allclose(compiled(x).numpy(), step(x).numpy(), rtol=1e-6)
    (programs,) = compiled.programs.values()
    assert {c.op.name for c in programs[0].tape.calls if c.op.view is None} == left


@pytest.mark.parametrize("ready", [True, False])
def test_what_a_step_writes_into_begins_anew_each_time(ready: bool) -> None:
    def step(x: Tensor) -> Tensor:
        total = torch.zeros(3) if ready else torch.zeros(3) + 0
        total += x
        total.mul_(2)
        return total

    compiled = torch.compile(step)
    for i in range(4):
        assert compiled(torch.full((3,), float(i))).tolist() == [2.0 * i] * 3


def test_a_view_of_a_constant_that_is_written_to_is_no_constant(caplog: pytest.LogCaptureFixture) -> None:
    def step(x: Tensor) -> Tensor:
        total = torch.zeros(2, 3)
        row = total[0]
        total += x
        return row * 2

    compiled = torch.compile(step)
    for i in range(3):
        assert compiled(torch.full((2, 3), float(i))).tolist() == [2.0 * i] * 3
    assert "of which it took views" in caplog.text


class _Lazy(nn.Module):
    """Makes its mask when it first runs, and keeps it."""

    mask: Any = None

    def forward(self, x: Tensor) -> Tensor:
        if self.mask is None:
            self.mask = torch.ones(4, 4).tril() * 2
        return x * (self.mask * 3)


def test_a_mask_that_is_made_in_the_first_step_is_computed() -> None:
    model = _Lazy()
    compiled = torch.compile(lambda x: model(x))
    for _ in range(3):
        assert torch.equal(compiled(torch.ones(4, 4)), torch.ones(4, 4).tril() * 6)
    assert None not in compiled.programs.values()
    assert torch.equal(model.mask, torch.ones(4, 4).tril() * 2)


class _Keeping(nn.Module):
    """Keeps what it computed last."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.latest: Any = None

    def forward(self, x: Tensor) -> Tensor:
        self.latest = x * self.weight
        return self.latest + 1


def test_a_module_never_keeps_what_was_not_computed() -> None:
    model = _Keeping()
    compiled = torch.compile(lambda x: model(x).detach())
    assert compiled(torch.ones(3)).tolist() == [2, 2, 2]
    assert model.latest is None
    model(torch.ones(3))
    assert model.latest.tolist() == [1, 1, 1]


@needs_kernels
def test_masks_from_outside_are_read_in_formulas(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "engine.capture")
    compiled = torch.compile(lambda x, m: torch.where(m, x, -x).exp())
    for seed in range(3):
        x, m = torch.randn(5, 7), torch.tensor(np.random.default_rng(seed).random((5, 7)) > 0.5)
        np.testing.assert_allclose(compiled(x, m).numpy(), torch.where(m, x, -x).exp().numpy(), rtol=1e-6)
    assert "launched from Python" not in caplog.text


LOOKS: dict[str, Callable[[Any], Any]] = {
    "item": lambda a: a[0, 0],
    "truth": lambda a: bool(a[:1, :1]),
    "compare": lambda a: a > 0,
    "minimum": lambda a: a.min(),
    "function": lambda a: np.sort(a),
    "chosen": lambda a: a[np.array([0, 1])],
    "list": lambda a: a.tolist(),
    "cast": lambda a: a.astype(np.int64),
    "write": lambda a: a.__setitem__(0, 1),
    "other": lambda a: np.arange(12).reshape(3, 4) + a,
}


@pytest.mark.parametrize("name", LOOKS)
def test_elements_that_were_never_computed_are_not_looked_at(name: str) -> None:
    array = uncomputed(np.zeros((3, 4), np.float32))
    with pytest.raises(ElementsNeeded, match="looks at elements"):
        LOOKS[name](array)


def test_views_of_what_was_never_computed_can_be_taken() -> None:
    array = uncomputed(np.zeros((3, 4), np.float32))
    for view in (array[1:], array.T, array.reshape(2, 6), np.broadcast_to(array, (2, 3, 4)), array[None, ..., 0], np.moveaxis(array, 0, 1)):
        assert np.may_share_memory(view, array)


def test_a_step_whose_python_looks_at_elements_runs_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """An integer division looks for zeros, ``index_add`` at its places: neither is done on what memory held."""
    steps: list[Callable[[Tensor, Tensor], Tensor]] = [
        lambda x, n: x * ((n + 1) // (n + 2)),
        lambda x, n: torch.zeros(9).index_add(0, n + 1, x),
        lambda x, n: F.embedding_bag(n, torch.ones(9, 3), offsets=(n * 0).cumsum(0)[:1], mode="max") * x.sum(),
    ]
    for step in steps:
        compiled = torch.compile(step)
        for i in range(3):
            x, n = torch.ones(4), torch.tensor([0, 1, 2, 3]) + i
            assert torch.equal(compiled(x, n), step(x, n))
        assert list(compiled.programs.values()) == [None]
    assert "looks at" in caplog.text and "out of range" not in caplog.text


@needs_kernels
@pytest.mark.parametrize("options", [{}, {"mode": "sum"}, {"padding_idx": 2}, {"mode": "max"}])
def test_bags_of_rows_are_captured(options: dict[str, Any]) -> None:
    weight, random = nn.Parameter(torch.randn(20, 5)), np.random.default_rng(0)

    def step(index: Tensor) -> Tensor:
        weight.grad = None
        y = F.embedding_bag(index, weight, **options)
        (y * y).sum().backward()
        return y

    compiled = torch.compile(step)
    for _ in range(3):
        index = torch.tensor(random.integers(0, 20, (7, 6)))
        y, g = step(index).detach().numpy(), np.array(weight.grad.numpy())
        np.testing.assert_allclose(compiled(index).detach().numpy(), y, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(weight.grad.numpy(), g, rtol=1e-4, atol=1e-6)
    assert None not in compiled.programs.values() or options == {"mode": "max"}
    with pytest.raises(IndexError, match="out of range"):
        compiled(torch.full((7, 6), 20))


@needs_kernels
def test_bags_that_begin_at_offsets_are_captured() -> None:
    weight = torch.randn(20, 5)
    compiled = torch.compile(lambda index, offsets: F.embedding_bag(index, weight, offsets))
    for offsets in ([0, 3, 3], [0, 1, 9], [0, 0, 0]):
        index, at = torch.arange(9), torch.tensor(offsets)
        np.testing.assert_allclose(compiled(index, at).numpy(), F.embedding_bag(index, weight, at).numpy(), rtol=1e-5)
    assert None not in compiled.programs.values()
