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


def test_writing_to_a_view_rewrites_the_base() -> None:
    w = torch.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    x = w * 1
    first, rows = x[:2], x.view(2, 2)
    first.mul_(10)
    rows[1] = w[:2] * 3
    assert x.tolist() == [10, 20, 3, 6]
    assert first._base is x and rows.grad_fn is not None
    (x * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert w.grad.tolist() == [10 + 9, 20 + 12, 0, 0]


def test_a_view_taken_before_a_write_sees_its_history() -> None:
    x, w = torch.zeros(3), torch.tensor(2.0, requires_grad=True)
    view = x[1:]
    assert not view.requires_grad
    x[2] = w * 3
    assert view.requires_grad and view.grad_fn is not None
    view.sum().backward()
    assert w.grad.item() == 3


def test_what_a_write_spoiled_is_an_error() -> None:
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    y = w * 1
    z = y * y
    y[0] = 5
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        torch.zeros(1).expand(3).add_(1)


def test_views_that_need_a_copy_are_refused() -> None:
    with pytest.raises(RuntimeError, match=r"Use \.reshape\(\.\.\.\) instead"):
        torch.zeros(2, 3).t().view(6)
    assert torch.zeros(2, 3).t().reshape(6).shape == (6,)


def test_hooks_see_and_replace_gradients() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    seen: list[list[float]] = []
    handle = x.register_hook(lambda g: seen.append(g.tolist()))
    y = x * 3
    y.register_hook(lambda g: g * 10)
    after: list[list[float]] = []
    x.register_post_accumulate_grad_hook(lambda p: after.append(p.grad.tolist()))
    (y.sum() + y[0]).backward()
    assert seen == [[60, 30]] and x.grad.tolist() == [60, 30] and after == [[60, 30]]
    handle.remove()
    (x * 1).sum().backward()
    assert len(seen) == 1 and x.grad.tolist() == [61, 31]
    with pytest.raises(RuntimeError, match="doesn't require gradient"):
        torch.zeros(1).register_hook(print)


def test_backward_to_some_inputs_only() -> None:
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    (a * b).sum().backward(inputs=[a])
    assert a.grad.tolist() == [1, 1] and b.grad is None
    unused = torch.ones(3, requires_grad=True)
    assert torch.autograd.grad((a * 2).sum(), [a, unused], materialize_grads=True)[1].tolist() == [0, 0, 0]


def test_gradcheck_accepts_right_and_names_wrong_derivatives() -> None:
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    w = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    linear = torch.nn.functional.linear
    assert torch.autograd.gradcheck(linear, (x, w)) and torch.autograd.gradgradcheck(linear, (x, w))

    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 3

    with pytest.raises(torch.autograd.GradcheckError, match="Jacobian mismatch for output 0 with respect to input 0"):
        torch.autograd.gradcheck(Wrong.apply, x)
    assert torch.autograd.gradcheck(Wrong.apply, x, raise_exception=False) is False
    with pytest.raises(ValueError, match="at least one input tensor"):
        torch.autograd.gradcheck(linear, (x.detach(), w.detach()))


def test_third_derivatives_through_convolution_batch_norm_and_softmax() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    w = torch.randn(3, 2, 3, 3, dtype=torch.float64, requires_grad=True)

    def network(x: Any) -> Any:
        y = torch.nn.functional.batch_norm(torch.nn.functional.conv2d(x, w), None, None, training=True)
        return torch.softmax(y.flatten(1), 1).square().sum()

    def second(x: Any) -> Any:
        (g,) = torch.autograd.grad(network(x), x, create_graph=True)
        (h,) = torch.autograd.grad(g.square().sum(), x, create_graph=True)
        return h.sin().sum()

    assert torch.autograd.gradcheck(second, x, atol=1e-4)


def test_several_results_carry_gradients() -> None:
    x = torch.randn(3, 3, dtype=torch.float64)
    a = (x + x.mT).requires_grad_()
    values, vectors = torch.linalg.eigh(a)
    ((vectors * values) @ vectors.mT * torch.arange(9.0).reshape(3, 3)).sum().backward()
    expected = (torch.arange(9.0).reshape(3, 3) + torch.arange(9.0).reshape(3, 3).mT) / 2
    np.testing.assert_allclose(a.grad.numpy(), expected.numpy(), atol=1e-9)
