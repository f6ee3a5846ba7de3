"""Indexing: ``x[index]`` as a view where integers and slices allow, else as a copy."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import Array, MetaArray, array_module
from engine.dispatch import Op, Spec, unseen
from engine.dtypes import INTEGER, dtype, int8, int16, uint8
from engine.graph import apply

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _parts(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)


def _index_infer(x: Any, index: Any) -> Spec:
    """The shape comes from indexing a single element stretched over ``x``'s shape, where that makes no copy."""
    parts = _parts(index)
    arrays = [p for p in parts if hasattr(p, "dtype")]
    if arrays and not any(isinstance(p, bool) or getattr(p, "dtype", None) == np.bool_ for p in parts):
        return _gathered_shape(x.shape, parts, arrays), x.dtype
    xp = array_module(arrays[0]) if arrays else np
    return xp.broadcast_to(xp.zeros((), xp.int8), x.shape)[index].shape, x.dtype


_TAKEN, _NAMED = 2, 3  # the size of a dimension in a small stand-in


def _gathered_shape(shape: tuple[int, ...], parts: tuple[Any, ...], arrays: list[Any]) -> tuple[int, ...]:
    """What index arrays without masks make of ``shape``, found on a small stand-in: neither ``x`` nor the result need fit into memory."""
    if len(parts) == 1:
        return (*arrays[0].shape, *shape[1:])
    try:
        named = np.broadcast_shapes(*(p.shape for p in arrays))
    except ValueError as error:
        raise IndexError(f"shape mismatch: indexing arrays could not be broadcast together: {error}") from None
    taken: list[int] = []
    small: list[int] = []
    index: list[Any] = []
    kept = len(shape) - sum(p is not None and p is not Ellipsis for p in parts)
    for p in parts if any(p is Ellipsis for p in parts) else (*parts, Ellipsis):
        if p is Ellipsis:
            taken += shape[len(small) : len(small) + kept]
            small += [_TAKEN] * kept
        elif isinstance(p, slice):
            taken.append(len(range(*p.indices(shape[len(small)]))))
            small.append(_TAKEN)
        elif p is not None:
            small.append(1)
        whole = slice(None) if isinstance(p, slice) else p
        index.append(np.zeros((_NAMED,) * len(named), np.int8) if hasattr(p, "dtype") else 0 if isinstance(p, int | np.integer) else whole)
    sizes = {_TAKEN: iter(taken), _NAMED: iter(named)}
    return tuple(next(sizes[n]) if n in sizes else n for n in np.broadcast_to(np.int8(0), small)[tuple(index)].shape)


def _put_kernel(out: Array, g: Array, index: Any, shape: tuple[int, ...]) -> None:
    out.fill(0)
    if is_basic(index):
        out[index] = g
    else:
        array_module(out).add.at(out, index, g)


def _open(index: Any) -> Any:
    """An index that yields an array, of no dimensions perhaps, where NumPy would yield a number."""
    parts = _parts(index)
    return parts if any(p is Ellipsis for p in parts) else (*parts, Ellipsis)


def is_basic(index: Any) -> bool:
    """Whether an index makes a view: integers, slices, None and Ellipsis only."""
    return all(p is None or p is Ellipsis or (isinstance(p, int | slice) and not isinstance(p, bool)) for p in _parts(index))


_slice: Op = Op(
    "slice",
    ["x"],
    infer=_index_infer,
    view=lambda x, index: x[_open(index)],
    vjps={"x": lambda g, index, x_shape: apply(_index_put, g, index=index, shape=x_shape)},
    flops=lambda outs, ins, attrs: 0,
)
_index: Op = Op(
    "index",
    ["x"],
    infer=_index_infer,
    kernel=lambda out, x, index: out.__setitem__(..., x[index]),
    vjps={"x": lambda g, index, x_shape: apply(_index_put, g, index=index, shape=x_shape)},
)
_index_put: Op = Op(
    "index_put",
    ["g"],
    infer=lambda g, index, shape: (shape, g.dtype),
    kernel=_put_kernel,
    adds_up=True,
    vjps={"g": lambda g, index: getitem(g, index)},
)


