"""Joining tensors, and taking them apart."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import array_module
from engine.dispatch import Op, Spec, broadcast_shapes
from engine.dtypes import result_type
from engine.graph import apply
from engine.ops.dims import along, wrap_dim
from engine.ops.elementwise import cast
from engine.ops.index import getitem
from engine.ops.shape import expand, flatten, reshape, select, unsqueeze

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _cat_infer(*xs: Any, dim: int) -> Spec:
    shape = list(xs[0].shape)
    shape[dim] = sum(x.shape[dim] for x in xs)
    return tuple(shape), xs[0].dtype


def _cat_op(n: int) -> Op:
    """Concatenation of ``n`` tensors: inputs are named, so there is an op per number of them."""

    def part(i: int) -> Any:
        def vjp(g: Any, dim: Any, sections: Any) -> Any:
            start = sum(sections[:i])
            return getitem(g, along(dim, slice(start, start + sections[i])))

        return vjp

    names = [f"x{i}" for i in range(n)]
    return Op(
        f"cat{n}",
        names,
        infer=lambda *xs, dim, sections: _cat_infer(*xs, dim=dim),
        kernel=lambda out, *xs, dim, sections: array_module(out).concatenate(xs, axis=dim, out=out),
        vjps={name: part(i) for i, name in enumerate(names)},
    )


_cats: dict[int, Op] = {}


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Joins tensors along an existing dimension. Raises RuntimeError where another dimension differs."""
    if not len(tensors):
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    for i, x in enumerate(tensors):
        if not hasattr(x, "_data"):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(x).__name__}")
        if x.ndim == 0:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
    d = result_type(*tensors)
    kept = [x for x in tensors if x.shape != (0,)] or list(tensors[:1])
    dim = wrap_dim(dim, kept[0].ndim)
    for i, x in enumerate(kept):
        if x.ndim != kept[0].ndim:
            raise RuntimeError(f"Tensors must have same number of dimensions: got {kept[0].ndim} and {x.ndim}")
        if any(n != m for j, (n, m) in enumerate(zip(x.shape, kept[0].shape, strict=True)) if j != dim):
            raise RuntimeError(
                f"Sizes of tensors must match except in dimension {dim}. Expected {list(kept[0].shape)} but got {list(x.shape)} for tensor number {i} in the list."
            )
    n = len(kept)
    if n not in _cats:
        _cats[n] = _cat_op(n)
    return apply(_cats[n], *(cast(x, d) for x in kept), dim=dim, sections=tuple(x.shape[dim] for x in kept))


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Joins tensors of one shape along a new dimension."""
    if not len(tensors):
        raise RuntimeError("stack expects a non-empty TensorList")
    for i, x in enumerate(tensors):
        if x.shape != tensors[0].shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(tensors[0].shape)} at entry 0 and {list(x.shape)} at entry {i}"
            )
    return cat([unsqueeze(x, dim) for x in tensors], wrap_dim(dim, tensors[0].ndim + 1))


def _several(tensors: tuple[Any, ...]) -> Sequence[Tensor]:
    """Tensors given one by one or as one sequence."""
    return tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors


def _each(function: Any, tensors: tuple[Any, ...]) -> Any:
    if len(tensors) == 1 and not isinstance(tensors[0], list | tuple):
        return function(tensors[0])
    return tuple(function(x) for x in _several(tensors))


def atleast_1d(*tensors: Any) -> Any:
    return _each(lambda x: x if x.ndim else reshape(x, 1), tensors)


def atleast_2d(*tensors: Any) -> Any:
    return _each(lambda x: x if x.ndim > 1 else reshape(x, (1, x.numel())), tensors)


def atleast_3d(*tensors: Any) -> Any:
    return _each(lambda x: x if x.ndim > 2 else unsqueeze(x, 2) if x.ndim == 2 else reshape(x, (1, x.numel(), 1)), tensors)


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """Joins along the second dimension, vectors along their only one."""
    if not len(tensors):
        raise RuntimeError("hstack expects a non-empty TensorList")
    xs = [atleast_1d(x) for x in tensors]
    return cat(xs, 0 if xs[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    if not len(tensors):
        raise RuntimeError("vstack expects a non-empty TensorList")
    return cat([atleast_2d(x) for x in tensors], 0)


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    if not len(tensors):
        raise RuntimeError("dstack expects a non-empty TensorList")
    return cat([atleast_3d(x) for x in tensors], 2)


def column_stack(tensors: Sequence[Tensor]) -> Tensor:
    """Joins vectors as columns, matrices along the second dimension."""
    if not len(tensors):
        raise RuntimeError("column_stack expects a non-empty TensorList")
    return hstack([reshape(x, (x.numel(), 1)) if x.ndim <= 1 else x for x in tensors])


def block_diag(*tensors: Tensor) -> Tensor:
    """A matrix with the given matrices along its diagonal."""
    xs = [atleast_2d(x) for x in tensors]
    for i, x in enumerate(xs):
        if x.ndim > 2:
            raise RuntimeError(f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {x.ndim} dimensions")
    d, width = result_type(*tensors), sum(x.shape[1] for x in xs)
    rows, at = [], 0
    for x in xs:
        left, right = x.new_zeros((x.shape[0], at), dtype=d), x.new_zeros((x.shape[0], width - at - x.shape[1]), dtype=d)
        rows.append(cat([left, x, right], 1))
        at += x.shape[1]
    return cat(rows, 0)


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Views of the tensors in their common shape."""
    xs = _several(tensors)
    shape = broadcast_shapes(*(x.shape for x in xs))
    return tuple(expand(x, shape) for x in xs)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """Coordinates of a grid; ``indexing`` is "ij" or "xy" (the first two swapped)."""
    xs = [atleast_1d(x) for x in _several(tensors)]
    if not xs:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing not in ("ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    for x in xs:
        if x.ndim > 1:
            raise RuntimeError(f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {x.ndim}D")
        if x.dtype is not xs[0].dtype:
            raise RuntimeError("torch.meshgrid expects all tensors to have the same dtype")
    swap = indexing == "xy" and len(xs) > 1
    if swap:
        xs[0], xs[1] = xs[1], xs[0]
    shape = [x.numel() for x in xs]
    grid = [expand(reshape(x, [-1 if i == j else 1 for j in range(len(xs))]), shape) for i, x in enumerate(xs)]
    if swap:
        grid[0], grid[1] = grid[1], grid[0]
    return tuple(grid)


def cartesian_prod(*tensors: Any) -> Tensor:
    """All ways to choose one element of each vector, a row each."""
    xs = _several(tensors)
    for x in xs:
        if x.ndim != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(x.shape)}")
    return xs[0] if len(xs) == 1 else stack([flatten(g) for g in meshgrid(*xs)], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """All ways to choose ``r`` elements of a vector, a row each."""
    if input.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.array(list(choose(range(input.numel()), r)), np.int64).reshape(-1, max(r, 1))
    return getitem(input, (rows,)) if r else input.new_zeros(0)


# -- taking apart


def split_with_sizes(x: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive pieces of the sizes listed."""
    if x.ndim == 0:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    at = wrap_dim(dim, x.ndim)
    n, pieces = x.shape[at], list(split_sizes)
    if any(p < 0 for p in pieces):
        raise RuntimeError(f"split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes={pieces}")
    if sum(pieces) != n:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at dimension {at}), but got split_sizes={pieces}"
        )
    starts = [sum(pieces[:i]) for i in range(len(pieces))]
    return tuple(getitem(x, along(at, slice(a, a + k))) for a, k in zip(starts, pieces, strict=True))


def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive pieces of so many elements (the last may be smaller), or of the sizes listed."""
    if not isinstance(split_size_or_sections, int):
        return split_with_sizes(tensor, split_size_or_sections, dim)
    if tensor.ndim == 0:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    size, n = split_size_or_sections, tensor.shape[wrap_dim(dim, tensor.ndim)]
    if size < 0 or (size == 0 and n):
        raise RuntimeError(f"split expects split_size be {'positive' if n else 'non-negative'}, but got split_size={size}")
    return split_with_sizes(tensor, [min(size, n - at) for at in range(0, n, size)] if n else [0], dim)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of at most so many equal pieces."""
    if input.ndim == 0:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    n = input.shape[wrap_dim(dim, input.ndim)]
    return split_with_sizes(input, [0] * chunks, dim) if n == 0 else split(input, -(-n // chunks), dim)


def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of so many pieces, as equal as can be, or cut at the places listed."""
    if input.ndim == 0:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    at = wrap_dim(dim, input.ndim)
    n, where = input.shape[at], indices_or_sections
    if hasattr(where, "_data"):
        if where.dtype.name != "int64":
            raise RuntimeError(f"tensor_split expected tensor_indices_or_sections to have dtype of long, but got {where.dtype.legacy_name}")
        if where.ndim > 1:
            raise RuntimeError(
                f"tensor_split expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional tensor, but got a tensor with {where.ndim} dims"
            )
        where = where.tolist()
    if isinstance(where, int):
        if where <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {where}")
        each, more = divmod(n, where)
        return split_with_sizes(input, [each + (i < more) for i in range(where)], at)
    cuts = [0, *where, n]
    return tuple(getitem(input, along(at, slice(a, b))) for a, b in itertools.pairwise(cuts))


def _split_along(name: str, dim: int, least: int) -> Any:
    def function(x: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
        if x.ndim < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension{'s' * (least > 1)}, but got a tensor with {x.ndim} dimensions!"
            )
        at = dim if x.ndim > dim else 0
        if isinstance(indices_or_sections, int) and (indices_or_sections <= 0 or x.shape[at] % indices_or_sections):
            raise RuntimeError(
                f"torch.{name} attempted to split along dimension {at}, but the size of the dimension {x.shape[at]} is not divisible by the split_size {indices_or_sections}!"
            )
        return tensor_split(x, indices_or_sections, at)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"``tensor_split`` along dimension {dim}."
    return function


hsplit, vsplit, dsplit = _split_along("hsplit", 1, 1), _split_along("vsplit", 0, 2), _split_along("dsplit", 2, 3)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of all slices along a dimension."""
    if input.ndim == 0:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    at = wrap_dim(dim, input.ndim)
    return tuple(select(input, at, i) for i in range(input.shape[at]))


__all__ = [
    "atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "broadcast_tensors", "cartesian_prod", "cat", "chunk", "column_stack", "combinations",
    "dsplit", "dstack", "hsplit", "hstack", "meshgrid", "split", "split_with_sizes", "stack", "tensor_split", "unbind", "vsplit", "vstack",
]  # fmt: skip
