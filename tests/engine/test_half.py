"""Half precision: sums and products are as exact as their result can hold."""

from collections.abc import Callable

import numpy as np
import pytest

import engine as torch
from engine import Tensor
from engine.nn import functional as F

TARGET = torch.tensor(np.arange(1000) % 50)
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sum": lambda x: x.sum(0),
    "mean": lambda x: x.mean(),
    "prod": lambda x: (x[:20] + 0.5).prod(0),
    "cumsum": lambda x: x.cumsum(0),
    "norm": lambda x: x.norm(),
    "matmul": lambda x: x.T @ x,
    "linear": lambda x: F.linear(x.T, x.T, x[0]),
    "softmax": lambda x: F.softmax(x * 3, 0),
    "log_softmax": lambda x: F.log_softmax(x, 0),
    "cross_entropy": lambda x: F.cross_entropy(x, TARGET),
    "layer_norm": lambda x: F.layer_norm(x, (50,)),
    "batch_norm": lambda x: F.batch_norm(x.reshape(50, 10, 100), None, None, training=True),
    "conv1d": lambda x: F.conv1d(x.reshape(10, 50, 100), x[:350].reshape(50, 50, 7), padding=3),
    "avg_pool1d": lambda x: F.avg_pool1d(x.T, 500),
    "mse_loss": lambda x: F.mse_loss(x, x.detach() * 2, reduction="sum"),
    "embedding": lambda x: F.embedding(TARGET, x[:50]),
    "index_add": lambda x: x[:50].index_add(0, TARGET, x),
}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_half_loses_only_its_own_rounding(name: str, dtype: torch.dtype) -> None:
    """Results and gradients of a thousand terms and more, against single precision on the same numbers."""
    half = torch.tensor(np.random.default_rng(0).random((1000, 50))).to(dtype).requires_grad_()
    single = half.detach().float().requires_grad_()
    found, right = FUNCTIONS[name](half), FUNCTIONS[name](single)
    weight = torch.linspace(0.5, 1.5, right.numel()).reshape(right.shape).to(dtype) / 8
    found.backward(weight)
    right.backward(weight.float())
    assert found.dtype is dtype
    assert half.grad is not None
    assert single.grad is not None
    roundings = 4 * torch.finfo(dtype).eps
    for a, b in ((found, right), (half.grad, single.grad)):
        exact = b.detach().numpy()
        np.testing.assert_allclose(a.detach().float().numpy(), exact, atol=roundings * np.abs(exact).max())