def spread(g: Tensor, index: Any, shape: tuple[int, ...]) -> Tensor:
    """Zeros of ``shape`` with ``g`` added at ``index``, a place named twice counting twice."""
    return apply(_index_put, g, index=plain_index(index, g), shape=tuple(shape))


def apart(index: Any) -> tuple[Any, Any]:
    """A plain index in two: what makes a view, None where that is nothing, and what lists and masks then name of its dimensions, as in PyTorch.

    NumPy would take an integer for a list too, and put the lists' dimension first where a slice stands between.
    """
    parts = _parts(index)
    if is_basic(index) or not any(isinstance(p, int) and not isinstance(p, bool) for p in parts):
        return None, index
    first: list[Any] = []
    then: list[Any] = []
    for p in parts:
        if hasattr(p, "dtype"):
            first += [slice(None)] * (p.ndim if p.dtype == np.bool_ else 1)
            then.append(p)
        elif isinstance(p, bool):
            then.append(p)
        else:
            first.append(p)
            then += [] if isinstance(p, int) else [p if p is Ellipsis else slice(None)]
    return tuple(first), tuple(then)


def _plain(part: Any) -> Any:
    """An index part as NumPy takes it: integers as ``int``, bytes as the mask that they are in PyTorch."""
    d = getattr(part, "dtype", None)
    if isinstance(d, dtype):
        if d.category > INTEGER or d in (int8, int16):
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        if part.ndim == 0 and d.category == INTEGER and d is not uint8:
            return part.item()
        unseen("elements as an index", part._data)
        part = part._data
    elif isinstance(part, list | range):
        part = np.asarray(part, np.int64 if not len(part) else None)
    elif isinstance(part, np.integer) or (isinstance(part, np.ndarray) and part.ndim == 0 and part.dtype.kind in "iu"):
        return int(part)
    if getattr(part, "dtype", None) == np.uint8:
        warnings.warn("indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead.", stacklevel=4)
        return part.astype(np.bool_)
    return part


def on_device(index: Any, x: Tensor) -> Any:
    """An index array beside ``x``."""
    is_host = isinstance(index, np.ndarray) and not isinstance(x._data, np.ndarray | MetaArray)
    return array_module(x._data).asarray(index) if is_host else index


def _is_like_tuple(index: Any) -> bool:
    """Whether a list stands for a tuple: a short one of more than numbers, as NumPy once had it and PyTorch still has."""
    return (
        isinstance(index, list)
        and len(index) < 32
        and any(p is None or p is Ellipsis or isinstance(p, slice | list | tuple) or hasattr(p, "dtype") for p in index)
    )


def plain_index(index: Any, x: Tensor) -> Any:
    """An index for ``x`` as NumPy takes it; index tensors on the device of ``x``."""
    plain = tuple(_plain(p) for p in index) if isinstance(index, tuple) or _is_like_tuple(index) else _plain(index)
    if isinstance(x._data, np.ndarray | MetaArray):
        return plain
    return tuple(on_device(p, x) for p in plain) if isinstance(plain, tuple) else on_device(plain, x)


def getitem(x: Tensor, index: Any) -> Tensor:
    """``x[index]``: a view for integers and slices, a copy for tensors, lists and masks. Raises IndexError."""
    index = plain_index(index, x)
    parts = _parts(index)
    named = sum(p is not None and p is not Ellipsis and not isinstance(p, bool) for p in parts)
    if x.ndim == 0 and named and not isinstance(parts[0], np.ndarray):
        raise IndexError(
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a 0-dim tensor to a number"
        )
    if named > x.ndim and not any(getattr(p, "dtype", None) == np.bool_ for p in parts):
        raise IndexError(f"too many indices for tensor of dimension {x.ndim}")
    for p in parts:
        if isinstance(p, slice) and p.step is not None and p.step <= 0:
            raise ValueError("step must be greater than zero")
    view, rest = apart(index)
    if view is not None:
        x, index = apply(_slice, x, index=view), rest
    return apply(_slice if is_basic(index) else _index, x, index=index)
