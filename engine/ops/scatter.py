"""Gathering and scattering: an index for every element (``torch.gather``, ``torch.scatter_reduce``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import Array, array_module
from engine.dispatch import Op, broadcast_shapes
from engine.dtypes import BOOL, INTEGER, int64
from engine.graph import apply
from engine.ops.dims import along, wrap_dim
from engine.ops.elementwise import cast, eq, where
from engine.ops.index import getitem
from engine.ops.shape import expand, flatten, reshape

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _grid(index: Array, dim: int, n: int) -> tuple[Array, ...]:
    """The index of every element that an index along ``dim``, of size ``n``, names. Raises RuntimeError where the host can see one out of range."""
    if isinstance(index, np.ndarray) and not (int(index.min()) >= 0 and int(index.max()) < n):
        bad = int(index.max()) if int(index.max()) >= n else int(index.min())
        raise RuntimeError(f"index {bad} is out of bounds for dimension {dim} with size {n}")
    xp = array_module(index)
    places = [xp.arange(n).reshape((-1,) + (1,) * (index.ndim - 1 - i)) for i, n in enumerate(index.shape)]
    places[dim] = index
    return tuple(places)


def _gather_kernel(out: Array, x: Array, index: Array, dim: int) -> None:
    out[...] = x[_grid(index, dim, x.shape[dim])]


_gather: Op = Op(
    "gather",
    ["x", "index"],
    infer=lambda x, index, dim: (index.shape, x.dtype),
    kernel=_gather_kernel,
    vjps={"x": lambda g, index, dim, x_shape: apply(_scatter_add, g, index, dim=dim, shape=x_shape)},
)


def _scatter_add_kernel(out: Array, g: Array, index: Array, dim: int, shape: tuple[int, ...]) -> None:
    out.fill(0)
    array_module(out).add.at(out, _grid(index, dim, shape[dim]), g)


_scatter_add: Op = Op(
    "scatter_add",
    ["g", "index"],
    infer=lambda g, index, dim, shape: (shape, g.dtype),
    kernel=_scatter_add_kernel,
    adds_up=True,
    vjps={"g": lambda g, index, dim: apply(_gather, g, index, dim=dim)},
)


def _put_kernel(out: Array, x: Array, src: Array, places: tuple[Array, ...]) -> None:
    out[...] = x
    out[places] = src


_scatter: Op = Op(
    "scatter",
    ["x", "src", "index"],
    infer=lambda x, src, index, dim: (x.shape, x.dtype),
    kernel=lambda out, x, src, index, dim: _put_kernel(out, x, src, _grid(index, dim, x.shape[dim])),
    vjps={
        "x": lambda g, index, dim, src_shape: apply(_scatter, g, g.new_zeros(src_shape), index, dim=dim),
        "src": lambda g, index, dim: apply(_gather, g, index, dim=dim),
    },
)


def _check_places(x: Tensor, dim: int, index: Tensor, name: str, src: Tensor | None = None, whole: bool = False) -> int:
    """The dimension counted from the front. Raises for an index of a shape that does not fit ``x`` and ``src``."""
    at = wrap_dim(dim, x.ndim)
    if index.numel() == 0:
        return at
    if index.dtype.name not in ("int64", "int32"):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
    if max(index.ndim, 1) != max(x.ndim, 1) or (src is not None and max(src.ndim, 1) != max(index.ndim, 1)):
        raise RuntimeError(
            f"Index tensor must have the same number of dimensions as {'self' if whole else 'input'} tensor, got {index.ndim} and {x.ndim}"
            + ("" if src is None else f" (src has {src.ndim})")
        )
    for i, n in enumerate(index.shape):
        if (i != at and n > x.shape[i]) or (src is not None and n > src.shape[i]):
            raise RuntimeError(
                f"Size does not match at dimension {i} expected index {list(index.shape)} to be no larger than self {list(x.shape)} apart from dimension {at}"
                + ("" if src is None else f" and to be no larger size than src {list(src.shape)}")
            )
    return at


def _at_least_1d(*xs: Tensor) -> list[Tensor]:
    return [x if x.ndim else reshape(x, 1) for x in xs]


def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """``y[i][j] = x[i][index[i][j]]`` along ``dim``; a tensor of ``index``'s shape. Raises RuntimeError for an index out of range."""
    at = _check_places(input, dim, index, "gather")
    if index.numel() == 0:
        return reshape(flatten(input)[:0], index.shape)
    lifted, places = _at_least_1d(input, index)
    return reshape(apply(_gather, lifted, cast(places, int64), dim=at), index.shape)


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """``gather`` with the other dimensions broadcast; without ``dim``, from the flattened tensor."""
    if indices.dtype.name != "int64":
        raise RuntimeError(f"torch.take_along_dim(): dtype of indices should be Long but got {indices.dtype.legacy_name}")
    if dim is None:
        return gather(flatten(input), 0, flatten(indices))
    if input.ndim != indices.ndim:
        raise RuntimeError(
            f"torch.take_along_dim(): input and indices should have the same number of dimensions, but got {input.ndim} dimensions for input, and {indices.ndim} dimensions for indices"
        )
    at = wrap_dim(dim, input.ndim)
    full = broadcast_shapes((*input.shape[:at], 1, *input.shape[at + 1 :]), (*indices.shape[:at], 1, *indices.shape[at + 1 :]))
    indices = where(indices < 0, indices + input.shape[at], indices)
    stretched = [expand(t, (*full[:at], t.shape[at], *full[at + 1 :])) for t in (input, indices)]
    return gather(stretched[0], at, stretched[1])


