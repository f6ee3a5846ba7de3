"""Picking slices and elements, and putting others in their places: by vectors of indices, by places of the flattened tensor, by masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import Array, MetaArray, array_module
from engine.dispatch import Op, broadcast_shapes, count, unseen
from engine.dtypes import BOOL, bool_
from engine.graph import apply
from engine.ops.dims import along, wrap_dim
from engine.ops.elementwise import cast, where
from engine.ops.index import getitem, plain_index, spread
from engine.ops.scatter import scatter_reduce
from engine.ops.shape import diagonal, expand, flatten, reshape, select

if TYPE_CHECKING:
    from engine.tensor import Tensor

# -- one value for each place of an index


def _set_kernel(out: Array, x: Array, value: Array, index: Any) -> None:
    out[...] = x
    out[index] = value


_index_set: Op = Op(
    "index_set",
    ["x", "value"],
    infer=lambda x, value, index: (x.shape, x.dtype),
    kernel=_set_kernel,
    vjps={
        "x": lambda g, index, value_shape: apply(_index_set, g, g.new_zeros(value_shape), index=index),
        "value": lambda g, index: getitem(g, index),
    },
)


def index_set(x: Tensor, index: Any, value: Tensor) -> Tensor:
    """``x`` with ``value``, broadcast, in place of the elements at ``index``; of a place named twice the last value counts."""
    shape = getitem(x.detach(), index).shape
    if value.ndim > len(shape) and value.numel() == count(shape):
        value = reshape(value, shape)
    return apply(_index_set, x, cast(expand(value, shape), x.dtype), index=plain_index(index, x))


def fill(x: Tensor, value: Any) -> Tensor:
    """One value, a number or a tensor of no dimensions, in the shape of ``x``."""
    return x.clone().fill_(value)


def index_put(x: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False) -> Tensor:
    """``x`` with ``values`` put, or added, where the index tensors (None: everywhere) point."""
    if x.dtype is not values.dtype:
        raise RuntimeError(
            f"Index put requires the source and destination dtypes match, got {x.dtype.legacy_name} for the destination and {values.dtype.legacy_name} for the source."
        )
    index = tuple(slice(None) if i is None else i for i in indices)
    if not accumulate:
        return index_set(x, index, values)
    plain = plain_index(index, x)
    return x + spread(expand(values, getitem(x.detach(), index).shape), plain, x.shape)


# -- along one dimension


def _vector(index: Tensor, name: str) -> Tensor:
    if index.ndim > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector")
    if index.dtype.name not in ("int64", "int32"):
        raise RuntimeError(f"{name}(): Expected dtype int32 or int64 for index but got: {index.dtype.legacy_name}")
    return reshape(index, -1)


def _inside(index: Tensor, n: int, name: str, signed: bool = True) -> None:
    """Raises IndexError where the host can see that an index is out of range."""
    values = index._data
    if isinstance(values, np.ndarray) and values.size and not ((-n if signed else 0) <= int(values.min()) and int(values.max()) < n):
        raise IndexError(f"{name}(): index out of range: dimension of size {n}, got an index in [{values.min()}, {values.max()}]")


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices along ``dim`` that a vector of indices names."""
    at = wrap_dim(dim, input.ndim)
    rows = _vector(index, "index_select")
    if input.ndim == 0:
        return input.clone() if rows.numel() == 1 else reshape(expand(reshape(input, 1), rows.numel()), -1)
    _inside(rows, input.shape[at], "index_select", signed=False)
    return getitem(input, along(at, rows))


