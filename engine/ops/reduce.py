"""Ops that fold dimensions: sums, products, extremes, tests, norms."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import Array, array_module
from engine.dispatch import Op, Spec, count
from engine.dtypes import BOOL, FLOAT, dtype, float32, int64, uint8
from engine.graph import apply
from engine.ops.dims import wrap_dim, wrap_dims
from engine.ops.elementwise import cast, maximum, minimum, ne, tensor_argument, where
from engine.ops.join import cat
from engine.ops.order import ValuesIndices
from engine.ops.scatter import gather
from engine.ops.shape import permute, reshape
from engine.ops.unary import exp, log, sqrt

if TYPE_CHECKING:
    from engine.tensor import Tensor

Dims = int | Sequence[int] | None


def fold_dims(dim: Dims, ndim: int) -> tuple[int, ...]:
    """The dimensions to fold, sorted; all of them for None and for ()."""
    if dim is None or (not isinstance(dim, int) and len(dim) == 0):
        return tuple(range(ndim))
    if ndim > 64:
        raise RuntimeError(f"only tensors with up to 64 dims are supported, got {ndim}")
    return tuple(sorted(d for d in wrap_dims(dim, ndim) if d < ndim))


def _folded(shape: tuple[int, ...], dims: tuple[int, ...], keepdim: bool) -> tuple[int, ...]:
    return tuple([1 if i in dims else n for i, n in enumerate(shape) if keepdim or i not in dims])


def _restore(g: Tensor, x_shape: tuple[int, ...], dims: tuple[int, ...]) -> Tensor:
    """A folded tensor stretched back over ``x_shape``."""
    return reshape(g, _folded(x_shape, dims, True)).expand(x_shape)


def _reduction(name: str, function: str, vjp: Callable[..., Any] | None = None, result: Any = None) -> Op:
    """A NumPy reduction over ``dims``; the op's sum runs in the array's own dtype."""

    def infer(x: Any, dims: tuple[int, ...], keepdim: bool) -> Spec:
        return _folded(x.shape, dims, keepdim), x.dtype if result is None else result

    reduce = {"sum": np.add.reduce, "prod": np.multiply.reduce}.get(function)  # what NumPy's functions come to

    def kernel(out: Array, x: Array, dims: tuple[int, ...], keepdim: bool) -> None:
        if reduce is not None and type(out) is type(x) is np.ndarray:
            reduce(x, axis=dims, keepdims=keepdim, out=out)
        else:
            getattr(array_module(out), function)(x, axis=dims, keepdims=keepdim, out=out)

    return Op(
        name, ["x"], infer=infer, kernel=kernel, vjps={"x": vjp} if vjp else None, adds_up=True, flops=lambda outs, ins, attrs: ins[0].size
    )


_sum = _reduction("sum", "sum", lambda g, x_shape, dims: _restore(g, x_shape, dims))
_mean = _reduction("mean", "mean", lambda g, x_shape, dims: _restore(g * (1 / max_one(x_shape, dims)), x_shape, dims))
_prod = _reduction("prod", "prod")
_amax = _reduction("amax", "max", lambda g, x, y, dims: _to_extremes(g, x, y, dims))
_amin = _reduction("amin", "min", lambda g, x, y, dims: _to_extremes(g, x, y, dims))
_all = _reduction("all", "all", result=np.bool_)
_any = _reduction("any", "any", result=np.bool_)


def max_one(x_shape: tuple[int, ...], dims: tuple[int, ...]) -> int:
    """How many elements are folded into one; 1 where there are none."""
    return count([x_shape[d] for d in dims]) or 1


def _to_extremes(g: Tensor, x: Tensor, y: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Shares the gradient equally among the elements that are the extreme (or NaN, where that is the result)."""
    top = _restore(y, x.shape, dims)
    at = cast((x == top) | ((top != top) & (x != x)), x.dtype)
    return at * _restore(g, x.shape, dims) / sum(at, dims, keepdim=True)


def _reduce_all(op: Op, x: Tensor, dim: Dims, keepdim: bool) -> Tensor:
    return apply(op, x, dims=fold_dims(dim, x.ndim), keepdim=keepdim)


