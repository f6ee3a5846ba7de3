"""Views: the same elements in another shape, wherever the memory layout allows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import Array, array_module, as_strided_array
from engine.dispatch import Op, Spec, count, unseen
from engine.dtypes import INTEGER, dtype
from engine.graph import apply
from engine.ops.dims import along, sizes, wrap_dim, wrap_dims
from engine.ops.index import getitem

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _view_op(name: str, infer: Any, view: Any, vjp: Any) -> Op:
    return Op(name, ["x"], infer=infer, view=view, vjps={"x": vjp}, flops=lambda outs, ins, attrs: 0)


def _back(g: Tensor, name: str, x_shape: tuple[int, ...], **attrs: Any) -> Tensor:
    """A view's gradient, back in the places of memory that the view shows."""
    return apply(_unview, g, view_op=name, view_attrs=attrs, shape=x_shape)


# -- reshaping

_reshape: Op = _view_op(
    "reshape", lambda x, shape: (shape, x.dtype), lambda x, shape: x.reshape(shape), lambda g, x_shape: reshape(g, x_shape)
)
_permute: Op = _view_op(
    "permute",
    lambda x, dims: (tuple(x.shape[d] for d in dims), x.dtype),
    lambda x, dims: x.transpose(dims),
    lambda g, dims: permute(g, tuple(sorted(range(len(dims)), key=dims.__getitem__))),
)
_expand: Op = _view_op(
    "expand",
    lambda x, shape: (shape, x.dtype),
    lambda x, shape: x[...] if x.shape == shape else array_module(x).broadcast_to(x, shape),
    lambda g: g,
)


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
        if not known and not numel:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(shape)} because the unspecified dimension size -1 can be any value and is ambiguous"
            )
    elif known == numel:
        return shape
    raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The same elements in another shape: a view where the memory layout allows, else a copy."""
    return apply(_reshape, input, shape=resolve_shape(sizes(shape), input.numel()))


def view(x: Tensor, *shape: Any) -> Tensor:
    """The same elements in another shape, or read as another dtype. Raises RuntimeError where that needs a copy."""
    if len(shape) == 1 and isinstance(shape[0], dtype):
        return _reinterpret(x, shape[0])
    y = reshape(x, *shape)
    if y._base is None and y.numel():
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two contiguous "
            f"subspaces). Use .reshape(...) instead. (size {list(x.shape)}, stride {x.stride()}, asked for {list(y.shape)})"
        )
    return y


def _reinterpret(x: Tensor, d: dtype) -> Tensor:
    if x.ndim == 0 and x.dtype.itemsize != d.itemsize:
        raise RuntimeError(f"self.dim() cannot be 0 to view {x.dtype.legacy_name} as {d.legacy_name} (different element sizes)")
    unseen("another look at the bits of a tensor (view)")
    try:
        y = x._wrap(x._data.view(d.numpy))
    except ValueError as error:
        raise RuntimeError(f"a tensor {list(x.shape)} of {x.dtype.name} cannot be viewed as {d.name}: {error}") from None
    y._version = x._version
    return y


def reshape_as(x: Tensor, other: Tensor) -> Tensor:
    return reshape(x, other.shape)


def view_as(x: Tensor, other: Tensor) -> Tensor:
    return view(x, other.shape)


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Joins the dimensions from ``start_dim`` to ``end_dim`` into one."""
    a, b = wrap_dim(start_dim, input.ndim), wrap_dim(end_dim, input.ndim)
    if a > b:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    return input if a == b and input.ndim else reshape(input, (*input.shape[:a], count(input.shape[a : b + 1]), *input.shape[b + 1 :]))


