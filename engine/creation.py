"""Functions that make tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from engine import dtypes
from engine.backend import array_module, full, resolve, transfer
from engine.backend.device import get_default_device
from engine.dispatch import constant
from engine.dtypes import dtype as DType
from engine.ops import random
from engine.ops.dims import sizes
from engine.ops.random import Generator
from engine.tensor import Tensor, as_array


def tensor(data: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False) -> Tensor:
    """A copy of numbers, nested lists, an array or a tensor. Raises TypeError for a type PyTorch does not have."""
    where = get_default_device() if device is None and not isinstance(data, Tensor) else device
    found = as_array(data, None if dtype is None else dtypes.named(dtype), where)
    return Tensor._wrap(constant(found)).requires_grad_(requires_grad)


def as_tensor(data: Any, dtype: DType | None = None, device: Any = None) -> Tensor:
    """Like ``tensor``, sharing memory where dtype and device allow."""
    if isinstance(data, Tensor):
        return data.to(dtype=dtype, device=device)
    if isinstance(data, np.ndarray):
        return from_numpy(data).to(dtype=dtype, device=device)
    return tensor(data, dtype=dtype, device=device)


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor that shares the array's memory."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    return Tensor._wrap(array)


def from_dlpack(source: Any) -> Tensor:
    """A tensor that shares the memory of another library's array, on the CPU or a GPU."""
    on_cpu = source.__dlpack_device__()[0] in (1, 3, 11)
    return Tensor._wrap(np.from_dlpack(source) if on_cpu else array_module(source).from_dlpack(source))


