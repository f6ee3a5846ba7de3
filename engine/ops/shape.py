"""Ops that rearrange elements: views where memory allows, indexing, joining, padding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import Array, MetaArray, array_module
from engine.dispatch import Op, Spec, broadcast_shapes, count
from engine.dtypes import INTEGER, dtype, result_type
from engine.graph import apply
from engine.ops.elementwise import cast

if TYPE_CHECKING:
    from engine.tensor import Tensor


def wrap_dim(dim: int, ndim: int) -> int:
    """A dimension counted from the front. Raises IndexError outside of [-ndim, ndim - 1]."""
    limit = max(ndim, 1)
    if not -limit <= dim < limit:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-limit}, {limit - 1}], but got {dim})")
    return dim % limit


def sizes(args: tuple[Any, ...]) -> tuple[int, ...]:
    """The sizes given as ``f(2, 3)``, ``f((2, 3))`` or ``f(torch.Size)``."""
    if len(args) == 1 and isinstance(args[0], tuple | list):
        args = tuple(args[0])
    return tuple(int(n) for n in args)


# -- views


def _view_op(name: str, infer: Any, view: Any, vjp: Any) -> Op:
    return Op(name, ["x"], infer=infer, view=view, vjps={"x": vjp}, flops=lambda outs, ins, attrs: 0)


_reshape: Op = _view_op(
    "reshape", lambda x, shape: (shape, x.dtype), lambda x, shape: x.reshape(shape), lambda g, x_shape: reshape(g, x_shape)
)
_permute: Op = _view_op(
    "permute",
    lambda x, dims: (tuple(x.shape[d] for d in dims), x.dtype),
    lambda x, dims: x.transpose(dims),
    lambda g, dims: permute(g, tuple(sorted(range(len(dims)), key=dims.__getitem__))),
)
_expand: Op = _view_op("expand", lambda x, shape: (shape, x.dtype), lambda x, shape: array_module(x).broadcast_to(x, shape), lambda g: g)


def resolve_shape(shape: tuple[int, ...], numel: int) -> tuple[int, ...]:
    """Replaces a -1 by the size that is left. Raises RuntimeError where the elements do not fit."""
    if shape.count(-1) > 1:
        raise RuntimeError("only one dimension can be inferred")
    if any(n < -1 for n in shape):
        raise RuntimeError(f"invalid shape dimension {min(shape)}")
    known = count([n for n in shape if n != -1])
    if -1 in shape:
        if known and numel % known == 0:
            return tuple(numel // known if n == -1 else n for n in shape)
    elif known == numel:
        return shape
    raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")


def reshape(x: Tensor, *shape: Any) -> Tensor:
    """The same elements in another shape: a view where the memory layout allows, else a copy."""
    return apply(_reshape, x, shape=resolve_shape(sizes(shape), x.numel()))


def permute(x: Tensor, *dims: Any) -> Tensor:
    order = tuple(wrap_dim(d, x.ndim) for d in sizes(dims))
    if sorted(order) != list(range(x.ndim)):
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of dimensions i.e. input.dim() = {x.ndim} is not equal to len(dims) = {len(order)}"
        )
    return apply(_permute, x, dims=order)


def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    order = list(range(x.ndim))
    a, b = wrap_dim(dim0, x.ndim), wrap_dim(dim1, x.ndim)
    if x.ndim:
        order[a], order[b] = b, a
    return permute(x, order)


def t(x: Tensor) -> Tensor:
    if x.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {x.ndim}D")
    return transpose(x, 0, 1) if x.ndim == 2 else permute(x, list(range(x.ndim)))


def expand(x: Tensor, *shape: Any) -> Tensor:
    """Stretches dimensions of size 1 without copying; -1 keeps a size."""
    wanted = sizes(shape)
    extra = len(wanted) - x.ndim
    full = tuple(x.shape[i - extra] if n == -1 and i >= extra else n for i, n in enumerate(wanted))
    if extra < 0 or any(n != m and m != 1 for n, m in zip(full[extra:], x.shape, strict=True)):
        raise RuntimeError(f"The expanded size of the tensor {wanted} must match the existing size {tuple(x.shape)}")
    return apply(_expand, x, shape=full)


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Joins the dimensions from ``start_dim`` to ``end_dim`` into one."""
    a, b = wrap_dim(start_dim, x.ndim), wrap_dim(end_dim, x.ndim)
    if a > b:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    return reshape(x, (*x.shape[:a], count(x.shape[a : b + 1]), *x.shape[b + 1 :]))


