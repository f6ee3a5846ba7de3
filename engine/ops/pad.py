"""Padding and repeating: tensors made larger from their own elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import Array
from engine.dispatch import Op
from engine.dtypes import INTEGER
from engine.graph import apply
from engine.ops.dims import along, sizes, wrap_dim
from engine.ops.index import _index, getitem, on_device
from engine.ops.shape import expand, flatten, reshape

if TYPE_CHECKING:
    from engine.tensor import Tensor

Widths = tuple[tuple[int, int], ...]


def _pad_kernel(out: Array, x: Array, widths: Widths, value: float) -> None:
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


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Pads the last dimensions by ``pad`` = (left, right, top, bottom, ...), last dimension first; negative widths crop.

    ``mode`` is constant, reflect, replicate or circular. Raises NotImplementedError for another, RuntimeError for too wide a pad.
    """
    if len(pad) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(pad) // 2 > input.ndim:
        raise RuntimeError(
            f"Padding length should be less than or equal to two times the input dimension but got padding length {len(pad)} and input of dimension {input.ndim}"
        )
    widths = [(0, 0)] * input.ndim
    for i in range(len(pad) // 2):
        widths[input.ndim - 1 - i] = (int(pad[2 * i]), int(pad[2 * i + 1]))
    for dim, (a, b) in enumerate(widths):
        if input.shape[dim] + a + b < 0:
            raise RuntimeError(
                f"The input size {input.shape[dim]}, plus negative padding {a} and {b} resulted in a negative output size, which is invalid. Check dimension {dim} of your input."
            )
    if mode == "constant":
        return _padded(_cropped(input, widths), widths, value or 0)
    if mode not in _SOURCES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if value is not None:
        raise ValueError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if not (len(pad) // 2 + 1 <= input.ndim <= len(pad) // 2 + 2):
        raise NotImplementedError(
            "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now; "
            f"got {len(pad)} widths for an input of {input.ndim} dimensions"
        )
    if 0 in input.shape[input.ndim - len(pad) // 2 - 1 :]:
        raise RuntimeError(
            f"Expected {input.ndim}D input with possibly 0 batch size and other non-zero dimensions for padding, but got: {list(input.shape)}"
        )
    for dim, (a, b) in enumerate(widths):
        n = input.shape[dim]
        if not (a or b):
            continue
        if (mode == "reflect" and max(a, b) >= n) or (mode == "circular" and max(a, b) > n):
            raise RuntimeError(
                f"Padding size should be less than the corresponding input dimension, but got: padding ({a}, {b}) at dimension {dim} of input {list(input.shape)}"
            )
        if mode != "circular" and n + a + b == 0:
            raise RuntimeError(f"input (size {n} at dimension {dim}) is too small; padding ({a}, {b}) leaves nothing")
    if mode == "circular":
        input, widths = _cropped(input, widths), [(max(a, 0), max(b, 0)) for a, b in widths]
    for dim, (a, b) in enumerate(widths):
        if a or b:
            source = _SOURCES[mode](input.shape[dim], max(a, 0), max(b, 0))[max(-a, 0) :]
            input = apply(_index, input, index=along(dim, on_device(source[: len(source) - max(-b, 0)], input)))
    return input


def _cropped(x: Tensor, widths: Sequence[tuple[int, int]]) -> Tensor:
    if all(a >= 0 and b >= 0 for a, b in widths):
        return x
    return getitem(x, tuple(slice(max(0, -a), n - max(0, -b)) for (a, b), n in zip(widths, x.shape, strict=True)))


def _padded(x: Tensor, widths: Sequence[tuple[int, int]], value: float) -> Tensor:
    return apply(_pad, x, widths=tuple((max(a, 0), max(b, 0)) for a, b in widths), value=value)


def constant_pad_nd(x: Tensor, pad_: Sequence[int], value: float = 0) -> Tensor:
    return pad(x, pad_, "constant", value)


def repeat(x: Tensor, *repeats: Any) -> Tensor:
    """The whole tensor, so many times along each dimension; further dimensions come first."""
    times = sizes(repeats)
    if len(times) < x.ndim:
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    if any(n < 0 for n in times):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(times)}: {list(times)}")
    lead = len(times) - x.ndim
    interleaved = [n for i, k in enumerate(times) for n in ((1,) if i < lead else (1, x.shape[i - lead]))]
    stretched = [n for i, k in enumerate(times) for n in ((k,) if i < lead else (k, x.shape[i - lead]))]
    final = [k if i < lead else k * x.shape[i - lead] for i, k in enumerate(times)]
    return reshape(expand(reshape(x, interleaved), stretched), final)


def tile(input: Tensor, *given: Any, dims: Sequence[int] | None = None) -> Tensor:
    """``repeat``, with ones for the leading dimensions that are not named."""
    times = sizes(given) if dims is None else tuple(dims)
    return repeat(input, (1,) * (input.ndim - len(times)) + times)


def repeat_interleave(input: Tensor, repeats: Any, dim: int | None = None, *, output_size: int | None = None) -> Tensor:
    """Each element so many times in a row, along ``dim`` or in the flattened tensor; ``repeats`` may differ from element to element."""
    if dim is None:
        input, dim = flatten(input), 0
    input = input if input.ndim else reshape(input, 1)
    at = wrap_dim(dim, input.ndim)
    n = input.shape[at]
    if hasattr(repeats, "_data"):
        if repeats.dtype.category != INTEGER:
            raise RuntimeError("repeats has to be Long or Int tensor")
        times = np.asarray(repeats.tolist(), np.int64)
    else:
        times = np.asarray(repeats, np.int64)
    if (times < 0).any():
        raise RuntimeError("repeats can not be negative")
    if times.ndim and times.size not in (1, n):
        raise RuntimeError(
            f"repeats must have the same size as input along dim, but got repeats.size(0) = {times.size} and input.size({at}) = {n}"
        )
    rows = np.repeat(np.arange(n), times if times.ndim == 0 or times.size == n else times[0])
    return apply(_index, input, index=along(at, on_device(rows, input)))


__all__ = ["constant_pad_nd", "repeat_interleave", "tile"]
