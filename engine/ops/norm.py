"""Standardizing: subtract the mean, divide by the standard deviation; what batch, layer and group normalization share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.backend import Array, array_module
from engine.dispatch import Op
from engine.graph import apply
from engine.ops.reduce import mean, var
from engine.ops.unary import rsqrt

if TYPE_CHECKING:
    from engine.tensor import Tensor

Ints = tuple[int, ...]


def _folded(shape: Ints, dims: Ints) -> Ints:
    return tuple(1 if i in dims else n for i, n in enumerate(shape))


def _kernel(outs: list[Array], x: Array, dims: Ints, eps: float) -> None:
    y, centre, variance = outs
    xp = array_module(x)
    xp.mean(x, axis=dims, keepdims=True, out=centre)
    xp.subtract(x, centre, out=y)
    xp.mean(xp.square(y), axis=dims, keepdims=True, out=variance)
    xp.multiply(y, 1 / xp.sqrt(variance + variance.dtype.type(eps)), out=y)


def _vjp(g: Any, x: Any, y: Any, dims: Ints, eps: float) -> Any:
    """Ioffe and Szegedy, "Batch normalization", 2015, section 3, in terms of the standardized ``y``."""
    scale = rsqrt(var(x, dims, correction=0, keepdim=True) + eps)
    return (g - mean(g, dims, keepdim=True) - y * mean(g * y, dims, keepdim=True)) * scale


_standardize = Op(
    "standardize",
    ["x"],
    infer=lambda x, dims, eps: [(x.shape, x.dtype), (_folded(x.shape, dims), x.dtype), (_folded(x.shape, dims), x.dtype)],
    kernel=_kernel,
    vjps={"x": _vjp},
    flops=lambda outs, ins, attrs: 6 * ins[0].size,
)


def standardize(x: Tensor, dims: Ints, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """``(x - mean) / sqrt(var + eps)`` over ``dims``, with the mean and the biased variance (dimensions kept, not differentiated)."""
    y, centre, variance = apply(_standardize, x, dims=dims, eps=eps)
    return y, centre, variance
