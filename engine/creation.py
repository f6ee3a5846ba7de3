"""Functions that make tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from engine import dtypes
from engine.backend import array_module, full, resolve, transfer
from engine.dtypes import dtype as DType
from engine.ops import random
from engine.ops.random import Generator
from engine.ops.shape import sizes
from engine.tensor import Tensor, as_array


def tensor(data: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False) -> Tensor:
    """A copy of numbers, nested lists, an array or a tensor. Raises TypeError for a type PyTorch does not have."""
    return Tensor._wrap(as_array(data, dtype, device)).requires_grad_(requires_grad)


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


def _filled(shape: tuple[int, ...], value: Any, d: DType | None, device: Any, requires_grad: bool) -> Tensor:
    return Tensor._wrap(full(shape, value, (d or dtypes.get_default_dtype()).numpy, resolve(device))).requires_grad_(requires_grad)


def zeros(*size: Any, dtype: DType | None = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    return _filled(sizes(size), 0, dtype, device, requires_grad)


def ones(*size: Any, dtype: DType | None = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    return _filled(sizes(size), 1, dtype, device, requires_grad)


def empty(*size: Any, dtype: DType | None = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros: what is left in memory is never shown."""
    return _filled(sizes(size), 0, dtype, device, requires_grad)


def full_(size: Any, fill_value: Any, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ``fill_value``, in its type unless ``dtype`` is given."""
    return _filled(sizes((size,)), fill_value, dtype or dtypes.of_scalar(fill_value), device, requires_grad)


def zeros_like(x: Tensor, *, dtype: DType | None = None) -> Tensor:
    return x.new_full(x.shape, 0, dtype)


def ones_like(x: Tensor, *, dtype: DType | None = None) -> Tensor:
    return x.new_full(x.shape, 1, dtype)


def full_like(x: Tensor, fill_value: Any, *, dtype: DType | None = None) -> Tensor:
    return x.new_full(x.shape, fill_value, dtype)


def empty_like(x: Tensor, *, dtype: DType | None = None) -> Tensor:
    return zeros_like(x, dtype=dtype)


def _from_host(array: Any, d: DType, device: Any, requires_grad: bool) -> Tensor:
    return Tensor._wrap(transfer(np.asarray(array, d.numpy), resolve(device))).requires_grad_(requires_grad)


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """``start, start + step, ...`` up to but not including ``end``; int64 for integers."""
    if end is None:
        start, end = 0, start
    if step == 0 or (end - start) / step < 0:
        raise RuntimeError(f"upper bound and lower bound inconsistent with step sign (start={start}, end={end}, step={step})")
    d = dtype or dtypes.result_type(start, end, step)
    return _from_host(start + np.arange(math.ceil((end - start) / step)) * step, d, device, requires_grad)


def linspace(
    start: float, end: float, steps: int, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """``steps`` numbers from ``start`` to ``end``, both included."""
    return _from_host(np.linspace(start, end, steps), dtype or dtypes.get_default_dtype(), device, requires_grad)


def eye(n: int, m: int | None = None, *, dtype: DType | None = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    return _from_host(np.eye(n, m), dtype or dtypes.get_default_dtype(), device, requires_grad)


def _drawn(fill: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def draw(
        *size: Any, generator: Generator | None = None, dtype: DType | None = None, device: Any = None, requires_grad: bool = False
    ) -> Tensor:
        return fill(zeros(*size, dtype=dtype, device=device), generator).requires_grad_(requires_grad)

    return draw


rand = _drawn(random.uniform_like)
randn = _drawn(random.normal_like)


def rand_like(x: Tensor, *, dtype: DType | None = None) -> Tensor:
    return random.uniform_like(zeros_like(x, dtype=dtype))


def randn_like(x: Tensor, *, dtype: DType | None = None) -> Tensor:
    return random.normal_like(zeros_like(x, dtype=dtype))


def normal(mean: Any, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None) -> Tensor:
    """Normal numbers of the given mean and standard deviation, each a number or a tensor."""
    shaped = mean if isinstance(mean, Tensor) else std if isinstance(std, Tensor) else zeros(size)
    return random.normal_like(shaped, generator) * std + mean


def randint(
    low: int, high: Any = None, size: Any = None, *, generator: Generator | None = None, dtype: DType = dtypes.int64, device: Any = None
) -> Tensor:
    """Integers from ``low`` (0 if left out) up to but not including ``high``."""
    if size is None:
        low, high, size = 0, low, high
    return random.randint_like(zeros(size, dtype=dtype, device=device), low, high, generator)


def randperm(n: int, *, generator: Generator | None = None, dtype: DType = dtypes.int64, device: Any = None) -> Tensor:
    """A random order of the integers below ``n``."""
    return _from_host(random.permutation(n, generator), dtype, device, False)