def sum(input: Tensor, dim: Dims = None, keepdim: bool = False, dtype: dtype | None = None) -> Tensor:
    """Over the dimensions named, all by default; integers and bools add up as int64."""
    if dtype is not None:
        input = cast(input, dtype)
    elif input.dtype.category != FLOAT:
        input = cast(input, int64)
    return _reduce_all(_sum, input, dim, keepdim)


def nansum(input: Tensor, dim: Dims = None, keepdim: bool = False, dtype: dtype | None = None) -> Tensor:
    """``sum`` with NaN counted as zero."""
    return sum(where(input.isnan(), 0, input) if input.dtype.category == FLOAT else input, dim, keepdim, dtype)


def mean(input: Tensor, dim: Dims = None, keepdim: bool = False, dtype: dtype | None = None) -> Tensor:
    """Over the dimensions named, all by default. Raises RuntimeError for integers."""
    if dtype is not None:
        input = cast(input, dtype)
    if input.dtype.category != FLOAT:
        raise RuntimeError(
            f"mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: {input.dtype.legacy_name}"
        )
    return _reduce_all(_mean, input, dim, keepdim)


def nanmean(input: Tensor, dim: Dims = None, keepdim: bool = False, dtype: dtype | None = None) -> Tensor:
    """The mean of what is not NaN."""
    if input.dtype.category != FLOAT:
        raise RuntimeError(f"nanmean(): expected input to have floating point or complex dtype but got {input.dtype.legacy_name}")
    return nansum(input, dim, keepdim, dtype) / cast(sum(~input.isnan(), dim, keepdim), dtype or input.dtype)


def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, dtype: dtype | None = None) -> Tensor:
    """Over one dimension, or all."""
    if dim is not None and not isinstance(dim, int):
        raise TypeError(f"prod() takes one dimension, got {dim!r}")
    input = cast(input, dtype) if dtype is not None else input if input.dtype.category == FLOAT else cast(input, int64)
    dims = fold_dims(dim, input.ndim)
    if not input.requires_grad:
        return apply(_prod, input, dims=dims, keepdim=keepdim)
    if input.numel() == 0:
        return apply(_prod, input.detach(), dims=dims, keepdim=keepdim) + sum(input, dim, keepdim)  # of nothing, but with a history
    shape = _folded(input.shape, dims, keepdim)
    input = reshape(permute(input, [*(i for i in range(input.ndim) if i not in dims), *dims]), (*_folded(input.shape, dims, False), -1))
    while input.shape[-1] > 1:  # by halves: unlike y / x, right at zeros, to any order of derivative
        half, odd = divmod(input.shape[-1], 2)
        pairs = input[..., :half] * input[..., half : 2 * half]
        input = cat([pairs, input[..., 2 * half :]], -1) if odd else pairs
    return reshape(input, shape)


def count_nonzero(input: Tensor, dim: Dims = None) -> Tensor:
    """How many elements are not zero."""
    return sum(ne(input, 0), dim)


# -- extremes


def _extreme_dims(x: Tensor, dim: Dims, name: str) -> tuple[int, ...]:
    dims = fold_dims(dim, x.ndim)
    if x.numel() == 0:
        for d in dims:
            if x.shape[d] == 0 and (dim is None or dim in ((), [])):
                raise RuntimeError(
                    f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument."
                )
            if x.shape[d] == 0:
                raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")
    return dims


