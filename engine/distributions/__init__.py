"""Probability distributions to sample from and to score by (``torch.distributions``)."""

from engine.distributions import bernoulli, categorical, kl, normal, transforms
from engine.distributions.bernoulli import Bernoulli, Geometric
from engine.distributions.categorical import Categorical, OneHotCategorical
from engine.distributions.continuous import Cauchy, Exponential, Gumbel, Laplace, Uniform
from engine.distributions.distribution import Distribution
from engine.distributions.gamma import Beta, Chi2, Dirichlet, Gamma, StudentT
from engine.distributions.kl import kl_divergence, register_kl
from engine.distributions.normal import HalfNormal, MultivariateNormal, Normal
from engine.distributions.transformed import Independent, LogNormal, TransformedDistribution
from engine.distributions.transforms import AffineTransform, ExpTransform, SigmoidTransform, TanhTransform, Transform

__all__ = [
    "AffineTransform", "Bernoulli", "Beta", "Categorical", "Cauchy", "Chi2", "Dirichlet", "Distribution", "ExpTransform", "Exponential", "Gamma", "Geometric",
    "Gumbel", "HalfNormal", "Independent", "Laplace", "LogNormal", "MultivariateNormal", "Normal", "OneHotCategorical", "SigmoidTransform", "StudentT",
    "TanhTransform", "Transform", "TransformedDistribution", "Uniform", "bernoulli", "categorical", "kl", "kl_divergence", "normal", "register_kl", "transforms",
]  # fmt: skip
