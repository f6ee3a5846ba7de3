"""Every op's sample, and random programs of ops, in a captured step: unfused to the bit what the step does eagerly, fused but for rounding."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine as torch
from engine import Tensor, nn
from engine.nn import functional as F
from tests.engine.samples import COMPOSITES, SAMPLES, VALUES

CASES = {
    **{f"{name}-{i}": sample for name, samples in SAMPLES.items() for i, sample in enumerate(samples)},
    **{f"composite-{name}": sample for name, sample in COMPOSITES.items()},
    **{f"value-{name}": sample for name, sample in VALUES.items()},
}
Arrays = list[Any]


def _trained(function: Callable[..., Any], inputs: list[Tensor], fuse: bool | None) -> Arrays:
    """Results and gradients of the last of three steps on growing inputs, each multiplied by a parameter; ``fuse`` None is eager."""
    scales = [nn.Parameter(torch.ones(x.shape) * 0.9) if x.is_floating_point() else None for x in inputs]

    def step(*given: Tensor) -> Any:
        for p in scales:
            if p is not None:
                p.grad = None
        made = function(*[x if p is None else x * p for x, p in zip(given, scales, strict=True)])
        results = [y for y in (made if isinstance(made, tuple | list) else [made]) if isinstance(y, Tensor)]
        losses = [(y * torch.linspace(0.3, 1.1, max(y.numel(), 1)).reshape(y.shape)).sum() for y in results if y.requires_grad]
        if losses:
            torch.stack(losses).sum().backward()
        return tuple(results)

    run = step if fuse is None else torch.compile(step, fuse=fuse)
    for i in range(3):
        torch.manual_seed(i)
        results = run(*[x * (1 + 0.01 * i) if x.is_floating_point() else x for x in inputs])
    return [y.detach().numpy() for y in results] + [None if p is None or p.grad is None else p.grad.numpy() for p in scales]


def _agree(function: Callable[..., Any], inputs: list[Tensor], rtol: float, atol: float) -> None:
    eager, fused, unfused = (_trained(function, inputs, fuse) for fuse in (None, True, False))
    for e, f, u in zip(eager, fused, unfused, strict=True):
        assert (e is None) == (f is None) == (u is None)
        if e is not None:
            np.testing.assert_array_equal(u, e)
            assert f.dtype == e.dtype
            np.testing.assert_allclose(f, e, rtol=rtol, atol=atol * max(1.0, np.abs(e[np.isfinite(e)]).max(initial=0)))


@pytest.mark.parametrize("name", CASES)
def test_an_op_in_a_captured_step(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "engine.capture")  # what cannot be captured runs eagerly, and says so
    function, inputs = CASES[name]
    _agree(function, [x.float() if x.is_floating_point() else x for x in inputs], rtol=2e-4, atol=2e-5)


SHAPES: list[Callable[[Tensor, int], Tensor]] = [
    lambda x, d: x.transpose(0, x.ndim - 1),
    lambda x, d: x.reshape(-1),
    lambda x, d: x.reshape(x.shape[0], -1),
    lambda x, d: x.narrow(d, 0, max(1, x.shape[d] // 2)),
    lambda x, d: torch.cat([x, x * 0.5], d) if x.numel() < 1000 else x,
    lambda x, d: x.sum(d, keepdim=True),
    lambda x, d: x.mean(d),
    lambda x, d: x * x.sum(d, keepdim=True) * 0.1,
    lambda x, d: x * x.mean(),
]
FORMULAS: list[Callable[[Tensor, Tensor], Tensor]] = [
    lambda x, y: x * y,
    lambda x, y: x + y,
    lambda x, y: x - y * 2,
    lambda x, y: x / (y * y + 1),
    lambda x, y: torch.maximum(x, y * 0.9),
    lambda x, y: x.tanh() + y,
    lambda x, y: F.relu(x),
    lambda x, y: torch.where(x > 0.1, x, x * 0.1),
    lambda x, y: (x * x + 1).sqrt(),
]


def _program(seed: int) -> tuple[Callable[..., tuple[Tensor, ...]], list[Tensor]]:
    """Some ops after one another on operands of shapes that broadcast; two of the values on the way are returned too."""
    random = np.random.default_rng(seed)
    rank = int(random.integers(1, 5))
    base = random.choice([1, 2, 3, 4, 5, 8, 16, 17], rank)
    shapes = [tuple(int(n) if random.random() < 0.75 else 1 for n in base) for _ in range(3)]
    picks = random.integers(0, 1 << 30, (int(random.integers(2, 12)), 4))

    def compute(*inputs: Tensor) -> tuple[Tensor, ...]:
        values = list(inputs)
        for a, b, kind, which in picks.tolist():
            x, y = values[-1 if kind % 3 else a % len(values)], values[b % len(values)]
            if which % 2 and x.ndim:
                values.append(SHAPES[which // 2 % len(SHAPES)](x, b % x.ndim))
                continue
            fits = len(x.shape) == len(y.shape) and all(n == m or 1 in (n, m) for n, m in zip(x.shape, y.shape, strict=True))
            values.append(FORMULAS[which // 2 % len(FORMULAS)](x, y if fits else x))
        return values[-1], values[len(values) // 2], values[2 * len(values) // 3]

    return compute, [torch.tensor(random.standard_normal(shape).astype(np.float32)) for shape in shapes]


@pytest.mark.parametrize("seed", range(250))
def test_a_random_program_in_a_captured_step(seed: int) -> None:
    compute, inputs = _program(seed)
    _agree(compute, inputs, rtol=1e-3, atol=5e-5)


@pytest.mark.parametrize("name", ["index", "view", "deepcopy", "unique"])
def test_what_no_launch_shows_is_never_taken_for_a_constant(name: str) -> None:
    """A batch of one looks the same however it is turned: a step that bakes its elements in would go unnoticed."""
    steps: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "index": lambda x, at: x[torch.arange(1), at],
        "view": lambda x, at: (x * 0 + at).view(torch.int32),
        "deepcopy": lambda x, at: copy.deepcopy(x * 0 + at),
        "unique": lambda x, at: (x * 0 + at).unique(),
    }
    step, x = steps[name], torch.tensor([[1.0, 2.0, 3.0]])
    compiled = torch.compile(step)
    for at in (torch.tensor([0]), torch.tensor([2]), torch.tensor([1])):
        np.testing.assert_array_equal(compiled(x, at).numpy(), step(x, at).numpy())


def test_probabilities_out_of_range_are_no_number_in_a_captured_step() -> None:
    compiled = torch.compile(lambda x, y: F.binary_cross_entropy(x, y))
    x, y = torch.tensor([0.25, 0.75]), torch.tensor([0.0, 1.0])
    assert compiled(x, y).isclose(F.binary_cross_entropy(x, y))
    assert len(compiled.programs) == 1
    assert None not in compiled.programs.values()
    assert compiled(torch.tensor([0.5, 1.5]), y).isnan()
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        F.binary_cross_entropy(torch.tensor([0.5, 1.5]), y)


@pytest.mark.parametrize(
    "options", [{}, {"weight": True}, {"label_smoothing": 0.1}, {"weight": True, "label_smoothing": 0.1, "reduction": "sum"}]
)
@pytest.mark.parametrize("shape", [(6, 4), (2, 4, 3)])
def test_every_cross_entropy_is_captured_and_names_a_class_that_is_none(options: dict[str, Any], shape: tuple[int, ...]) -> None:
    if options.pop("weight", False):
        options = {**options, "weight": torch.tensor([0.5, 1.0, 2.0, 0.25])}
    compiled = torch.compile(lambda x, y: F.cross_entropy(x, y, ignore_index=1, **options))
    x, random = torch.randn(*shape), np.random.default_rng(0)
    for _ in range(3):
        y = torch.tensor(random.integers(0, 4, (shape[0], *shape[2:])))
        assert compiled(x, y).isclose(F.cross_entropy(x, y, ignore_index=1, **options), rtol=1e-5)
    assert None not in compiled.programs.values()
    with pytest.raises(IndexError, match="Target 4 is out of bounds"):
        compiled(x, torch.full_like(y, 4))