def ravel(input: Tensor) -> Tensor:
    return reshape(input, -1) if input.numel() else reshape(input, 0)


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Splits one dimension into several; one size may be -1."""
    at = wrap_dim(dim, input.ndim)
    if not len(sizes):
        raise RuntimeError("unflatten: sizes must be non-empty")
    n = input.shape[at]
    try:
        inner = resolve_shape(tuple(sizes), n)
    except RuntimeError:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {at} ({n}) in the input tensor"
        ) from None
    return reshape(input, (*input.shape[:at], *inner, *input.shape[at + 1 :]))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    at = wrap_dim(dim, input.ndim + 1)
    return reshape(input, (*input.shape[:at], 1, *input.shape[at:]))


def squeeze(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:
    """Drops dimensions of size 1: all of them, or those named."""
    dims: Sequence[int] = range(input.ndim) if dim is None else wrap_dims(dim, input.ndim)
    return reshape(input, tuple(n for i, n in enumerate(input.shape) if n != 1 or i not in dims))


# -- order of dimensions


def permute(input: Tensor, *given: Any, dims: Sequence[int] | None = None) -> Tensor:
    """The dimensions in another order."""
    order = sizes(given) if dims is None else tuple(dims)
    if len(order) != input.ndim:
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of dimensions i.e. input.dim() = {input.ndim} is not equal to len(dims) = {len(order)}"
        )
    order = tuple(wrap_dim(d, input.ndim) for d in order)
    if len(set(order)) != len(order):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return apply(_permute, input, dims=order)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    order = list(range(input.ndim))
    a, b = wrap_dim(dim0, input.ndim), wrap_dim(dim1, input.ndim)
    if input.ndim:
        order[a], order[b] = b, a
    return permute(input, order)


def t(input: Tensor) -> Tensor:
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return transpose(input, 0, 1) if input.ndim == 2 else permute(input, list(range(input.ndim)))


def adjoint(input: Tensor) -> Tensor:
    """Matrices transposed, ``(..., n, m)`` to ``(..., m, n)``."""
    if input.ndim == 1:
        raise RuntimeError("tensor.adjoint() is only supported on matrices or batches of matrices. Got 1-D tensor.")
    return transpose(input, -2, -1) if input.ndim else input


def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Dimensions moved to other places; the others keep their order."""
    a, b = ([source] if isinstance(source, int) else source), ([destination] if isinstance(destination, int) else destination)
    if len(a) != len(b):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({a} dims) should contain the same number of dims as destination ({b} dims)"
        )
    try:
        sources, targets = wrap_dims(a, input.ndim), wrap_dims(b, input.ndim)
    except RuntimeError:
        raise RuntimeError(f"movedim: repeated dim in `source` ({a}) or `destination` ({b})") from None
    order = [-1] * input.ndim
    for s, d in zip(sources, targets, strict=True):
        order[d] = s
    rest = iter(d for d in range(input.ndim) if d not in sources)
    return permute(input, [next(rest) if d < 0 else d for d in order])


# -- stretching


def expand(x: Tensor, *shape: Any, implicit: bool = False) -> Tensor:
    """Stretches dimensions of size 1 without copying; -1 keeps a size."""
    wanted = sizes(shape)
    extra = len(wanted) - x.ndim
    if extra < 0:
        raise RuntimeError(
            f"expand({x.dtype.legacy_name}{list(x.shape)}, size={list(wanted)}): the number of sizes provided ({len(wanted)}) must be greater or equal to the number of dimensions in the tensor ({x.ndim})"
        )
    full = tuple(x.shape[i - extra] if n == -1 and i >= extra else n for i, n in enumerate(wanted))
    for i, n in enumerate(full):
        if n < 0:
            raise RuntimeError(f"The expanded size of the tensor ({n}) isn't allowed in a leading, non-existing dimension {i}")
        if i >= extra and n != x.shape[i - extra] != 1:
            raise RuntimeError(
                f"The expanded size of the tensor ({n}) must match the existing size ({x.shape[i - extra]}) at non-singleton dimension {i}.  "
                f"Target sizes: {list(wanted)}.  Tensor sizes: {list(x.shape)}"
            )
    return apply(_expand, x, shape=full)


def expand_as(x: Tensor, other: Tensor) -> Tensor:
    return expand(x, other.shape)


def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    return expand(input, size)


# -- parts


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """A view of what lies at ``index`` of ``dim``, without that dimension. Raises IndexError."""
    if input.ndim == 0:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    at = wrap_dim(dim, input.ndim)
    if not -input.shape[at] <= index < input.shape[at]:
        raise IndexError(f"select(): index {index} out of range for tensor of size {list(input.shape)} at dimension {at}")
    return getitem(input, along(at, int(index)))


def narrow(input: Tensor, dim: int, start: int | Tensor, length: int) -> Tensor:
    """A view of ``length`` elements along ``dim`` from ``start``."""
    if input.ndim == 0:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    at = wrap_dim(dim, input.ndim)
    if not isinstance(start, int) and (start.ndim or start.dtype.category != INTEGER):
        raise RuntimeError("start must be an 0-dim integral Tensor.")
    n, start = input.shape[at], int(start)
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -n <= start <= n:
        raise IndexError(f"start out of range (expected to be in range of [{-n}, {n}], but got {start})")
    first = start + n if start < 0 else start
    if first + length > n:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({n}).")
    return getitem(input, along(at, slice(first, first + length)))


