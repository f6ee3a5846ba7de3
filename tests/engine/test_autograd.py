"""The graph: what is recorded, when, and what is refused."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import engine as torch
from engine import nn
from engine.autograd import Function, Variable, grad


def test_weighted_gradients_accumulate() -> None:
    x = Variable(torch.FloatTensor([1, 2, 3]), requires_grad=True)
    y = x * 2
    with pytest.raises(RuntimeError, match="only for scalar outputs"):
        y.backward()
    y.backward(torch.FloatTensor([1, 0.1, 0.01]), retain_graph=True)
    np.testing.assert_allclose(x.grad.numpy(), [2, 0.2, 0.02])
    y.backward(torch.FloatTensor([1, 1, 1]))
    np.testing.assert_allclose(x.grad.numpy(), [4, 2.2, 2.02])
    with pytest.raises(RuntimeError, match="second time"):
        y.backward(torch.FloatTensor([1, 1, 1]))


def test_gradients_of_two_leaves_do_not_share_memory() -> None:
    a, b = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    weight = torch.ones(3)
    (a + b).backward(weight)
    assert a.grad is not None and b.grad is not None
    a.grad.zero_()
    assert b.grad.tolist() == [1, 1, 1] and weight.tolist() == [1, 1, 1]


def test_a_modified_input_is_an_error_where_it_is_needed_and_only_there() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x * 1
    z = y * y
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()
    y = x * 1
    z = y + 2  # keeps nothing
    y.add_(1)
    z.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [1, 1, 1]


def test_in_place_operations_are_recorded() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 5
    y.mul_(3)
    y[0] = 7
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [0, 15])
    with pytest.raises(RuntimeError, match="leaf"):
        x.mul_(2)
    with pytest.raises(RuntimeError, match="a view of a leaf"):
        x[0].mul_(2)
    with torch.no_grad():
        x.mul_(2)
    assert x.tolist() == [2, 4]


def test_no_grad_and_detach_record_nothing() -> None:
    x = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        assert (x * 2).grad_fn is None
        with torch.enable_grad():
            assert (x * 2).grad_fn is not None
    assert x.detach().requires_grad is False

    @torch.no_grad()
    def double(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    assert not double(x).requires_grad and torch.is_grad_enabled()


def test_a_graph_of_100_000_nodes() -> None:
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + 0.0
    y.backward()
    assert x.grad is not None and x.grad.item() == 1


def test_graphs_are_freed_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        x = torch.ones(4, requires_grad=True)
        y = (x * 2).exp()
        inner = weakref.ref(y)
        y.sum().backward()
        del y
        assert inner() is None
    finally:
        gc.enable()


def test_retained_gradients_and_unused_inputs() -> None:
    x, unused = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    y = x * 3
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad is not None and y.grad.tolist() == [6, 6]
    z = (x * 2).sum()
    with pytest.raises(RuntimeError, match="not have been used"):
        grad(z, [x, unused], retain_graph=True)
    assert grad(z, [x, unused], allow_unused=True)[1] is None
    assert unused.grad is None


def test_the_third_derivative() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    y = x**4
    for expected in (32.0, 48.0, 48.0):
        (y,) = grad(y, [x], create_graph=True)
        assert y.item() == pytest.approx(expected)


def test_names_of_nodes() -> None:
    x = torch.ones(2, requires_grad=True)
    y = (x * 2).sum()
    assert y.grad_fn is not None and y.grad_fn.name() == "SumBackward0"
    mul = y.grad_fn.next_functions[0][0]
    assert mul.name() == "MulBackward0" and mul.next_functions[0][0].name() == "AccumulateGrad" and mul.next_functions[1] == (None, 0)


def test_mixed_dtypes_give_gradients_in_the_leafs_own() -> None:
    x = torch.ones(2, requires_grad=True)
    (x.double() * torch.ones(3, 2, dtype=torch.float64)).sum().backward()
    assert x.grad is not None and x.grad.dtype is torch.float32 and x.grad.tolist() == [3, 3]


def test_training_learns() -> None:
    torch.manual_seed(0)
    x = torch.linspace(-1, 1, 256).unsqueeze(1)
    y = x**2
    net = nn.Sequential(nn.Linear(1, 20), nn.ReLU(), nn.Linear(20, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(300):
        loss = nn.MSELoss()(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-3


def test_functions_of_ones_own() -> None:
    class Cube(Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
            ctx.save_for_backward(x)
            ctx.scale = scale
            return x**3 * scale, x + 1

        @staticmethod
        def backward(ctx: Any, g: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor, None]:
            (x,) = ctx.saved_tensors
            return g * x * x * (3 * ctx.scale) + h, None

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y, z = Cube.apply(x, 2.0)
    (first,) = grad(y.sum() + z.sum() * 5, [x], create_graph=True)
    assert first is not None and first.tolist() == [11, 29] and y.grad_fn.name() == "CubeBackward"
    assert grad(first.sum(), [x])[0].tolist() == [12, 24]
    y, _ = Cube.apply(x, 2.0)  # the second result unused
    assert grad(y.sum(), [x])[0].tolist() == [6, 24]
    y, _ = Cube.apply(x, 2.0)
    with torch.no_grad():
        x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
    with torch.inference_mode():
        assert not Cube.apply(x, 1.0)[0].requires_grad