def _source(x: Tensor, at: int, index: Tensor, source: Tensor, name: str) -> Tensor:
    """The slices to put, of a shape that fits."""
    if source.dtype is not x.dtype:
        raise RuntimeError(
            f"{name}(): self and source expected to have the same dtype, but got (self) {x.dtype.legacy_name} and (source) {source.dtype.legacy_name}"
        )
    _inside(index, x.shape[at] if x.ndim else 1, name)
    wanted = (*x.shape[:at], index.numel(), *x.shape[at + 1 :]) if x.ndim else (1,)
    if source.ndim and source.ndim != x.ndim and x.ndim:
        raise RuntimeError(
            f"{name}(): When source and destination are not scalars, their dimensionality must match. Source dimensionality ({source.ndim}), destination dimensionality ({x.ndim})"
        )
    if source.numel() != count(wanted):
        raise (IndexError if name == "index_copy" else RuntimeError)(
            f"{name}(): Number of indices ({index.numel()}) should be equal to source.size(dim): expected a source {list(wanted)}, got {list(source.shape)}"
        )
    return reshape(source, wanted)


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """``input`` with ``alpha`` times slices of ``source`` added where the index points."""
    at, rows = wrap_dim(dim, input.ndim), _vector(index, "index_add")
    source = _source(input, at, rows, source, "index_add")
    if input.ndim == 0:
        return reshape(index_add(reshape(input, 1), 0, rows, source, alpha=alpha), ())
    source = source if alpha == 1 else cast(source * alpha, input.dtype)
    return cast(input + spread(source, along(at, plain_index(rows, input)), input.shape), input.dtype)


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """``input`` with slices of ``source`` in the places that the index names."""
    at, rows = wrap_dim(dim, input.ndim), _vector(index, "index_copy")
    source = _source(input, at, rows, source, "index_copy")
    return index_set(input, along(at, rows), source) if input.ndim else reshape(index_set(reshape(input, 1), rows, source), ())