def _cut(src: Tensor, index: Tensor) -> Tensor:
    """The part of ``src`` that the index uses."""
    return getitem(src, tuple(slice(n) for n in index.shape)) if src.shape != index.shape else src


def _with_nothing_of(input: Tensor, src: Any) -> Tensor:
    """A copy, into whose history ``src`` goes without its elements."""
    return input + reshape(src, -1)[:0].sum() if getattr(src, "requires_grad", False) else input.clone()


def scatter(input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None) -> Tensor:
    """``input`` with ``y[i][index[i][j]] = src[i][j]`` along ``dim``; ``src`` a tensor or a number, ``reduce`` "add" or "multiply"."""
    src = value if src is None else src
    if reduce is not None:
        if reduce not in ("add", "multiply"):
            raise RuntimeError("reduce argument must be either add or multiply.")
        source = src if hasattr(src, "_data") else input.new_full(index.shape, src)
        return scatter_reduce(input, dim, index, source, "sum" if reduce == "add" else "prod")
    tensor = src if hasattr(src, "_data") else None
    if tensor is not None and tensor.dtype is not input.dtype:
        raise RuntimeError(
            f"scatter(): Expected self.dtype to be equal to src.dtype, got {input.dtype.legacy_name} and {tensor.dtype.legacy_name}"
        )
    at = _check_places(input, dim, index, "scatter", tensor, whole=True)
    if index.numel() == 0:
        return _with_nothing_of(input, src)
    lifted, places = _at_least_1d(input, index)
    source = input.new_full(places.shape, src) if tensor is None else _cut(_at_least_1d(tensor)[0], places)
    return reshape(apply(_scatter, lifted, source, cast(places, int64), dim=at), input.shape)


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """``input`` with ``src[i][j]`` added at ``[i][index[i][j]]``."""
    return scatter_reduce(input, dim, index, src, "sum", name="scatter_add")


def _combined(name: str) -> Callable[..., None]:
    """Slice after slice along ``dim``: within one no place occurs twice, so any ufunc will do, also those without an ``at`` on the GPU."""

    def kernel(out: Array, x: Array, src: Array, index: Array, dim: int) -> None:
        out[...] = x
        combine = getattr(array_module(out), name)
        for k in range(index.shape[dim]):
            one = along(dim, slice(k, k + 1))
            places = _grid(index[one], dim, out.shape[dim])
            out[places] = combine(out[places], src[one])

    return kernel


def _extreme_vjp(g: Tensor, of: Tensor, x: Tensor, src: Tensor, index: Tensor, y: Tensor, dim: int, spread_back: bool) -> Tensor:
    """An extreme's gradient, dealt out in equal parts to all that attain it."""
    mine, theirs = cast(eq(x, y), g.dtype), cast(eq(src, apply(_gather, y, index, dim=dim)), g.dtype)
    share = g / (mine + apply(_scatter_add, theirs, index, dim=dim, shape=x.shape))
    return apply(_gather, share, index, dim=dim) * theirs if spread_back else share * mine


