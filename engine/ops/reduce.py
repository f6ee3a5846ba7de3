"""Ops that fold dimensions: sums, extremes, statistics."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine.backend import Array, array_module
from engine.dispatch import Op, Spec, count
from engine.dtypes import FLOAT, dtype, int64
from engine.graph import apply
from engine.ops.elementwise import cast, exp, log, sqrt, where
from engine.ops.shape import cat, flip, gather, permute, reshape, wrap_dim

if TYPE_CHECKING:
    from engine.tensor import Tensor

Dims = int | Sequence[int] | None


def _dims(dim: Dims, ndim: int) -> tuple[int, ...]:
    """The dimensions to fold, sorted; all of them for None and for ()."""
    if dim is None or (not isinstance(dim, int) and len(dim) == 0):
        return tuple(range(ndim))
    named = [wrap_dim(d, ndim) for d in ([dim] if isinstance(dim, int) else dim)]
    for d in named:
        if named.count(d) > 1:
            raise RuntimeError(f"dim {d} appears multiple times in the list of dims")
    return tuple(sorted(d for d in named if d < ndim))


def _folded(shape: tuple[int, ...], dims: tuple[int, ...], keepdim: bool) -> tuple[int, ...]:
    return tuple(1 if i in dims else n for i, n in enumerate(shape) if keepdim or i not in dims)


def _restore(g: Tensor, x_shape: tuple[int, ...], dims: tuple[int, ...]) -> Tensor:
    """A folded tensor stretched back over ``x_shape``."""
    return reshape(g, _folded(x_shape, dims, True)).expand(x_shape)


def _reduction(name: str, function: str, vjp: Callable[..., Any] | None = None, result: Any = None) -> Op:
    """A NumPy reduction over ``dims``; the op's sum runs in the array's own dtype."""

    def infer(x: Any, dims: tuple[int, ...], keepdim: bool) -> Spec:
        return _folded(x.shape, dims, keepdim), x.dtype if result is None else result

    def kernel(out: Array, x: Array, dims: tuple[int, ...], keepdim: bool) -> None:
        getattr(array_module(out), function)(x, axis=dims, keepdims=keepdim, out=out)

    return Op(name, ["x"], infer=infer, kernel=kernel, vjps={"x": vjp} if vjp else None, flops=lambda outs, ins, attrs: ins[0].size)


_sum = _reduction("sum", "sum", lambda g, x_shape, dims: _restore(g, x_shape, dims))
_mean = _reduction("mean", "mean", lambda g, x_shape, dims: _restore(g * (1 / count([x_shape[d] for d in dims])), x_shape, dims))
_prod = _reduction("prod", "prod")
_amax = _reduction("amax", "max", lambda g, x, y, dims: _to_extremes(g, x, y, dims))
_amin = _reduction("amin", "min", lambda g, x, y, dims: _to_extremes(g, x, y, dims))
_all = _reduction("all", "all", result=np.bool_)
_any = _reduction("any", "any", result=np.bool_)


def _to_extremes(g: Tensor, x: Tensor, y: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Shares the gradient equally among the elements that are the extreme."""
    at = cast(x == _restore(y, x.shape, dims), x.dtype)
    return at * _restore(g, x.shape, dims) / sum(at, dims, keepdim=True)


def sum(x: Tensor, dim: Dims = None, keepdim: bool = False, dtype: dtype | None = None) -> Tensor:
    """Over the dimensions named, all by default; integers and bools add up as int64."""
    if dtype is not None:
        x = cast(x, dtype)
    elif x.dtype.category != FLOAT:
        x = cast(x, int64)
    return apply(_sum, x, dims=_dims(dim, x.ndim), keepdim=keepdim)


def mean(x: Tensor, dim: Dims = None, keepdim: bool = False, dtype: dtype | None = None) -> Tensor:
    """Over the dimensions named, all by default. Raises RuntimeError for integers."""
    if dtype is not None:
        x = cast(x, dtype)
    if x.dtype.category != FLOAT:
        raise RuntimeError(
            f"mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: {x.dtype.name}"
        )
    return apply(_mean, x, dims=_dims(dim, x.ndim), keepdim=keepdim)