def unsqueeze(x: Tensor, dim: int) -> Tensor:
    at = wrap_dim(dim, x.ndim + 1)
    return reshape(x, (*x.shape[:at], 1, *x.shape[at:]))


def squeeze(x: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Drops dimensions of size 1: all of them, or those named."""
    dims = range(x.ndim) if dim is None else [wrap_dim(d, x.ndim) for d in ([dim] if isinstance(dim, int) else dim)]
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if n != 1 or i not in dims))


_flip: Op = Op(
    "flip",
    ["x"],
    infer=lambda x, dim: (x.shape, x.dtype),
    kernel=lambda out, x, dim: out.__setitem__(..., array_module(out).flip(x, dim)),
    vjps={"x": lambda g, dim: flip(g, dim)},
)


def flip(x: Tensor, dim: int) -> Tensor:
    """The elements in reverse along ``dim``."""
    return apply(_flip, x, dim=wrap_dim(dim, x.ndim))


# -- indexing


def _index_infer(x: Any, index: Any) -> Spec:
    return np.broadcast_to(np.zeros((), np.int8), x.shape)[index].shape, x.dtype


def _put(out: Array, g: Array, index: Any, shape: tuple[int, ...]) -> None:
    out.fill(0)
    xp = array_module(out)
    if is_basic(index):
        out[index] = g
    elif xp is np:
        np.add.at(out, index, g)
    else:
        xp.add.at(out, index, g)


def _open(index: Any) -> Any:
    """An index that yields an array, of no dimensions perhaps, where NumPy would yield a number."""
    parts = index if isinstance(index, tuple) else (index,)
    return parts if Ellipsis in parts else (*parts, Ellipsis)


def is_basic(index: Any) -> bool:
    """Whether an index makes a view: integers, slices, None and Ellipsis only."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(p is None or p is Ellipsis or (isinstance(p, int | slice) and not isinstance(p, bool)) for p in parts)


_slice: Op = _view_op(
    "slice", _index_infer, lambda x, index: x[_open(index)], lambda g, index, x_shape: apply(_index_put, g, index=index, shape=x_shape)
)
_index: Op = Op(
    "index",
    ["x"],
    infer=_index_infer,
    kernel=lambda out, x, index: out.__setitem__(..., x[index]),
    vjps={"x": lambda g, index, x_shape: apply(_index_put, g, index=index, shape=x_shape)},
)
_index_put: Op = Op(
    "index_put", ["g"], infer=lambda g, index, shape: (shape, g.dtype), kernel=_put, vjps={"g": lambda g, index: getitem(g, index)}
)
_index_set: Op = Op(
    "index_set",
    ["x", "value"],
    infer=lambda x, value, index: (x.shape, x.dtype),
    kernel=lambda out, x, value, index: _set_kernel(out, x, value, index),
    vjps={
        "x": lambda g, index, value_shape: apply(_index_set, g, g.new_zeros(value_shape), index=index),
        "value": lambda g, index: getitem(g, index),
    },
)


def _set_kernel(out: Array, x: Array, value: Array, index: Any) -> None:
    out[...] = x
    out[index] = value


def index_set(x: Tensor, index: Any, value: Tensor) -> Tensor:
    """``x`` with ``value``, broadcast, in place of the elements at ``index``; of an element named twice the last value counts."""
    shape = _index_infer(x._data, index)[0]
    if value.shape != shape and value.numel() == count(shape):
        value = reshape(value, shape)
    return apply(_index_set, x, cast(expand(value, shape), x.dtype), index=index)


def _plain(part: Any) -> Any:
    """An index part as NumPy takes it."""
    d = getattr(part, "dtype", None)
    if isinstance(d, dtype):
        if d.category > INTEGER:
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
        return int(part._data) if part.ndim == 0 and d.category == INTEGER else part._data
    return np.asarray(part) if isinstance(part, list) else part


def plain_index(index: Any, x: Tensor) -> Any:
    """An index for ``x`` as NumPy takes it; index tensors on the device of ``x``."""
    plain = tuple(_plain(p) for p in index) if isinstance(index, tuple) else _plain(index)
    if isinstance(x._data, np.ndarray | MetaArray):
        return plain
    return tuple(_on_device(p, x) for p in plain) if isinstance(plain, tuple) else _on_device(plain, x)


def getitem(x: Tensor, index: Any) -> Tensor:
    """``x[index]``: a view for integers and slices, a copy for tensors, lists and masks. Raises IndexError."""
    index = plain_index(index, x)
    parts = index if isinstance(index, tuple) else (index,)
    named = sum(p is not None and p is not Ellipsis for p in parts)
    if x.ndim == 0 and named and not isinstance(parts[0], bool | np.ndarray):
        raise IndexError(
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a 0-dim tensor to a number"
        )
    if named > x.ndim and not any(getattr(p, "dtype", None) == np.bool_ for p in parts):
        raise IndexError(f"too many indices for tensor of dimension {x.ndim}")
    for p in parts:
        if isinstance(p, slice) and p.step is not None and p.step <= 0:
            raise ValueError("step must be greater than zero")
    return apply(_slice if is_basic(index) else _index, x, index=index)


_gather: Op = Op(
    "gather",
    ["x", "index"],
    infer=lambda x, index, dim: (index.shape, x.dtype),
    kernel=lambda out, x, index, dim: out.__setitem__(
        ...,
        array_module(out).take_along_axis(x[tuple(slice(n) if i != dim else slice(None) for i, n in enumerate(index.shape))], index, dim),
    ),
    vjps={"x": lambda g, index, dim, x_shape: apply(_scatter_add, g, index, dim=dim, shape=x_shape)},
)


def _scatter_add_kernel(out: Array, g: Array, index: Array, dim: int, shape: tuple[int, ...]) -> None:
    xp = array_module(out)
    out.fill(0)
    where = [xp.arange(n).reshape((-1,) + (1,) * (index.ndim - 1 - i)) for i, n in enumerate(index.shape)]
    where[dim] = index
    xp.add.at(out, tuple(where), g)


_scatter_add: Op = Op(
    "scatter_add",
    ["g", "index"],
    infer=lambda g, index, dim, shape: (shape, g.dtype),
    kernel=_scatter_add_kernel,
    vjps={"g": lambda g, index, dim: gather(g, dim, index)},
)


def gather(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """``y[i][j] = x[i][index[i][j]]`` along ``dim``; a tensor of ``index``'s shape. Raises RuntimeError for an index out of range."""
    dim = wrap_dim(dim, x.ndim)
    if index.ndim != x.ndim:
        raise RuntimeError(f"Index tensor must have the same number of dimensions as input tensor, got {index.ndim} and {x.ndim}")
    if (
        isinstance(index._data, np.ndarray)
        and index.numel()
        and not (int(index._data.min()) >= 0 and int(index._data.max()) < x.shape[dim])
    ):
        raise RuntimeError(
            f"index out of range: dimension {dim} has size {x.shape[dim]}, got an index in [{index._data.min()}, {index._data.max()}]"
        )
    return apply(_gather, x, index, dim=dim)


def select(x: Tensor, dim: int, index: int) -> Tensor:
    """A view of what lies at ``index`` of ``dim``, without that dimension. Raises IndexError."""
    at = wrap_dim(dim, x.ndim)
    if x.ndim == 0:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    if not -x.shape[at] <= index < x.shape[at]:
        raise IndexError(f"select(): index {index} out of range for tensor of size {list(x.shape)} at dimension {at}")
    return getitem(x, (slice(None),) * at + (int(index),))


# -- joining and padding


def _cat_infer(*xs: Any, dim: int) -> Spec:
    shape = list(xs[0].shape)
    shape[dim] = sum(x.shape[dim] for x in xs)
    return tuple(shape), xs[0].dtype


def _cat_op(n: int) -> Op:
    """Concatenation of ``n`` tensors: inputs are named, so there is an op per number of them."""

    def part(i: int) -> Any:
        def vjp(g: Any, dim: Any, sections: Any) -> Any:
            start = sum(sections[:i])
            return getitem(g, (slice(None),) * dim + (slice(start, start + sections[i]),))

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
    if not tensors:
        raise RuntimeError("torch.cat(): expected a non-empty list of Tensors")
    tensors = [x for x in tensors if x.shape != (0,)] or list(tensors[:1])
    d = result_type(*tensors)
    dim = wrap_dim(dim, tensors[0].ndim)
    for i, x in enumerate(tensors):
        if x.ndim != tensors[0].ndim or any(n != m for j, (n, m) in enumerate(zip(x.shape, tensors[0].shape, strict=True)) if j != dim):
            raise RuntimeError(
                f"Sizes of tensors must match except in dimension {dim}. Expected {list(tensors[0].shape)} but got {list(x.shape)} for tensor number {i} in the list."
            )
    n = len(tensors)
    if n not in _cats:
        _cats[n] = _cat_op(n)
    return apply(_cats[n], *(cast(x, d) for x in tensors), dim=dim, sections=tuple(x.shape[dim] for x in tensors))


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Joins tensors of one shape along a new dimension."""
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    for i, x in enumerate(tensors):
        if x.shape != tensors[0].shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(tensors[0].shape)} at entry 0 and {list(x.shape)} at entry {i}"
            )
    return cat([unsqueeze(x, dim) for x in tensors], dim)


def split(x: Tensor, size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive pieces of ``size`` elements (the last may be smaller), or of the sizes listed."""
    dim = wrap_dim(dim, x.ndim)
    n = x.shape[dim]
    pieces = [min(size, n - at) for at in range(0, n, size)] if isinstance(size, int) else list(size)
    if sum(pieces) != n:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at dimension {dim}), but got split_sizes={pieces}"
        )
    starts = [sum(pieces[:i]) for i in range(len(pieces))]
    return tuple(getitem(x, (slice(None),) * dim + (slice(a, a + k),)) for a, k in zip(starts, pieces, strict=True))


