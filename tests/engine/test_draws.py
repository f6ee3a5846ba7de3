"""Random numbers stay inside of their bounds, in half precision too, and what is made of them is finite."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine as torch
from engine import nn
from engine.nn import functional as F

HALF = [torch.float16, torch.bfloat16]
FLOATS = [*HALF, torch.float32, torch.float64]
MANY = 300_000


def empty(dtype: Any, n: int = MANY) -> Any:
    return torch.empty(n, dtype=dtype)


DRAWS: dict[str, tuple[Callable[[Any], Any], float, float]] = {
    "rand": (lambda d: torch.rand(MANY, dtype=d), 0, 1),
    "rand_like": (lambda d: torch.rand_like(empty(d)), 0, 1),
    "uniform_": (lambda d: empty(d).uniform_(), 0, 1),
    "uniform_ of bounds": (lambda d: empty(d).uniform_(1, 3), 1, 3),
    "uniform_ far from zero": (lambda d: empty(d).uniform_(100, 101), 100, 101),
    "uniform_ below zero": (lambda d: empty(d).uniform_(-3, -1), -3, -1),
    "init.uniform_": (lambda d: nn.init.uniform_(empty(d), -0.1, 0.1), -0.1, 0.1),
    "distributions.Uniform": (lambda d: torch.distributions.Uniform(torch.zeros(1, dtype=d), torch.ones(1, dtype=d)).sample((MANY,)), 0, 1),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", DRAWS)
def test_the_upper_bound_is_never_drawn(name: str, dtype: Any) -> None:
    draw, low, high = DRAWS[name]
    torch.manual_seed(0)
    x = draw(dtype)
    least, bound = (torch.tensor(v, dtype=dtype).item() for v in (low, high))
    assert x.dtype is dtype
    assert least <= x.min().item() <= low + 0.01 * (high - low)
    assert high - (high - low) * 0.51 <= x.max().item() < bound


@pytest.mark.parametrize("dtype", HALF)
def test_half_precision_has_all_its_values(dtype: Any) -> None:
    """Of [0.5, 1) each is as likely: 1024 numbers of 10 bits, 128 of 7."""
    x = torch.rand(MANY, dtype=dtype).double().numpy()
    upper, counts = np.unique(x[x >= 0.5], return_counts=True)
    assert len(upper) == (1024 if dtype is torch.float16 else 128)
    expected = MANY / 2 / len(upper)
    assert np.abs(counts - expected).max() < 6 * expected**0.5


@pytest.mark.parametrize("dtype", FLOATS)
def test_exponentials_are_positive_and_finite(dtype: Any) -> None:
    torch.manual_seed(0)
    x = empty(dtype, 2_000_000).exponential_()
    assert x.min().item() > 0
    assert bool(x.isfinite().all())
    assert x.double().mean().item() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize(
    "draw",
    [
        lambda d: F.gumbel_softmax(torch.zeros(1000, 256, dtype=d), dim=-1),
        lambda d: empty(d).cauchy_(),
        lambda d: empty(d).log_normal_(),
        lambda d: empty(d).geometric_(0.3),
        lambda d: torch.distributions.Exponential(torch.ones(1, dtype=d)).sample((MANY,)),
        lambda d: torch.distributions.Gumbel(torch.zeros(1, dtype=d), torch.ones(1, dtype=d)).sample((MANY,)),
        lambda d: torch.distributions.Laplace(torch.zeros(1, dtype=d), torch.ones(1, dtype=d)).sample((MANY,)),
        lambda d: F.rrelu(-torch.ones(MANY, dtype=d), training=True),
    ],
)
def test_what_is_made_of_draws_is_finite(draw: Callable[[Any], Any], dtype: Any) -> None:
    torch.manual_seed(0)
    x = draw(dtype)
    assert not bool(x.isnan().any())
    assert bool(x.isfinite().float().mean() > 0.9999)  # Cauchy's tails are beyond float16


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("p", [0.1, 0.003])
def test_probabilities_are_not_rounded(dtype: Any, p: float) -> None:
    """A tenth of bfloat16 draws lies below 26 / 256, not 0.1."""
    torch.manual_seed(0)
    ones = torch.ones(2_000_000, dtype=dtype)
    deviation = 6 * (p / 2_000_000) ** 0.5
    for dropped in (F.dropout(ones, p) == 0, F.alpha_dropout(ones, p, training=True) < 0, empty(dtype, 2_000_000).bernoulli_(p) == 1):
        assert abs(dropped.double().mean().item() - p) < deviation


@pytest.mark.parametrize(
    ("dtype", "bounds", "least", "last"),
    [
        ("int64", (5,), 0, 4),
        ("int64", (2, 5), 2, 4),
        ("int64", (-3, 3), -3, 2),
        ("uint8", (), 0, 255),
        ("int8", (), 0, 127),
        ("bool", (), 0, 1),
        ("float16", (), 0, 2048),
        ("float32", (7,), 0, 6),
        ("bfloat16", (5, None), 5, 256),
    ],
)
def test_whole_numbers_of_bounds(dtype: str, bounds: tuple[Any, ...], least: int, last: int) -> None:
    torch.manual_seed(0)
    x = torch.zeros(20_000, dtype=getattr(torch, dtype)).random_(*bounds)
    assert (int(x.min()), int(x.max())) == (least, last)


def test_whole_numbers_of_64_bits() -> None:
    x = torch.zeros(1000, dtype=torch.int64).random_()
    assert x.min() >= 0
    assert x.max() > 2**61
    with pytest.raises(RuntimeError, match="less than"):
        x.random_(5, 5)
