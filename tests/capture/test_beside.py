"""An optimizer's update that is done beside the product that makes its gradient: the same bits as one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine as torch
from engine import nn
from engine.capture.formula import Live, update_program
from engine.capture.instruction import joined
from engine.capture.rules.update import LARGE
from engine.dispatch import OPS
from engine.kernels.native import address, native
from engine.nn import functional as F
from tests.capture.test_kernels import examples, normal

pytestmark = pytest.mark.skipif(native() is None, reason="no compiled kernels on this machine, or EPOCHLINE_KERNELS=numpy")
OPTIMIZERS: dict[str, Any] = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.01),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),  # a formula that is interpreted
}


def formula(kind: str) -> tuple[list[int], list[int], np.ndarray[Any, Any]]:
    """An update's head and steps, the operands that it reads, and its constants."""
    parameter = torch.zeros(2, requires_grad=True)
    optimizer = OPTIMIZERS[kind]([parameter])
    group = optimizer.param_groups[0]
    slots = optimizer.active_slots(group)
    hyper = optimizer.advance(group, {})
    program = update_program(OPS[type(optimizer).update.name], 2 + len(slots), hyper, [])
    numbers = np.array([c.find(hyper) if isinstance(c, Live) else c for c in program.constants], np.float32)
    head = [len(program.inputs), program.outputs, len(numbers), address(numbers), program.places, len(program.steps) // 3, *program.steps]
    return head, program.inputs, numbers


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("across", [True, False])
@examples
@given(st.integers(1, 50), st.integers(1, 150), st.integers(1, 90), st.integers(1, 2), st.booleans())
def test_bits(kind: str, across: bool, m: int, n: int, k: int, threads: int, added: bool) -> None:
    kernels = native()
    assert kernels is not None
    head, inputs, constants = formula(kind)
    a, b = normal(k, m) if across else normal(m, k), normal(k, n, seed=1)
    steps = (1, m) if across else (k, 1)

    def run(together: bool) -> list[np.ndarray[Any, Any]]:
        c = normal(m, n, seed=2)
        arrays = [normal(m, n, seed=3), c, *(np.abs(normal(m, n, seed=4 + i)) for i in range(len(inputs)))]
        outs = [arrays[0], *arrays[2 : 1 + head[1]]]
        product = [0, 0, int(added), 1, m, n, k, address(a), address(b), address(c), *steps, n, 1, n, 1, 0, 0, 0, 0, 0, 0]
        piece = [m * n, *(address(arrays[i]) for i in inputs), *map(address, outs)]
        torch.set_num_threads(threads if together else 1)
        if together:
            kernels.call("matmul_update", *product, *head, *piece)
        else:
            kernels.call("matmul", *product)
            kernels.call("map_pieces", *head, 1, *piece)
        return [*outs, c]

    try:
        for x, y in zip(run(True), run(False), strict=True):
            np.testing.assert_array_equal(x, y)
    finally:
        torch.set_num_threads(1)
    assert constants is not None  # the kernels read it


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("batch", [15, 16])
def test_a_large_layer_of_a_step(kind: str, batch: int) -> None:
    x, y = torch.tensor(normal(batch, LARGE // 100)), torch.tensor(normal(batch, 104, seed=1))

    def trained(compiled: bool) -> tuple[Any, list[np.ndarray[Any, Any]]]:
        torch.manual_seed(0)
        model = nn.Linear(LARGE // 100, 104)
        optimizer = OPTIMIZERS[kind](model.parameters())

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        run = torch.compile(step) if compiled else step
        for _ in range(4):
            run(x, y)
        return run, [t.detach().numpy() for t in (model.weight, model.weight.grad, model.bias)]

    (_, expected), (run, found) = trained(False), trained(True)
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=2e-6)
    ((program,),) = run.programs.values()
    assert "matmul_update" in [i.kernel for i in joined(program.builder.instructions)]


def test_a_product_that_reads_what_is_updated_is_done_first() -> None:
    """The gradient of w here is a product that reads all of w, as it was, for each of its elements."""
    w = torch.tensor(normal(256, 256) / 16, requires_grad=True)
    eye = torch.eye(256)
    optimizer = torch.optim.SGD([w], lr=0.5)

    def step() -> Any:
        optimizer.zero_grad()
        loss = (w.detach() @ w).sum() + (eye @ w).sum()
        loss.backward()
        optimizer.step()
        return loss

    expected = w.detach().numpy() - 0.5 * (w.detach().numpy().T @ np.ones((256, 256), np.float32) + 1)
    torch.compile(step)()
    np.testing.assert_allclose(w.detach().numpy(), expected, rtol=1e-4, atol=1e-4)
