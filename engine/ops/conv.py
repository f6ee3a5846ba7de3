"""Convolution over any number of spatial dimensions, as one matrix product a group over unfolded windows (im2col).

Forward, data gradient and weight gradient are three ops that are each other's derivatives, so the set is closed under
differentiation; the data gradient is also the transposed convolution. Source: Chellapilla et al., "High performance convolutional
neural networks for document processing", 2006.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from engine.backend import Array, array_module, as_strided_array
from engine.dispatch import Op, Spec, count
from engine.graph import apply
from engine.ops.index import getitem
from engine.ops.reduce import sum as sum_

if TYPE_CHECKING:
    from engine.tensor import Tensor

Ints = tuple[int, ...]


def output_size(n: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """``floor((n + 2 padding - dilation (kernel - 1) - 1) / stride + 1)``."""
    return (n + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _pad(x: Array, padding: Ints) -> Array:
    if not any(padding):
        return x
    xp = array_module(x)
    out = xp.zeros((*x.shape[:2], *(n + 2 * p for n, p in zip(x.shape[2:], padding, strict=True))), x.dtype)
    out[(slice(None), slice(None), *(slice(p, p + n) for n, p in zip(x.shape[2:], padding, strict=True)))] = x
    return out


def _columns(x: Array, kernel: Ints, out: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int) -> Array:
    """The window under each output position as a column: ``(groups, C/groups * prod(kernel), N * prod(out))``."""
    x = _pad(x, padding)
    n, c = x.shape[:2]
    spatial = x.strides[2:]
    shape = (groups, c // groups, *kernel, n, *out)
    strides = (
        x.strides[1] * (c // groups), x.strides[1], *(s * d for s, d in zip(spatial, dilation, strict=True)),
        x.strides[0], *(s * t for s, t in zip(spatial, stride, strict=True)),
    )  # fmt: skip
    return as_strided_array(x, shape, strides).reshape(groups, c // groups * count(kernel), n * count(out))


def _rows(g: Array, groups: int) -> Array:
    """Output gradients ``(N, O, *out)`` as ``(groups, O/groups, N * prod(out))``."""
    n, o = g.shape[:2]
    places = count(g.shape[2:])
    return g.reshape(n, groups, o // groups, places).transpose(1, 2, 0, 3).reshape(groups, o // groups, n * places)


def _conv_kernel(out: Array, x: Array, w: Array, b: Array = None, *, stride: Ints, padding: Ints, dilation: Ints, groups: int) -> None:
    n, o = out.shape[:2]
    columns = _columns(x, w.shape[2:], out.shape[2:], stride, padding, dilation, groups)
    product = array_module(out).matmul(w.reshape(groups, o // groups, count(w.shape[1:])), columns)
    out[...] = product.reshape(groups, o // groups, n, *out.shape[2:]).swapaxes(1, 2).swapaxes(0, 1).reshape(out.shape)
    if b is not None:
        out += b.reshape(-1, *(1,) * (out.ndim - 2))


def _data_kernel(out: Array, g: Array, w: Array, stride: Ints, padding: Ints, dilation: Ints, groups: int, size: Ints) -> None:
    """The gradient of the input: the columns' gradient, each window added back to where it was taken (col2im)."""
    xp = array_module(out)
    n, c = out.shape[:2]
    kernel = w.shape[2:]
    weight = w.reshape(groups, w.shape[0] // groups, count(w.shape[1:])).swapaxes(1, 2)
    columns = xp.matmul(weight, _rows(g, groups)).reshape(groups, c // groups, *kernel, n, *g.shape[2:])
    padded = xp.zeros((n, c, *(s + 2 * p for s, p in zip(size, padding, strict=True))), out.dtype)
    target = padded.reshape(n, groups, c // groups, *padded.shape[2:])
    everywhere = (slice(None),) * 3
    for at in itertools.product(*map(range, kernel)):
        window = tuple(slice(a * d, a * d + s * (m - 1) + 1, s) for a, d, s, m in zip(at, dilation, stride, g.shape[2:], strict=True))
        part = columns[(slice(None), slice(None), *at)]
        target[everywhere + window] += xp.moveaxis(part, 2, 0)
    out[...] = padded[(slice(None), slice(None), *(slice(p, p + s) for p, s in zip(padding, size, strict=True)))]


def _weight_kernel(out: Array, x: Array, g: Array, stride: Ints, padding: Ints, dilation: Ints, groups: int, kernel: Ints) -> None:
    columns = _columns(x, kernel, g.shape[2:], stride, padding, dilation, groups)
    out[...] = array_module(out).matmul(_rows(g, groups), columns.swapaxes(1, 2)).reshape(out.shape)


def _conv_infer(x: Any, w: Any, b: Any = None, *, stride: Ints, padding: Ints, dilation: Ints, groups: int) -> Spec:
    out = tuple(map(output_size, x.shape[2:], w.shape[2:], stride, padding, dilation))
    return (x.shape[0], w.shape[0], *out), x.dtype


_conv: Op = Op(
    "conv",
    ["x", "w", "b"],
    infer=_conv_infer,
    kernel=_conv_kernel,
    adds_up=True,
    vjps={
        "x": lambda g, w, x_shape, stride, padding, dilation, groups: conv_data(g, w, stride, padding, dilation, groups, x_shape[2:]),
        "w": lambda g, x, w_shape, stride, padding, dilation, groups: conv_weight(x, g, stride, padding, dilation, groups, w_shape[2:]),
        "b": lambda g: sum_(g, (0, *range(2, g.ndim))),
    },
    flops=lambda outs, ins, attrs: 2 * outs[0].size * count(ins[1].shape[1:]) + outs[0].size * (len(ins) > 2),
)
_conv_data: Op = Op(
    "conv_data",
    ["g", "w"],
    infer=lambda g, w, stride, padding, dilation, groups, size: ((g.shape[0], w.shape[1] * groups, *size), g.dtype),
    kernel=_data_kernel,
    adds_up=True,
    vjps={
        "g": lambda v, w, g_shape, stride, padding, dilation, groups: _cut(conv(v, w, stride, padding, dilation, groups), g_shape),
        "w": lambda v, g, w_shape, stride, padding, dilation, groups: conv_weight(v, g, stride, padding, dilation, groups, w_shape[2:]),
    },
    flops=lambda outs, ins, attrs: 2 * ins[0].size * count(ins[1].shape[1:]),
)
_conv_weight: Op = Op(
    "conv_weight",
    ["x", "g"],
    infer=lambda x, g, stride, padding, dilation, groups, kernel: ((g.shape[1], x.shape[1] // groups, *kernel), x.dtype),
    kernel=_weight_kernel,
    adds_up=True,
    vjps={
        "x": lambda v, g, x_shape, stride, padding, dilation, groups: conv_data(g, v, stride, padding, dilation, groups, x_shape[2:]),
        "g": lambda v, x, g_shape, stride, padding, dilation, groups: _cut(conv(x, v, stride, padding, dilation, groups), g_shape),
    },
    flops=lambda outs, ins, attrs: 2 * ins[1].size * count(outs[0].shape[1:]),
)


def _cut(y: Tensor, shape: Ints) -> Tensor:
    """A transposed convolution's output padding may leave room for a window more than it was made from."""
    return y if y.shape == shape else getitem(y, tuple(slice(n) for n in shape))


def conv(x: Tensor, w: Tensor, stride: Ints, padding: Ints, dilation: Ints, groups: int, b: Tensor | None = None) -> Tensor:
    """Cross-correlation of ``(N, C, *size)`` with ``(O, C/groups, *kernel)`` to ``(N, O, *out)``, plus ``b (O)``; arguments checked by the caller."""
    return apply(_conv, x, w, *(() if b is None else (b,)), stride=stride, padding=padding, dilation=dilation, groups=groups)


def conv_data(g: Tensor, w: Tensor, stride: Ints, padding: Ints, dilation: Ints, groups: int, size: Ints) -> Tensor:
    """The gradient of ``conv`` with respect to an input of spatial ``size``."""
    return apply(_conv_data, g, w, stride=stride, padding=padding, dilation=dilation, groups=groups, size=tuple(size))


def conv_weight(x: Tensor, g: Tensor, stride: Ints, padding: Ints, dilation: Ints, groups: int, kernel: Ints) -> Tensor:
    """The gradient of ``conv`` with respect to a weight of spatial size ``kernel``."""
    return apply(_conv_weight, x, g, stride=stride, padding=padding, dilation=dilation, groups=groups, kernel=tuple(kernel))