_as_strided: Op = _view_op(
    "as_strided",
    lambda x, size, stride, offset: (size, x.dtype),
    lambda x, size, stride, offset: as_strided_array(x.reshape(-1)[offset:], size, tuple(s * x.itemsize for s in stride)),
    lambda g, x_shape, size, stride, offset: _back(g, "as_strided", x_shape, size=size, stride=stride, offset=offset),
)


def as_strided(input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Tensor:
    """A view of ``input``'s memory with sizes, strides and a start of one's own, in elements."""
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(s < 0 for s in stride):
        raise RuntimeError(f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}")
    whole = input if input._base is None else input._base
    offset = input.storage_offset() if storage_offset is None else storage_offset
    if not whole.is_contiguous():
        raise NotImplementedError("as_strided of memory that is not contiguous")
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if count(size) and last >= whole.numel():
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize {input.element_size()} requiring a "
            f"storage size of {(last + 1) * input.element_size()} are out of bounds for storage of size {whole.nbytes}"
        )
    return apply(_as_strided, whole, size=tuple(size), stride=tuple(stride), offset=offset)


def _diagonal_view(x: Array, offset: int, dim1: int, dim2: int) -> Array:
    y = x.diagonal(offset, dim1, dim2)
    if isinstance(y, np.ndarray) and x.flags.writeable:  # NumPy protects the diagonal against writing
        y.flags.writeable = True
    return y


def _diagonal_infer(x: Any, offset: int, dim1: int, dim2: int) -> Spec:
    n, m = x.shape[dim1], x.shape[dim2]
    length = max(0, min(n + min(offset, 0), m - max(offset, 0)))
    return (*(k for i, k in enumerate(x.shape) if i not in (dim1, dim2)), length), x.dtype


_diagonal: Op = _view_op(
    "diagonal",
    _diagonal_infer,
    _diagonal_view,
    lambda g, x_shape, offset, dim1, dim2: _back(g, "diagonal", x_shape, offset=offset, dim1=dim1, dim2=dim2),
)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A view of the diagonal of two dimensions, which becomes the last dimension."""
    a, b = wrap_dim(dim1, input.ndim), wrap_dim(dim2, input.ndim)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return apply(_diagonal, input, offset=offset, dim1=a, dim2=b)


def _unfold_infer(x: Any, dim: int, size: int, step: int) -> Spec:
    windows = (x.shape[dim] - size) // step + 1
    return (*x.shape[:dim], windows, *x.shape[dim + 1 :], size), x.dtype


def _unfold_view(x: Array, dim: int, size: int, step: int) -> Array:
    strides = (*x.strides[:dim], x.strides[dim] * step, *x.strides[dim + 1 :], x.strides[dim])
    return as_strided_array(x, _unfold_infer(x, dim, size, step)[0], strides)


_unfold: Op = _view_op(
    "unfold", _unfold_infer, _unfold_view, lambda g, x_shape, dim, size, step: _back(g, "unfold", x_shape, dim=dim, size=size, step=step)
)


def unfold(x: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """A view of all windows of ``size`` elements along a dimension, ``step`` apart; the windows become the last dimension."""
    at = wrap_dim(dimension, x.ndim)
    n = x.shape[at] if x.ndim else 1
    if size < 0 or size > n:
        raise RuntimeError(f"maximum size for tensor at dimension {at} is {n} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    return apply(_unfold, x, dim=at, size=size, step=step) if x.ndim else reshape(x, 1)[:size]


def _unview_kernel(out: Array, g: Array, view_op: str, view_attrs: dict[str, Any], shape: tuple[int, ...]) -> None:
    from_view = _VIEWS[view_op].view
    assert from_view is not None
    xp = array_module(out)
    out.fill(0)
    xp.add.at(out.reshape(-1), from_view(xp.arange(out.size).reshape(shape), **view_attrs), g)


_unview: Op = Op(
    "unview",
    ["g"],
    infer=lambda g, view_op, view_attrs, shape: (shape, g.dtype),
    kernel=_unview_kernel,
    vjps={"g": lambda g, view_op, view_attrs: apply(_VIEWS[view_op], g, **view_attrs)},
)
_VIEWS: dict[str, Op] = {op.name: op for op in (_as_strided, _diagonal, _unfold)}
"""The views whose gradient ``unview`` sends back."""

__all__ = [
    "adjoint", "as_strided", "broadcast_to", "diagonal", "flatten", "movedim", "narrow", "permute", "ravel", "reshape", "select", "squeeze", "t",
    "transpose", "unflatten", "unsqueeze",
]  # fmt: skip