def chunk(x: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    return split(x, max(1, -(-x.shape[wrap_dim(dim, x.ndim)] // chunks)), dim)


def _pad_kernel(out: Array, x: Array, widths: tuple[tuple[int, int], ...], value: float) -> None:
    out.fill(value)
    out[tuple(slice(a, a + n) for (a, _), n in zip(widths, x.shape, strict=True))] = x


_pad: Op = Op(
    "pad",
    ["x"],
    infer=lambda x, widths, value: (tuple(a + n + b for (a, b), n in zip(widths, x.shape, strict=True)), x.dtype),
    kernel=_pad_kernel,
    vjps={"x": lambda g, widths, x_shape: getitem(g, tuple(slice(a, a + n) for (a, _), n in zip(widths, x_shape, strict=True)))},
)
_SOURCES = {
    "reflect": lambda n, a, b: np.pad(np.arange(n), (a, b), mode="reflect"),
    "replicate": lambda n, a, b: np.pad(np.arange(n), (a, b), mode="edge"),
    "circular": lambda n, a, b: np.pad(np.arange(n), (a, b), mode="wrap"),
}


def pad(x: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Pads the last dimensions by ``pad`` = (left, right, top, bottom, ...), last dimension first; negative widths crop.

    ``mode`` is constant, reflect, replicate or circular. Raises NotImplementedError for another, RuntimeError for too wide a pad.
    """
    if len(pad) % 2 or len(pad) // 2 > x.ndim:
        raise RuntimeError(
            f"Padding length must be divisible by 2 and at most twice the number of dimensions of the input, got {len(pad)} for {x.ndim} dimensions"
        )
    widths = [(0, 0)] * x.ndim
    for i in range(len(pad) // 2):
        widths[x.ndim - 1 - i] = (int(pad[2 * i]), int(pad[2 * i + 1]))
    if mode == "constant":
        crop = tuple(slice(max(0, -a), n - max(0, -b)) for (a, b), n in zip(widths, x.shape, strict=True))
        if any(a < 0 or b < 0 for a, b in widths):
            x = getitem(x, crop)
        return apply(_pad, x, widths=tuple((max(a, 0), max(b, 0)) for a, b in widths), value=value or 0)
    if mode not in _SOURCES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    for dim, (a, b) in enumerate(widths):
        if a or b:
            n = x.shape[dim]
            if (mode == "reflect" and max(a, b) >= n) or (mode == "circular" and max(a, b) > n):
                raise RuntimeError(
                    f"Padding size should be less than the corresponding input dimension, but got: padding ({a}, {b}) at dimension {dim} of input {list(x.shape)}"
                )
            x = apply(_index, x, index=(slice(None),) * dim + (_on_device(_SOURCES[mode](n, a, b), x),))
    return x


def _on_device(index: Any, x: Tensor) -> Any:
    is_host = isinstance(index, np.ndarray) and not isinstance(x._data, np.ndarray | MetaArray)
    return array_module(x._data).asarray(index) if is_host else index


def broadcast_tensors(*tensors: Tensor) -> list[Tensor]:
    shape = broadcast_shapes(*(x.shape for x in tensors))
    return [expand(x, shape) for x in tensors]
