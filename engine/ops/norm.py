"""Standardizing: subtract the mean, divide by the standard deviation; what batch, layer and group normalization share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import Array, array_module
from engine.dispatch import Op
from engine.graph import apply, differentiable_again
from engine.ops.reduce import mean, var
from engine.ops.unary import rsqrt

if TYPE_CHECKING:
    from engine.tensor import Tensor

Ints = tuple[int, ...]


def _folded(shape: Ints, dims: Ints) -> Ints:
    return tuple(1 if i in dims else n for i, n in enumerate(shape))


def _statistic(x: Any, dims: Ints) -> tuple[Ints, Any]:
    """Means and variances of half precision are single."""
    return _folded(x.shape, dims), np.float32 if x.dtype.itemsize == 2 else x.dtype


def _kernel(outs: list[Array], x: Array, w: Array = None, b: Array = None, *, dims: Ints, eps: float) -> None:
    y, centre, variance = outs
    xp = array_module(x)
    xp.mean(x, axis=dims, keepdims=True, out=centre)
    xp.subtract(x, centre, out=y)
    xp.mean(xp.square(y), axis=dims, keepdims=True, out=variance)
    xp.multiply(y, 1 / xp.sqrt(variance + variance.dtype.type(eps)), out=y)
    if w is not None:
        xp.multiply(y, w, out=y)
    if b is not None:
        xp.add(y, b, out=y)


def _hat(x: Any, dims: Ints, eps: float) -> tuple[Any, Any]:
    """The standardized ``x`` and the factor that made it, differentiable."""
    scale = rsqrt(var(x, dims, correction=0, keepdim=True) + eps)
    return (x - mean(x, dims, keepdim=True)) * scale, scale


def _x_vjp(g: Any, x: Any, w: Any, k1: Any, k2: Any, dims: Ints, eps: float) -> Any:
    """Ioffe and Szegedy, "Batch normalization", 2015, section 3, in terms of the standardized ``x``."""
    if not differentiable_again():
        return apply(_standardize_data, g, x, k1, k2, *(() if w is None else (w,)), dims=dims, eps=eps)
    hat, scale = _hat(x, dims, eps)
    g = g if w is None else g * w
    return (g - mean(g, dims, keepdim=True) - hat * mean(g * hat, dims, keepdim=True)) * scale


def _w_vjp(g: Any, x: Any, w_shape: Ints, k1: Any, k2: Any, dims: Ints, eps: float) -> Any:
    if not differentiable_again():
        return apply(_standardize_weight, g, x, k1, k2, eps=eps, shape=tuple(w_shape))
    return g * _hat(x, dims, eps)[0]


_standardize = Op(
    "standardize",
    ["x", "w", "b"],
    infer=lambda x, w=None, b=None, *, dims, eps: [(x.shape, x.dtype), _statistic(x, dims), _statistic(x, dims)],
    kernel=_kernel,
    adds_up=True,
    vjps={"x": _x_vjp, "w": _w_vjp, "b": lambda g: g},
    flops=lambda outs, ins, attrs: 6 * ins[0].size,
)


def _data_kernel(out: Array, g: Array, x: Array, centre: Array, variance: Array, w: Array = None, *, dims: Ints, eps: float) -> None:
    xp = array_module(out)
    scale = 1 / xp.sqrt(variance + variance.dtype.type(eps))
    hat = (x - centre) * scale
    g = g if w is None else g * w
    xp.multiply(g - xp.mean(g, axis=dims, keepdims=True) - hat * xp.mean(g * hat, axis=dims, keepdims=True), scale, out=out)


_standardize_data = Op(
    "standardize_data",
    ["g", "x", "centre", "variance", "w"],
    infer=lambda g, x, centre, variance, w=None, *, dims, eps: (x.shape, x.dtype),
    kernel=_data_kernel,
    adds_up=True,
    flops=lambda outs, ins, attrs: 10 * ins[0].size,
)


def _weight_kernel(out: Array, g: Array, x: Array, centre: Array, variance: Array, eps: float, shape: Ints) -> None:
    xp = array_module(out)
    product = g * ((x - centre) * (1 / xp.sqrt(variance + variance.dtype.type(eps))))
    lead = product.ndim - len(shape)
    out[...] = product.sum((*range(lead), *(i + lead for i, n in enumerate(shape) if n == 1))).reshape(shape)


_standardize_weight = Op(
    "standardize_weight",
    ["g", "x", "centre", "variance"],
    infer=lambda g, x, centre, variance, eps, shape: (shape, x.dtype),
    kernel=_weight_kernel,
    adds_up=True,
    flops=lambda outs, ins, attrs: 4 * ins[0].size,
)


def standardize(x: Tensor, dims: Ints, eps: float, w: Tensor | None = None, b: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """``(x - mean) / sqrt(var + eps) * w + b`` over ``dims``, with the mean and the biased variance (dimensions kept, not differentiated)."""
    affine = () if w is None else (w,) if b is None else (w, b)
    y, centre, variance = apply(_standardize, x, *affine, dims=dims, eps=eps)
    return (y if b is None or w is not None else y + b), centre, variance
