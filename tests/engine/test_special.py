"""Special functions where SciPy is not installed: the standard library's, and an error that says what is missing."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

import engine as torch
from engine.backend import special
from engine.nn import functional as F


@pytest.fixture(autouse=True)
def without_scipy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(special, "on_cpu", special._Standard)
    return


def test_error_functions_and_lgamma_are_the_standard_librarys() -> None:
    x = torch.linspace(-5, 5, 41, dtype=torch.float64)
    for ours, reference in ((torch.erf, math.erf), (torch.erfc, math.erfc)):
        assert ours(x).tolist() == [reference(v) for v in x.tolist()]
    assert torch.lgamma(torch.tensor([0.5, 3.0, -1.0, math.inf])).tolist() == pytest.approx(
        [math.lgamma(0.5), math.log(2), math.inf, math.inf]
    )
    assert torch.lgamma(torch.tensor(math.nan)).isnan()


def test_quantiles_are_inverse_functions() -> None:
    x = torch.linspace(-3, 3, 61, dtype=torch.float64)
    np.testing.assert_allclose(torch.erfinv(torch.erf(x)).numpy(), x.numpy(), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(torch.special.ndtri(torch.special.ndtr(x)).numpy(), x.numpy(), rtol=1e-9, atol=1e-12)
    tiny = torch.tensor([1e-20, -1e-8], dtype=torch.float64)
    np.testing.assert_allclose(torch.erfinv(tiny).numpy(), tiny.numpy() * math.sqrt(math.pi) / 2, rtol=1e-14)
    assert torch.erfinv(torch.tensor([1.0, -1.0])).tolist() == [math.inf, -math.inf] and torch.erfinv(torch.tensor(1.5)).isnan()


def test_what_training_needs_works() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    F.gelu(x).sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()
    assert torch.nn.init.trunc_normal_(torch.empty(50)).abs().max() <= 2
    assert F.gelu(torch.empty(0, 3)).shape == (0, 3)


def test_other_functions_say_what_to_install() -> None:
    with pytest.raises(RuntimeError, match=r"'psi' is computed by SciPy, .* pip install 'epochline\[special\]'"):
        torch.digamma(torch.ones(1))