def amax(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """The greatest element; a gradient is shared by all that attain it."""
    return apply(_amax, input, dims=_extreme_dims(input, dim, "amax"), keepdim=keepdim)


def amin(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """The smallest element; a gradient is shared by all that attain it."""
    return apply(_amin, input, dims=_extreme_dims(input, dim, "amin"), keepdim=keepdim)


def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> tuple[Tensor, Tensor]:
    """(smallest, greatest)."""
    return amin(input, dim, keepdim), amax(input, dim, keepdim)


def _test(op: Op) -> Callable[..., Tensor]:
    def test(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
        y = apply(op, input, dims=(), keepdim=keepdim) if dim in ((), []) else _reduce_all(op, input, dim, keepdim)
        return cast(y, uint8) if input.dtype is uint8 else y

    test.__name__ = test.__qualname__ = op.name
    test.__doc__ = f"Whether {op.name} elements are true, over the dimensions named or all."
    return test


all, any_ = _test(_all), _test(_any)


def _arg_op(name: str) -> Op:
    return Op(
        name,
        ["x"],
        infer=lambda x, dim, keepdim: (_folded(x.shape, (dim,), keepdim), np.int64),
        kernel=lambda out, x, dim, keepdim: out.__setitem__(..., getattr(array_module(out), name)(x, axis=dim, keepdims=keepdim)),
    )


_argmax, _argmin = _arg_op("argmax"), _arg_op("argmin")


def _arg(op: Op, x: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    if dim is not None:
        dim = wrap_dim(dim, x.ndim)
    if x.numel() == 0 and (dim is None or x.shape[dim] == 0):
        raise IndexError(f"{op.name}(): Expected reduction dim {dim} to have non-zero size.")
    if x.dtype.category == BOOL and op.name in ("argmax", "argmin"):
        x = cast(x, uint8)
    if dim is None or x.ndim == 0:
        flat: Tensor = apply(op, reshape(x.detach(), -1), dim=0, keepdim=False)
        return reshape(flat, (1,) * x.ndim) if keepdim else flat
    return apply(op, x.detach(), dim=wrap_dim(dim, x.ndim), keepdim=keepdim)


def _no_bools(x: Tensor, name: str) -> None:
    if x.dtype.category == BOOL:
        raise RuntimeError(f"{name}(): does not support bool input")


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the first greatest element, along ``dim`` or in the flattened tensor. Raises RuntimeError for bools."""
    _no_bools(input, "argmax")
    return _arg(_argmax, input, dim, keepdim)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the first smallest element, along ``dim`` or in the flattened tensor. Raises RuntimeError for bools."""
    _no_bools(input, "argmin")
    return _arg(_argmin, input, dim, keepdim)


def _extreme(x: Tensor, dim: int, keepdim: bool, op: Op) -> ValuesIndices:
    index = _arg(op, x, dim, True)
    values = gather(x, dim, index)
    return ValuesIndices(values, index) if keepdim or not x.ndim else ValuesIndices(values.squeeze(dim), index.squeeze(dim))


def _whole(x: Tensor, name: str) -> None:
    if x.numel() == 0:
        raise RuntimeError(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument."
        )


def max(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The greatest element; with ``dim`` the pair (values, indices); with a tensor the element-wise maximum."""
    tensor_argument(input, "max")
    if dim is None:
        _whole(input, "max")
        return amax(input)
    return maximum(input, dim) if not isinstance(dim, int) else _extreme(input, dim, keepdim, _argmax)


def min(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; with ``dim`` the pair (values, indices); with a tensor the element-wise minimum."""
    tensor_argument(input, "min")
    if dim is None:
        _whole(input, "min")
        return amin(input)
    return minimum(input, dim) if not isinstance(dim, int) else _extreme(input, dim, keepdim, _argmin)


# -- variance


def _root(x: Tensor) -> Tensor:
    """The square root, with a gradient of 0 where it is 0."""
    return where(x == 0, 0, sqrt(where(x == 0, 1, x)))


def _correction(dim: Any, correction: float | None, unbiased: bool | None) -> tuple[Dims, float]:
    """PyTorch's two signatures: ``var(x, unbiased)`` and ``var(x, dim, correction)``."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return dim, (1 if correction is None else correction) if unbiased is None else int(unbiased)


def var(input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None) -> Tensor:
    """The variance, divided by ``n - correction``, which is 1 unless given."""
    return var_mean(input, dim, unbiased, keepdim, correction=correction)[0]


def std(input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None) -> Tensor:
    """The standard deviation, by ``n - correction``, which is 1 unless given."""
    return std_mean(input, dim, unbiased, keepdim, correction=correction)[0]


def var_mean(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None
) -> tuple[Tensor, Tensor]:
    if input.dtype.category != FLOAT:
        raise RuntimeError(f"std and var only support floating point and complex dtypes, got {input.dtype.name}")
    dim, correction = _correction(dim, correction, unbiased)
    if input.dtype.itemsize == 2:  # rounded once
        y, centre = var_mean(cast(input, float32), dim, None, keepdim, correction=correction)
        return cast(y, input.dtype), cast(centre, input.dtype)
    centre = mean(input, dim, keepdim=True)
    divisor = count([input.shape[d] for d in fold_dims(dim, input.ndim)]) - correction
    squares = sum((input - centre).square(), dim, keepdim)
    y = squares / divisor if divisor > 0 else squares / 0
    return y, centre if keepdim else reshape(centre, y.shape)


def std_mean(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: float | None = None
) -> tuple[Tensor, Tensor]:
    half = input.dtype.itemsize == 2 and input.dtype.category == FLOAT
    y, centre = var_mean(cast(input, float32) if half else input, dim, unbiased, keepdim, correction=correction)
    return cast(_root(y), input.dtype), cast(centre, input.dtype)


def logsumexp(input: Tensor, dim: Dims, keepdim: bool = False) -> Tensor:
    """``log(sum(exp(x)))`` without overflow."""
    input = input if input.dtype.category == FLOAT else input * 1.0
    dims = fold_dims(dim, input.ndim)
    if input.numel() == 0:
        return log(sum(exp(input), dim, keepdim))
    top = amax(input.detach(), dim, keepdim=True)
    top = where(top.isfinite(), top, 0)
    y = log(sum(exp(input - top), dim, keepdim=True)) + top
    return y if keepdim else reshape(y, _folded(y.shape, dims, False))


# -- norms


def norm(input: Tensor, p: Any = "fro", dim: Dims = None, keepdim: bool = False, dtype: dtype | None = None) -> Tensor:
    """The vector ``p``-norm over the dimensions named; "fro" is 2, "nuc" the sum of a matrix's singular values."""
    if dtype is not None:
        input = cast(input, dtype)
    if input.dtype.category != FLOAT:
        raise RuntimeError(f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {input.dtype.legacy_name}")
    if p == "nuc":
        matrices = input if dim is None else input.movedim(dim, (-2, -1))
        y: Tensor = sum(matrices.svdvals(), -1)
        return reshape(y, _folded(input.shape, fold_dims(dim, input.ndim), True)) if keepdim else y
    return vector_norm(input, 2 if p in ("fro", None) else p, dim, keepdim)


def vector_norm(x: Tensor, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: dtype | None = None) -> Tensor:
    """``(sum |x|^ord)^(1/ord)``; inf and -inf give the extremes, 0 counts what is not zero. The gradient at zero is zero."""
    x = x if dtype is None else cast(x, dtype)
    if x.dtype.category != FLOAT:
        raise RuntimeError(f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {x.dtype.legacy_name}")
    dims = fold_dims(dim, x.ndim)
    if ord in (math.inf, -math.inf) or (ord < 0 and x.numel() == 0):
        if any(x.shape[d] == 0 for d in dims):
            raise RuntimeError(
                f"linalg.vector_norm cannot compute the {ord} norm on an empty tensor because the operation does not have an identity"
            )
        return (amax if ord > 0 else amin)(x.abs(), dim, keepdim)
    if ord == 0:
        return cast(sum(ne(x, 0), dim, keepdim), x.dtype) + sum(where(x.isfinite(), x, 0) * 0, dim, keepdim)
    if ord == 1:
        return sum(x.abs(), dim, keepdim)
    if ord == 2:
        squares = sum(x * x, dim, keepdim)
        return _root(squares)
    total = sum(where(x == 0, 0, where(x == 0, 1, x.abs()) ** ord) if ord > 0 else x.abs() ** ord, dim, keepdim)
    return where(total == 0, 0, where(total == 0, 1, total) ** (1 / ord))


__all__ = [
    "all", "amax", "amin", "aminmax", "argmax", "argmin", "count_nonzero", "logsumexp", "max", "mean", "min", "nanmean", "nansum", "norm", "prod",
    "std", "std_mean", "sum", "var", "var_mean",
]  # fmt: skip