def index_fill(x: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """``x`` with one value, a number or a tensor of no dimensions, in the slices that the index names."""
    if getattr(value, "ndim", 0):
        raise RuntimeError(f"index_fill_ only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s).")
    at, rows = wrap_dim(dim, x.ndim), _vector(index, "index_fill")
    v = value if hasattr(value, "_data") else x.new_tensor(value)
    rows = rows.unique() if v.requires_grad else rows  # a slice named twice is filled once
    return index_set(x, along(at, rows), v) if x.ndim else reshape(index_set(reshape(x, 1), rows, v), ())


def take(input: Tensor, index: Tensor) -> Tensor:
    """Elements of the flattened tensor, in the shape of ``index``."""
    if index.dtype.name != "int64":
        raise RuntimeError(f"take(): Expected a long tensor for index, but got {index.dtype.legacy_name}")
    if not input.numel() and index.numel():
        raise IndexError("take(): tried to take from an empty tensor")
    _inside(index, input.numel(), "take")
    return getitem(flatten(input), index) if index.ndim else reshape(getitem(flatten(input), reshape(index, 1)), ())


def put(x: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """``x`` with the elements of ``source`` put, or added, at places of the flattened tensor."""
    if index.dtype.name != "int64":
        raise RuntimeError(f"put_(): Expected a long tensor for index, but got {index.dtype.legacy_name}")
    if x.dtype is not source.dtype:
        raise RuntimeError(
            f"put_(): self and source expected to have the same dtype, but got self.dtype = {x.dtype.legacy_name} and source.dtype = {source.dtype.legacy_name}"
        )
    if index.numel() != source.numel():
        raise RuntimeError(
            f"put_(): Expected source and index to have the same number of elements, but got source.numel() = {source.numel()}, index.numel() = {index.numel()}"
        )
    if index.numel() and not x.numel():
        raise IndexError("put_(): cannot put elements into an empty tensor")
    _inside(index, x.numel(), "put_")
    return reshape(index_put(flatten(x), (flatten(index),), flatten(source), accumulate), x.shape)


def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """``input`` with ``src`` in the place of ``x.select(dim, index)``."""
    at, shape = wrap_dim(dim, input.ndim), select(input, dim, index).shape
    if src.shape != shape:
        raise RuntimeError(
            f"expected src to have a size equal to the slice of self. src size = {list(src.shape)}, slice size = {list(shape)}"
        )
    return index_set(input, along(at, index), src)


def slice_scatter(input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    """``input`` with ``src`` in the place of the slice ``start:end:step`` of a dimension."""
    at = wrap_dim(dim, input.ndim)
    return index_set(input, along(at, slice(start, end, step)), src)


def _diagonal_set_kernel(out: Array, x: Array, value: Array, offset: int, dim1: int, dim2: int) -> None:
    out[...] = x
    index = array_module(out).arange(out.size).reshape(out.shape).diagonal(offset, dim1, dim2)
    out.reshape(-1)[index] = value


_diagonal_set: Op = Op(
    "diagonal_set",
    ["x", "value"],
    infer=lambda x, value, offset, dim1, dim2: (x.shape, x.dtype),
    kernel=_diagonal_set_kernel,
    vjps={
        "x": lambda g, value_shape, offset, dim1, dim2: apply(
            _diagonal_set, g, g.new_zeros(value_shape), offset=offset, dim1=dim1, dim2=dim2
        ),
        "value": lambda g, offset, dim1, dim2: diagonal(g, offset, dim1, dim2),
    },
)


def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """``input`` with ``src`` on a diagonal."""
    shape = diagonal(input, offset, dim1, dim2).shape
    if src.shape != shape:
        raise RuntimeError(
            f"expected src to have a size equal to the slice of self. src size = {list(src.shape)}, slice size = {list(shape)}"
        )
    return apply(
        _diagonal_set, input, cast(src, input.dtype), offset=offset, dim1=wrap_dim(dim1, input.ndim), dim2=wrap_dim(dim2, input.ndim)
    )


def index_reduce(input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True) -> Tensor:
    """``scatter_reduce`` of whole slices: "prod", "mean", "amax" or "amin"."""
    at, rows = wrap_dim(dim, input.ndim), _vector(index, "index_reduce")
    source = _source(input, at, rows, source, "index_reduce")
    if input.ndim == 0:
        return reshape(index_reduce(reshape(input, 1), 0, rows, source, reduce, include_self=include_self), ())
    places = expand(reshape(rows, [-1 if i == at else 1 for i in range(input.ndim)]), source.shape)
    return scatter_reduce(input, at, places, source, reduce, include_self=include_self)


# -- by a mask


def _mask(mask: Tensor, name: str) -> Tensor:
    if mask.dtype.category != BOOL:
        raise RuntimeError(f"{name} only supports boolean masks, but got mask with dtype {mask.dtype.name}")
    return mask


def masked_fill(x: Tensor, mask: Tensor, value: Any) -> Tensor:
    """``x`` with one value where the mask holds."""
    if getattr(value, "ndim", 0):
        raise RuntimeError(f"masked_fill only supports a 0-dimensional value tensor, but got tensor with {value.ndim} dimension(s).")
    held = value.item() if hasattr(value, "_data") and not value.requires_grad else value
    if not hasattr(held, "_data") and x.dtype.category < 2 and isinstance(held, float) and x.dtype is not bool_:
        raise RuntimeError(f"value cannot be converted to type {x.dtype.name} without overflow")
    filled = held if hasattr(held, "_data") else x.new_tensor(held)
    return where(_mask(mask, "masked_fill"), cast(filled, x.dtype), x)


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements, in one dimension, where the mask holds; both broadcast."""
    if mask.dtype.category != BOOL:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    shape = broadcast_shapes(input.shape, mask.shape)
    spread_x, spread_mask = expand(input, shape), expand(mask, shape)
    return getitem(spread_x, spread_mask) if shape else getitem(reshape(spread_x, 1), reshape(spread_mask, 1))


def masked_scatter(x: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """``x`` with the first elements of ``source``, in order, where the mask holds."""
    if source.dtype is not x.dtype:
        raise RuntimeError(
            f"masked_scatter: expected self and source to have same dtypes but got {x.dtype.legacy_name} and {source.dtype.legacy_name}"
        )
    shape = broadcast_shapes(x.shape, mask.shape)
    full, at = expand(x, shape), expand(_mask(mask, "masked_scatter"), shape)
    n = int(at.sum())
    if n > source.numel():
        raise RuntimeError(f"masked_scatter: expected source to have at least {n} elements, got {source.numel()}")
    return reshape(index_set(flatten(full), flatten(at), flatten(source)[:n]), shape)


def argwhere(input: Tensor) -> Tensor:
    """The indices of all elements that are not zero: ``(n, ndim)`` int64."""
    if isinstance(input._data, MetaArray):
        raise NotImplementedError("nonzero of a meta tensor has no shape")
    unseen("the places of elements (nonzero), whose number depends on them")
    found = array_module(input._data).argwhere(input._data) if input.ndim else np.zeros((int(bool(input)), 0), np.int64)
    return input._wrap(found.astype(np.int64)).to(input.device)


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """``argwhere``, or with ``as_tuple`` one vector per dimension."""
    places = argwhere(input if input.ndim or not as_tuple else reshape(input, 1))
    return tuple(places[:, i] for i in range(places.shape[1])) if as_tuple else places


__all__ = [
    "argwhere", "diagonal_scatter", "fill", "index_add", "index_copy", "index_fill", "index_put", "index_reduce", "index_select", "masked_fill",
    "masked_scatter", "masked_select", "nonzero", "put", "select_scatter", "slice_scatter", "take",
]  # fmt: skip