def prod(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Over one dimension, or all."""
    x = x if x.dtype.category == FLOAT else cast(x, int64)
    dims = _dims(dim, x.ndim)
    if not x.requires_grad:
        return apply(_prod, x, dims=dims, keepdim=keepdim)
    shape = _folded(x.shape, dims, keepdim)
    x = reshape(permute(x, [*(i for i in range(x.ndim) if i not in dims), *dims]), (*_folded(x.shape, dims, False), -1))
    while x.shape[-1] > 1:  # by halves: unlike y / x, right at zeros, to any order of derivative
        half = x.shape[-1] // 2
        x = cat([x[..., :half] * x[..., half : 2 * half], x[..., 2 * half :]], -1)
    return reshape(x, shape)


def _extreme_dims(x: Tensor, dim: Dims, name: str) -> tuple[int, ...]:
    dims = _dims(dim, x.ndim)
    if any(x.shape[d] == 0 for d in dims):
        raise RuntimeError(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument."
        )
    return dims


def amax(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    return apply(_amax, x, dims=_extreme_dims(x, dim, "amax"), keepdim=keepdim)


def amin(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    return apply(_amin, x, dims=_extreme_dims(x, dim, "amin"), keepdim=keepdim)


def all(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    return apply(_all, x, dims=_dims(dim, x.ndim), keepdim=keepdim)


def any_(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    return apply(_any, x, dims=_dims(dim, x.ndim), keepdim=keepdim)


def _arg_op(name: str) -> Op:
    return Op(
        name,
        ["x"],
        infer=lambda x, dim, keepdim: (_folded(x.shape, (dim,), keepdim), np.int64),
        kernel=lambda out, x, dim, keepdim: out.__setitem__(..., getattr(array_module(out), name)(x, axis=dim, keepdims=keepdim)),
    )


_argmax, _argmin = _arg_op("argmax"), _arg_op("argmin")


def _arg(op: Op, x: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    if x.numel() == 0:
        raise IndexError(f"{op.name}(): Expected reduction dim {dim} to have non-zero size.")
    if dim is None or x.ndim == 0:
        flat: Tensor = apply(op, reshape(x, -1), dim=0, keepdim=False)
        return reshape(flat, (1,) * x.ndim) if keepdim else flat
    return apply(op, x, dim=wrap_dim(dim, x.ndim), keepdim=keepdim)


def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the first greatest element, along ``dim`` or in the flattened tensor."""
    return _arg(_argmax, x, dim, keepdim)


def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    return _arg(_argmin, x, dim, keepdim)


class ValuesIndices(NamedTuple):
    """What ``max(x, dim)`` and ``min(x, dim)`` return."""

    values: Tensor
    indices: Tensor


def _extreme(x: Tensor, dim: int, keepdim: bool, arg: Callable[..., Tensor]) -> ValuesIndices:
    index = arg(x, dim, keepdim=True)
    values = gather(x, dim, index) if x.ndim else x
    return ValuesIndices(values, index) if keepdim or not x.ndim else ValuesIndices(values.squeeze(dim), index.squeeze(dim))


def max(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The greatest element; with ``dim`` the pair (values, indices); with a tensor the element-wise maximum."""
    if dim is None:
        return amax(x)
    return x.maximum(dim) if not isinstance(dim, int) else _extreme(x, dim, keepdim, argmax)


def min(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; with ``dim`` the pair (values, indices); with a tensor the element-wise minimum."""
    if dim is None:
        return amin(x)
    return x.minimum(dim) if not isinstance(dim, int) else _extreme(x, dim, keepdim, argmin)


def var(x: Tensor, dim: Dims = None, correction: float = 1, keepdim: bool = False, unbiased: bool | None = None) -> Tensor:
    """The variance, divided by ``n - correction``."""
    if unbiased is not None:
        correction = int(unbiased)
    n = count([x.shape[d] for d in _dims(dim, x.ndim)])
    centred = x - mean(x, dim, keepdim=True)
    divisor = n - correction
    return sum(centred * centred, dim, keepdim) / (divisor if divisor > 0 else math.nan)


def std(x: Tensor, dim: Dims = None, correction: float = 1, keepdim: bool = False, unbiased: bool | None = None) -> Tensor:
    return sqrt(var(x, dim, correction, keepdim, unbiased))


def logsumexp(x: Tensor, dim: Dims, keepdim: bool = False) -> Tensor:
    """``log(sum(exp(x)))`` without overflow."""
    top = amax(x.detach(), dim, keepdim=True)
    top = where(top.isfinite(), top, 0)
    y = log(sum(exp(x - top), dim, keepdim=True)) + top
    return y if keepdim else reshape(y, _folded(y.shape, _dims(dim, y.ndim), False))


_cumsum = Op(
    "cumsum",
    ["x"],
    infer=lambda x, dim: (x.shape, x.dtype),
    kernel=lambda out, x, dim: array_module(out).cumsum(x, axis=dim, out=out),
    vjps={"x": lambda g, dim: flip(cumsum(flip(g, dim), dim), dim)},
)


def cumsum(x: Tensor, dim: int) -> Tensor:
    """The running sum along ``dim``."""
    x = x if x.dtype.category == FLOAT else cast(x, int64)
    return apply(_cumsum, x, dim=wrap_dim(dim, x.ndim)) if x.ndim else x


def norm(x: Tensor, p: float = 2, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """The vector ``p``-norm; 2 and inf are what clipping needs."""
    if p == math.inf:
        return amax(x.abs(), dim, keepdim)
    if p == 2:
        return sqrt(sum(x * x, dim, keepdim))
    return sum(x.abs() ** p, dim, keepdim) ** (1 / p)
