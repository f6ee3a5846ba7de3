"""Distributions beside PyTorch's: scores to the digit, samples by their mean and variance."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]  # PyTorch warns of much that is compared here
RANDOM = np.random.default_rng(0)
LOC, SCALE, OTHER = RANDOM.normal(size=(2, 3)), RANDOM.uniform(0.3, 2, (2, 3)), RANDOM.uniform(0.3, 2, (2, 3))
P, LOGITS = RANDOM.dirichlet(np.ones(3), 2), RANDOM.normal(size=(2, 3))
FACTOR = np.tril(RANDOM.normal(size=(3, 3)), -1) + np.diag(RANDOM.uniform(0.5, 2, 3))
INSIDE = RANDOM.uniform(0.05, 0.95, (2, 3))
Make = Callable[[Any, Any], Any]
CASES: dict[str, tuple[Make, np.ndarray[Any, Any]]] = {
    "Normal": (lambda D, t: D.Normal(t(LOC), t(SCALE)), LOC + 0.3),
    "Normal of numbers": (lambda D, t: D.Normal(0.5, 2.0), LOC + 0.3),
    "HalfNormal": (lambda D, t: D.HalfNormal(t(SCALE)), SCALE),
    "LogNormal": (lambda D, t: D.LogNormal(t(LOC), t(SCALE / 2)), SCALE),
    "Laplace": (lambda D, t: D.Laplace(t(LOC), t(SCALE)), LOC + 0.3),
    "Cauchy": (lambda D, t: D.Cauchy(t(LOC), t(SCALE)), LOC + 0.3),
    "Gumbel": (lambda D, t: D.Gumbel(t(LOC), t(SCALE)), LOC + 0.3),
    "Uniform": (lambda D, t: D.Uniform(t(LOC), t(LOC + SCALE)), LOC + SCALE / 3),
    "Exponential": (lambda D, t: D.Exponential(t(SCALE)), OTHER),
    "Gamma": (lambda D, t: D.Gamma(t(SCALE), t(OTHER)), OTHER),
    "Chi2": (lambda D, t: D.Chi2(t(SCALE + 1)), OTHER),
    "Beta": (lambda D, t: D.Beta(t(SCALE), t(OTHER)), INSIDE),
    "Dirichlet": (lambda D, t: D.Dirichlet(t(SCALE)), P),
    "StudentT": (lambda D, t: D.StudentT(t(SCALE + 5), t(LOC), t(OTHER)), LOC + 0.3),
    "MultivariateNormal": (lambda D, t: D.MultivariateNormal(t(LOC), t(FACTOR @ FACTOR.T)), LOC + 0.3),
    "MultivariateNormal by precision": (lambda D, t: D.MultivariateNormal(t(LOC), precision_matrix=t(FACTOR @ FACTOR.T)), LOC + 0.3),
    "MultivariateNormal by factor": (lambda D, t: D.MultivariateNormal(t(LOC[0]), scale_tril=t(np.stack([FACTOR, FACTOR]))), LOC + 0.3),
    "Categorical": (lambda D, t: D.Categorical(t(P)), np.array([0, 2])),
    "Categorical of logits": (lambda D, t: D.Categorical(logits=t(LOGITS)), np.array([1, 2])),
    "OneHotCategorical": (lambda D, t: D.OneHotCategorical(t(P)), np.eye(3)[[0, 2]]),
    "Bernoulli": (lambda D, t: D.Bernoulli(t(INSIDE)), (INSIDE > 0.5) * 1.0),
    "Bernoulli of logits": (lambda D, t: D.Bernoulli(logits=t(LOGITS)), (INSIDE > 0.5) * 1.0),
    "Geometric": (lambda D, t: D.Geometric(t(INSIDE)), np.round(SCALE * 3)),
    "Independent": (lambda D, t: D.Independent(D.Normal(t(LOC), t(SCALE)), 1), LOC + 0.3),
    "tanh of Normal": (lambda D, t: D.TransformedDistribution(D.Normal(t(LOC), t(SCALE)), [D.TanhTransform()]), INSIDE),
    "affine sigmoid": (
        lambda D, t: D.TransformedDistribution(D.Normal(t(LOC), t(SCALE)), [D.SigmoidTransform(), D.AffineTransform(1.0, 2.0)]),
        1 + 2 * INSIDE,
    ),
    "exp of Independent": (
        lambda D, t: D.TransformedDistribution(D.Independent(D.Normal(t(LOC), t(SCALE)), 1), D.transforms.ExpTransform()),
        SCALE,
    ),
}
UNSCORED = (
    "LogNormal", "Gamma", "Chi2", "tanh of Normal", "affine sigmoid", "exp of Independent", "Independent", "Beta",
)  # fmt: skip
"""Without a cumulative distribution here."""
PROPERTIES = ("mean", "mode", "variance", "stddev", "entropy", "perplexity", "cdf", "icdf")


@pytest.mark.parametrize("name", CASES)
def test_scores(name: str) -> None:
    make, value = CASES[name]
    ours, theirs = (make(lib.distributions, lib.tensor) for lib in (engine, torch))
    assert (tuple(ours.batch_shape), tuple(ours.event_shape)) == (tuple(theirs.batch_shape), tuple(theirs.event_shape))
    compared = {"log_prob": [d.log_prob(lib.tensor(value)) for d, lib in ((ours, engine), (theirs, torch))]}
    for what in PROPERTIES:
        try:
            right = getattr(theirs, what)
            right = right(torch.tensor(INSIDE if what == "icdf" else value)) if "cdf" in what else right() if callable(right) else right
        except (AttributeError, NotImplementedError, ValueError):
            continue
        if not hasattr(ours, what) or ("cdf" in what and name in UNSCORED):
            continue
        found = getattr(ours, what)
        found = found(engine.tensor(INSIDE if what == "icdf" else value)) if "cdf" in what else found() if callable(found) else found
        compared[what] = [found, right]
    for what, (found, right) in compared.items():
        np.testing.assert_allclose(found.numpy(), right.numpy(), rtol=1e-5, atol=1e-6, err_msg=what)


@pytest.mark.parametrize("name", CASES)
def test_samples(name: str) -> None:
    """Of 40,000, their shape, and mean and variance within what chance allows; gradients where PyTorch has them and samples are formulas."""
    engine.manual_seed(0)
    ours, theirs = (CASES[name][0](lib.distributions, lib.tensor) for lib in (engine, torch))
    drawn = ours.sample((40_000,))
    assert tuple(drawn.shape) == (40_000, *theirs.batch_shape, *theirs.event_shape) and not drawn.requires_grad
    if name == "Cauchy":
        np.testing.assert_allclose(np.median(drawn.numpy(), 0), LOC, atol=0.1)
    elif name.startswith("Categorical"):
        np.testing.assert_allclose([np.bincount(k) / 40_000 for k in drawn.numpy().T], ours.probs.numpy(), atol=0.02)
    else:
        x = theirs.sample((40_000,)).double().numpy() if "of Normal" in name or "affine" in name or "exp" in name else None
        mean, variance = (theirs.mean.numpy(), theirs.variance.numpy()) if x is None else (x.mean(0), x.var(0))
        error = np.sqrt(np.asarray(variance, np.float64) / 40_000)
        if name != "exp of Independent":  # whose variance is larger than a sample tells
            np.testing.assert_allclose(drawn.double().numpy().mean(0), mean, atol=float(error.max()) * 8)
            np.testing.assert_allclose(drawn.double().numpy().var(0), variance, rtol=0.3 if name == "LogNormal" else 0.15)
    if ours.has_rsample:
        loc, scale = engine.tensor(LOC, requires_grad=True), engine.tensor(SCALE, requires_grad=True)
        engine.distributions.Normal(loc, scale).rsample((5,)).sum().backward()
        assert loc.grad is not None and (loc.grad.numpy() == 5).all() and scale.grad is not None


PAIRS: dict[str, tuple[Make, Make]] = {
    "Normal": (lambda D, t: D.Normal(t(LOC), t(SCALE)), lambda D, t: D.Normal(t(LOC * 2), t(OTHER))),
    "LogNormal": (lambda D, t: D.LogNormal(t(LOC), t(SCALE)), lambda D, t: D.LogNormal(t(LOC * 2), t(OTHER))),
    "MultivariateNormal": (
        lambda D, t: D.MultivariateNormal(t(LOC), scale_tril=t(FACTOR)),
        lambda D, t: D.MultivariateNormal(t(LOC * 2), t(FACTOR.T @ FACTOR + np.eye(3))),
    ),
    "Categorical": (lambda D, t: D.Categorical(t(P)), lambda D, t: D.Categorical(logits=t(LOGITS))),
    "OneHotCategorical": (lambda D, t: D.OneHotCategorical(t(P)), lambda D, t: D.OneHotCategorical(logits=t(LOGITS))),
    "Bernoulli": (lambda D, t: D.Bernoulli(t(INSIDE)), lambda D, t: D.Bernoulli(logits=t(LOGITS))),
    "Geometric": (lambda D, t: D.Geometric(t(INSIDE)), lambda D, t: D.Geometric(t(1 - INSIDE))),
    "Uniform": (lambda D, t: D.Uniform(t(LOC), t(LOC + SCALE)), lambda D, t: D.Uniform(t(LOC - SCALE + 0.7), t(LOC + SCALE * 2))),
    "Exponential": (lambda D, t: D.Exponential(t(SCALE)), lambda D, t: D.Exponential(t(OTHER))),
    "Laplace": (lambda D, t: D.Laplace(t(LOC), t(SCALE)), lambda D, t: D.Laplace(t(LOC * 2), t(OTHER))),
    "Gamma": (lambda D, t: D.Gamma(t(SCALE), t(OTHER)), lambda D, t: D.Gamma(t(OTHER), t(SCALE))),
    "Beta": (lambda D, t: D.Beta(t(SCALE), t(OTHER)), lambda D, t: D.Beta(t(OTHER), t(SCALE))),
    "Dirichlet": (lambda D, t: D.Dirichlet(t(SCALE)), lambda D, t: D.Dirichlet(t(OTHER))),
    "Independent": (
        lambda D, t: D.Independent(D.Normal(t(LOC), t(SCALE)), 1),
        lambda D, t: D.Independent(D.Normal(t(LOC * 2), t(OTHER)), 1),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_divergences(name: str) -> None:
    found = []
    for lib in (engine, torch):
        p, q = (make(lib.distributions, lib.tensor) for make in PAIRS[name])
        found.append(lib.distributions.kl_divergence(p, q).numpy())
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda D, lib: D.Normal(0.0, -1.0),
        lambda D, lib: D.Uniform(1.0, 0.0),
        lambda D, lib: D.Categorical(),
        lambda D, lib: D.Categorical(lib.tensor([-1.0, 2.0])),
        lambda D, lib: D.Categorical(lib.tensor(0.5)),
        lambda D, lib: D.Bernoulli(lib.tensor(1.5)),
        lambda D, lib: D.Gamma(1.0, 0.0),
        lambda D, lib: D.MultivariateNormal(lib.zeros(2)),
        lambda D, lib: D.Independent(D.Normal(0.0, 1.0), 1),
        lambda D, lib: D.Categorical(lib.ones(2)).rsample(),
        lambda D, lib: D.kl_divergence(D.Normal(0.0, 1.0), D.Categorical(lib.ones(2))),
    ],
)
def test_errors_are_pytorchs(wrong: Any) -> None:
    kinds = []
    for lib in (engine, torch):
        with pytest.raises(Exception) as caught:
            wrong(lib.distributions, lib)
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]