def _extreme_op(name: str, ufunc: str) -> Op:
    return Op(
        name,
        ["x", "src", "index"],
        infer=lambda x, src, index, dim: (x.shape, x.dtype),
        kernel=_combined(ufunc),
        vjps={
            "x": lambda g, x, src, index, y, dim: _extreme_vjp(g, x, x, src, index, y, dim, False),
            "src": lambda g, x, src, index, y, dim: _extreme_vjp(g, src, x, src, index, y, dim, True),
        },
    )


def _product_vjp(g: Tensor, x: Tensor, src: Tensor, index: Tensor, y: Tensor, dim: int) -> Tensor:
    """The product of all others: by division, or where ``src`` is the only zero of its place, by leaving the zero out."""
    zero = eq(src, 0)
    zeros = apply(_scatter_add, cast(zero, g.dtype), index, dim=dim, shape=x.shape)
    rest = apply(_products, x, where(zero, 1, src), index, dim=dim)
    alone = eq(apply(_gather, zeros, index, dim=dim), 1)
    spread_g, spread_y, spread_rest = (apply(_gather, t, index, dim=dim) for t in (g, y, rest))
    return spread_g * where(zero, where(alone, spread_rest, 0), spread_y / where(zero, 1, src))


_extremes = {"amax": _extreme_op("scatter_amax", "maximum"), "amin": _extreme_op("scatter_amin", "minimum")}
_products: Op = Op(
    "scatter_prod",
    ["x", "src", "index"],
    infer=lambda x, src, index, dim: (x.shape, x.dtype),
    kernel=_combined("multiply"),
    vjps={
        "x": lambda g, x, src, index, dim: g * apply(_products, x.new_ones(x.shape), src, index, dim=dim),
        "src": lambda g, x, src, index, y, dim: _product_vjp(g, x, src, index, y, dim),
    },
)
_NEUTRAL = {"sum": 0, "mean": 0, "prod": 1}


def _lowest(x: Tensor, reduce: str) -> Any:
    """What an extreme starts from where the elements of ``x`` do not take part."""
    if x.dtype.category == BOOL:
        return reduce == "amin"
    if x.dtype.category == INTEGER:
        limits = np.iinfo(x.dtype.numpy)
        return int(limits.min if reduce == "amax" else limits.max)
    return -np.inf if reduce == "amax" else np.inf


def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True, name: str = "scatter_reduce"
) -> Tensor:
    """``input`` combined with ``src[i][j]`` at ``[i][index[i][j]]``: "sum", "prod", "mean", "amax" or "amin", with or without what was there."""
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    if src.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}(): Expected self.dtype to be equal to src.dtype, got {input.dtype.legacy_name} and {src.dtype.legacy_name}"
        )
    at = _check_places(input, dim, index, name, src, whole=True)
    if index.numel() == 0:
        return _with_nothing_of(input, src)
    lifted, places, source = _at_least_1d(input, index, src)
    places = cast(places, int64)
    source = _cut(source, places)
    if not include_self:
        start = _NEUTRAL[reduce] if reduce in _NEUTRAL else _lowest(input, reduce)
        lifted = apply(_scatter, lifted, input.new_full(places.shape, start), places, dim=at)
    if reduce in _extremes:
        y = apply(_extremes[reduce], lifted, source, places, dim=at)
    elif reduce == "prod":
        y = apply(_products, lifted, source, places, dim=at)
    else:
        y = lifted + apply(_scatter_add, source, places, dim=at, shape=lifted.shape)
    if reduce == "mean":
        ones = input.new_ones(places.shape)
        n = apply(_scatter_add, ones, places, dim=at, shape=lifted.shape) + (1 if include_self else 0)
        n = where(eq(n, 0), 1, n)
        y = y.div(n, rounding_mode="floor" if input.dtype.category == INTEGER else None)
    return reshape(cast(y, input.dtype), input.shape)


__all__ = ["gather", "scatter", "scatter_add", "scatter_reduce", "take_along_dim"]