def _filled(
    shape: tuple[int, ...], value: Any, d: DType | None = None, device: Any = None, requires_grad: bool = False, layout: Any = None, pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:  # fmt: skip
    if any(n < 0 for n in shape):
        raise RuntimeError(f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    found = full(shape, value, dtypes.named(d or dtypes.get_default_dtype()).numpy, resolve(device))
    return Tensor._wrap(constant(found)).requires_grad_(requires_grad)


def zeros(*size: Any, dtype: DType | None = None, **options: Any) -> Tensor:
    return _filled(_size(size, options), 0, dtype, **options)


def ones(*size: Any, dtype: DType | None = None, **options: Any) -> Tensor:
    return _filled(_size(size, options), 1, dtype, **options)


def empty(*size: Any, dtype: DType | None = None, **options: Any) -> Tensor:
    """A tensor of zeros: what is left in memory is never shown."""
    return _filled(_size(size, options), 0, dtype, **options)


def _size(size: tuple[Any, ...], options: dict[str, Any]) -> tuple[int, ...]:
    return sizes((options.pop("size"),)) if "size" in options else sizes(size)


def full_(size: Any, fill_value: Any, *, dtype: DType | None = None, **options: Any) -> Tensor:
    """A tensor of ``fill_value``, in its type unless ``dtype`` is given."""
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    return _filled(sizes((size,)), value, dtype or dtypes.of_scalar(value), **options)


def empty_strided(size: Any, stride: Any, *, dtype: DType | None = None, **options: Any) -> Tensor:
    """Zeros laid out in memory by strides, in elements."""
    return zeros(0, dtype=dtype, **options).new_empty_strided(size, stride, requires_grad=False)


def scalar_tensor(value: Any, *, dtype: DType | None = None, **options: Any) -> Tensor:
    """A tensor of no dimensions, of the default float dtype unless told otherwise."""
    return _filled((), value, dtype, **options)


def _like(x: Tensor, value: Any, memory_format: Any = None, pin_memory: bool = False, **options: Any) -> Tensor:
    return x.new_full(x.shape, value, **options)


def zeros_like(input: Tensor, **options: Any) -> Tensor:
    return _like(input, 0, **options)


def ones_like(input: Tensor, **options: Any) -> Tensor:
    return _like(input, 1, **options)


def full_like(input: Tensor, fill_value: Any, **options: Any) -> Tensor:
    return _like(input, fill_value, **options)


def empty_like(input: Tensor, **options: Any) -> Tensor:
    return _like(input, 0, **options)


def _from_host(
    array: Any, d: DType, device: Any = None, requires_grad: bool = False, layout: Any = None, pin_memory: bool = False
) -> Tensor:
    return Tensor._wrap(constant(transfer(np.asarray(array).astype(d.numpy), resolve(device)))).requires_grad_(requires_grad)


def _number(value: Any) -> Any:
    if isinstance(value, Tensor):
        if value.ndim:
            raise RuntimeError(f"expected a number or a tensor of no dimensions, got one of size {list(value.shape)}")
        return value.item()
    return value


def arange(start: Any, end: Any = None, step: Any = 1, *, dtype: DType | None = None, **options: Any) -> Tensor:
    """``start, start + step, ...`` up to but not including ``end``; int64 for integers."""
    start, end, step = (_number(v) for v in ((0, start, step) if end is None else (start, end, step)))
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not all(math.isfinite(v) for v in (start, end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (end - start) / step < 0:
        raise RuntimeError(f"upper bound and lower bound inconsistent with step sign (start={start}, end={end}, step={step})")
    d = dtype or dtypes.result_type(start, end, step)
    if d.category == dtypes.INTEGER:  # the ends are cut to integers first, as PyTorch does
        start, end, step = int(start), int(end), int(step)
    return _from_host(start + np.arange(math.ceil((end - start) / step)) * step, d, **options)


def range_(start: Any, end: Any, step: Any = 1, *, dtype: DType | None = None, **options: Any) -> Tensor:
    """``start, start + step, ...`` up to and including ``end``."""
    return _from_host(start + np.arange(math.floor((end - start) / step) + 1) * step, dtype or dtypes.get_default_dtype(), **options)


def _points(start: Any, end: Any, steps: int, d: DType) -> Any:
    """Evenly spaced from both ends towards the middle, integers in integer steps, as PyTorch does."""
    if not isinstance(steps, int):
        raise TypeError(f"steps must be an integer, got {steps!r}")
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    if d.category == dtypes.INTEGER:
        start, end = int(start), int(end)
    step = (end - start) / (steps - 1) if steps > 1 else 0.0
    if d.numpy == np.float32:
        step = np.float32(step)
    k: Any = np.arange(steps)
    half = k < steps // 2 if steps > 1 else k < 1
    wide = np.float32 if isinstance(step, np.float32) else np.float64
    return np.where(half, wide(start) + step * k.astype(wide), wide(end) - step * (steps - 1 - k).astype(wide))


def linspace(start: Any, end: Any, steps: int, *, dtype: DType | None = None, **options: Any) -> Tensor:
    """``steps`` numbers from ``start`` to ``end``, both included."""
    d = dtype or dtypes.get_default_dtype()
    return _from_host(_points(_number(start), _number(end), steps, d), d, **options)


def logspace(start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: DType | None = None, **options: Any) -> Tensor:
    """Powers of ``base`` whose exponents go evenly from ``start`` to ``end``."""
    d = dtype or dtypes.get_default_dtype()
    return _from_host(np.power(float(base), _points(_number(start), _number(end), steps, d).astype(np.float64)), d, **options)


def eye(n: int, m: int | None = None, *, dtype: DType | None = None, **options: Any) -> Tensor:
    """Ones on the diagonal of an ``(n, m)`` matrix."""
    for name, size in (("n", n), ("m", m)):
        if size is not None and size < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {size}")
    return _from_host(np.eye(n, m), dtype or dtypes.get_default_dtype(), **options)


def _triangle_indices(name: str) -> Callable[..., Tensor]:
    def indices(row: int, col: int, offset: int = 0, *, dtype: DType = dtypes.int64, **options: Any) -> Tensor:
        for what, n in (("row", row), ("col", col)):
            if n < 0:
                raise RuntimeError(f"{what} must be non-negative, got{n}")
        if dtype not in (dtypes.int32, dtypes.int64):
            raise RuntimeError(f"\"{name}\" not implemented for '{dtype.legacy_name}'")
        return _from_host(np.stack(getattr(np, name)(row, offset, col)), dtype, **options)

    indices.__name__ = indices.__qualname__ = name
    indices.__doc__ = "The rows and columns ``(2, n)`` of a triangle's elements."
    return indices


tril_indices, triu_indices = _triangle_indices("tril_indices"), _triangle_indices("triu_indices")


# -- random numbers


def _drawn(fill: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def draw(*size: Any, generator: Generator | None = None, requires_grad: bool = False, **options: Any) -> Tensor:
        return fill(zeros(*size, **options), generator).requires_grad_(requires_grad)

    return draw


rand = _drawn(random.uniform_like)
randn = _drawn(random.normal_like)


def _drawn_like(fill: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def draw(x: Tensor, *, requires_grad: bool = False, generator: Generator | None = None, **options: Any) -> Tensor:
        return fill(zeros_like(x, **options), generator).requires_grad_(requires_grad)

    return draw


rand_like, randn_like = _drawn_like(random.uniform_like), _drawn_like(random.normal_like)


def normal(
    mean: Any, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, requires_grad: bool = False, **options: Any
) -> Tensor:
    """Normal numbers of the given mean and standard deviation, each a number or a tensor."""
    lowest = std if not isinstance(std, Tensor) else std.min().item() if std.numel() else 0
    if lowest < 0:
        raise RuntimeError(f"normal expects all elements of std >= 0.0, but found std {lowest}")
    if size is not None:
        shaped = zeros(size, **options)
    elif isinstance(mean, Tensor) or isinstance(std, Tensor):
        shaped = zeros_like((mean + std).detach())
    else:
        raise TypeError("normal() needs a size where mean and std are numbers")
    return (random.normal_like(shaped, generator) * std + mean).detach().requires_grad_(requires_grad)


def randint(
    low: int, high: Any = None, size: Any = None, *, generator: Generator | None = None, dtype: DType = dtypes.int64, **options: Any
) -> Tensor:
    """Integers from ``low`` (0 if left out) up to but not including ``high``."""
    if size is None:
        low, high, size = (0, low, high) if high is not None else (0, low, options.pop("size"))
    return random.randint_like(zeros(size, dtype=dtype, **options), low, high, generator)


def randint_like(input: Tensor, low: Any, high: Any = None, *, generator: Generator | None = None, **options: Any) -> Tensor:
    """Integers from ``low`` (0 if left out) up to but not including ``high``, in the shape of ``input``."""
    low, high = (0, low) if high is None else (low, high)
    return random.randint_like(zeros_like(input, **options), int(low), int(high), generator)


def randperm(n: int, *, generator: Generator | None = None, dtype: DType = dtypes.int64, **options: Any) -> Tensor:
    """A random order of the integers below ``n``."""
    return _from_host(random.permutation(n, generator), dtype, **options)
