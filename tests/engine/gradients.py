"""Gradients checked by random projection: two forward evaluations whatever the shape (as HIPS autograd does)."""

from collections.abc import Callable

import numpy as np

import engine as torch
from engine import Tensor
from engine.autograd import grad

Function = Callable[..., Tensor]


def projected(function: Function, inputs: list[Tensor], seed: int = 0) -> Function:
    """The scalar ``sum(function(...) * r)`` for a fixed random ``r``."""
    y = function(*inputs)
    r = torch.tensor(np.random.default_rng(seed).normal(size=y.shape))

    def scalar(*xs: Tensor) -> Tensor:
        return (function(*xs) * r).sum()

    return scalar


def check(function: Function, inputs: list[Tensor], order: int = 2, eps: float = 1e-6, rtol: float = 1e-5) -> None:
    """Compares each derivative up to ``order`` along a random direction with central differences. Inputs are float64."""
    scalar = projected(function, inputs)
    rng = np.random.default_rng(1)
    for level in range(order):
        directions = [torch.tensor(rng.normal(size=x.shape)) for x in inputs]
        leaves = [x.detach().clone().requires_grad_() for x in inputs]
        value = scalar(*leaves)
        if not value.requires_grad:
            return
        gradients = grad(value, leaves, create_graph=True, allow_unused=True)
        slope = sum(float((g * d).sum().item()) for g, d in zip(gradients, directions, strict=True) if g is not None)
        ahead = scalar(*(x + d * eps for x, d in zip(inputs, directions, strict=True)))
        behind = scalar(*(x - d * eps for x, d in zip(inputs, directions, strict=True)))
        numeric = (ahead.item() - behind.item()) / (2 * eps)
        scale = max(1.0, abs(slope), abs(numeric))
        assert abs(slope - numeric) <= rtol * scale, f"order {level + 1}: slope {slope}, by differences {numeric}"

        def next_scalar(*xs: Tensor, scalar: Function = scalar, weights: list[Tensor] = directions) -> Tensor:
            with torch.enable_grad():
                ys = [x if x.requires_grad else x.detach().clone().requires_grad_() for x in xs]
                parts = grad(scalar(*ys), ys, create_graph=True, allow_unused=True)
                total = torch.tensor(0.0, dtype=torch.float64)
                for p, w in zip(parts, weights, strict=True):
                    if p is not None:
                        total = total + (p * w).sum()
                return total

        scalar = next_scalar
