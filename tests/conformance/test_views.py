"""Random programs of views and in-place operations: the same values and gradients as PyTorch, or the same refusal."""

import random
from typing import Any

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = pytest.mark.peer


def step(rng: random.Random) -> tuple[str, tuple[Any, ...]]:
    return rng.choice([
        ("select", (0, rng.randrange(2))), ("slice", (rng.randrange(2), None, None)), ("slice", (None, None, 2)), ("transpose", ()), ("reshape", (-1,)),
        ("unsqueeze", (0,)), ("mul", (rng.uniform(0.5, 2),)), ("mul_", (rng.uniform(0.5, 2),)), ("add_", (rng.uniform(0.5, 2),)), ("tanh", ()), ("sigmoid_", ()),
        ("fill_", (rng.uniform(0.5, 2),)), ("zero_", ()), ("set", (rng.uniform(0.5, 2),)), ("set_from", ()), ("add_from", ()), ("mul_from", ()), ("detach", ()),
        ("index_set", ()), ("mask_set", ()),
    ])  # fmt: skip


def run(lib: Any, program: list[tuple[int, int, str, tuple[Any, ...]]], start: list[Any]) -> list[Any]:
    """Values and gradients of a program over a growing list of tensors; the name of the error that stopped it."""
    leaves = [lib.tensor(s, requires_grad=i == 0) for i, s in enumerate(start)]
    xs = [x * 1.0 for x in leaves]
    seen: list[Any] = []
    try:
        for at, other, name, args in program:
            x, o = xs[at % len(xs)], xs[other % len(xs)]
            if name == "select":
                y = x.select(*args) if x.ndim and x.shape[0] > args[1] else x
            elif name == "slice":
                y = x[slice(*args)] if x.ndim else x
            elif name == "transpose":
                y = x.transpose(0, 1) if x.ndim > 1 else x
            elif name in ("set", "set_from", "index_set", "mask_set"):
                y = x
                if not x.ndim or not x.shape[0]:
                    continue
                if name == "set":
                    x[0] = args[0]
                elif name == "index_set":
                    x[[0]] = o.sum()
                elif name == "mask_set":
                    x[x > 0.5] = o.mean()
                else:
                    x[-1] = o.sum()
            elif name in ("add_from", "mul_from"):
                y = getattr(x, name[:3] + "_")(o.sum())
            else:
                y = getattr(x, name)(*args)
            xs.append(y)
        total = sum((x.sin().sum() for x in xs), lib.zeros(()))
        seen += [np.array(x.detach().numpy()) for x in xs] + [x.requires_grad for x in xs]
        total.backward()
        seen.append(np.array(leaves[0].grad.numpy()))
    except RuntimeError as error:
        seen.append(f"RuntimeError: {error}")
    return seen


@pytest.mark.parametrize("seed", range(300))
def test_random_program(seed: int) -> None:
    rng = random.Random(seed)
    numbers = np.random.default_rng(seed)
    start = [numbers.normal(size=(2, 3)), numbers.normal(size=(3,))]
    program = [(rng.randrange(100), rng.randrange(100), *step(rng)) for _ in range(rng.randrange(2, 12))]
    ours, theirs = run(engine, program, start), run(torch, program, start)
    for a, b in zip(ours, theirs, strict=False):
        if isinstance(b, str):
            break
        if isinstance(a, str):
            pytest.fail(f"refused: {a}, PyTorch {b}")
        elif isinstance(b, bool):
            assert a == b
        else:
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
