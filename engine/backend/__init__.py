"""The only door to NumPy and CuPy: which module computes on an array, and how one is made or moved.

Nothing else in the package imports CuPy, and it is imported only once a CUDA device is asked for.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import math
import threading
from typing import Any

import numpy as np

from engine.backend import special
from engine.backend.device import CPU, META, device, get_default_device
from engine.backend.memory import aligned, available_memory, keep_freed_memory
from engine.backend.meta import MetaArray

Array = Any
"""A ``numpy.ndarray``, a ``cupy.ndarray`` or a MetaArray."""

keep_freed_memory()

_NUMPY = np.ndarray, np.generic


@functools.cache
def cupy() -> Any:
    """The CuPy module. Raises RuntimeError, saying what is missing, where it cannot be used."""
    try:
        return importlib.import_module("cupy")
    except ImportError as error:
        raise RuntimeError(f"device 'cuda' needs CuPy, which is not installed: pip install 'epochline[cuda]' ({error})") from None


@functools.cache
def cuda_device_count() -> int:
    """How many CUDA devices there are; 0 without CuPy or a driver."""
    try:
        return int(cupy().cuda.runtime.getDeviceCount())
    except Exception:  # CuPy raises its own error types, which cannot be named without importing it
        return 0


def array_module(x: Array) -> Any:
    """``numpy`` or ``cupy``, whichever computes on ``x``."""
    return np if type(x) is np.ndarray or isinstance(x, _NUMPY) else cupy()


def special_module(x: Array) -> Any:
    """What computes special functions on ``x``: imported when one is first computed."""
    return special.on_cpu() if isinstance(x, _NUMPY) else importlib.import_module("cupyx.scipy.special")


def is_scalar(x: Any) -> bool:
    """Whether an operand is a number, not an array: it may meet arrays of any device."""
    return isinstance(x, np.generic | bool | int | float)


class _Hushed(threading.local):
    """Whether this thread is inside of ``quietly``, and need not be hushed for each operation."""

    inside = False


hushed = _Hushed()


try:  # what np.errstate comes to, in a tenth of its time
    from numpy._core.umath import _extobj_contextvar, _make_extobj
except ImportError:

    def hush() -> Any:
        """From here on, overflow and division by zero give inf and NaN without a warning, as in PyTorch; ``unhush`` takes what this returns."""
        return np.seterr(all="ignore")

    def unhush(before: Any) -> None:
        np.seterr(**before)
else:
    hush = functools.partial(_extobj_contextvar.set, _make_extobj(all="ignore"))
    unhush = _extobj_contextvar.reset  # type: ignore[assignment]  # takes what set returned


class quietly:  # noqa: N801 - read as a statement
    """Overflow and division by zero give inf and NaN without a warning, as in PyTorch."""

    def __enter__(self) -> None:
        self._inside, hushed.inside = hushed.inside, True
        self._before = hush()

    def __exit__(self, *exc: Any) -> None:
        unhush(self._before)
        hushed.inside = self._inside


def device_of(x: Array) -> device:
    if isinstance(x, np.ndarray):
        return CPU
    if isinstance(x, MetaArray):
        return META
    return device("cuda", int(x.device.id))


def resolve(where: str | device | int | None) -> device:
    """The device meant by a user's argument, ``cuda`` being ``cuda:0``. Raises RuntimeError where it does not exist."""
    found = get_default_device() if where is None else device(where)
    if found is CPU:
        return CPU
    if found.type != "cuda":
        return device(found.type)
    index = found.index or 0
    count = cuda_device_count()
    if index >= count:
        cupy()
        raise RuntimeError(f"device 'cuda:{index}' was asked for, but this machine has {count} CUDA device(s)")
    return device("cuda", index)


def on(where: device) -> contextlib.AbstractContextManager[Any]:
    """Allocations inside go to ``where``."""
    return cupy().cuda.Device(where.index) if where.type == "cuda" else contextlib.nullcontext()


def empty(shape: tuple[int, ...], dtype: Any, where: device) -> Array:
    if where is CPU or where.type == "cpu":
        return aligned(np.empty, shape, dtype) if shape else np.empty(shape, dtype)
    if where.type == "meta":
        return MetaArray(shape, dtype)
    with on(where):
        return cupy().empty(shape, dtype)


def full(shape: tuple[int, ...], value: Any, dtype: Any, where: device) -> Array:
    if where is CPU and isinstance(value, int | float) and value == 0 and math.copysign(1, value) == 1:
        return aligned(np.zeros, shape, dtype)  # memory that the system has cleared
    out = empty(shape, dtype, where)
    if not isinstance(out, MetaArray):
        out.fill(value)
    return out


def copied(x: Array, dtype: Any) -> Array:
    """A copy of ``x`` in ``dtype``."""
    if isinstance(x, MetaArray):
        return MetaArray(x.shape, dtype)
    if type(x) is not np.ndarray or not x.flags.c_contiguous:
        return x.astype(dtype)
    out = empty(x.shape, dtype, CPU)
    np.copyto(out, x, "unsafe")
    return out


def transfer(x: Array, where: device) -> Array:
    """A copy of ``x`` on another device; ``x`` itself if it is there."""
    here = device_of(x)
    if here == where:
        return x
    if where.type == "meta":
        return MetaArray(x.shape, x.dtype)
    if here.type == "meta":
        raise NotImplementedError("Cannot copy out of meta tensor; no data!")
    if where.type == "cpu":
        return cupy().asnumpy(x)
    with on(where):
        return cupy().asarray(x)


def pinned(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A copy in page-locked memory, from which a GPU copies without the processor; ``x`` itself where there is no GPU."""
    if not cuda_device_count():
        return x
    memory = cupy().cuda.alloc_pinned_memory(max(x.nbytes, 1))
    copy = np.frombuffer(memory, x.dtype, x.size).reshape(x.shape)
    copy[...] = x
    return copy


def shares_memory(a: Array, b: Array) -> bool:
    """Whether writing to one array could be seen in the other; of arrays without elements, always."""
    if type(a) is type(b) is np.ndarray:
        return np.may_share_memory(a, b)
    if isinstance(a, MetaArray) or isinstance(b, MetaArray):
        return True
    return type(a) is type(b) and bool(array_module(a).may_share_memory(a, b))


def is_writeable(x: Array) -> bool:
    """False for an array of which several elements are one place in memory, or whose memory is another's constant."""
    return not isinstance(x, np.ndarray) or bool(x.flags.writeable)


def as_strided_array(x: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    return array_module(x).lib.stride_tricks.as_strided(x, shape, strides)


__all__ = [
    "CPU", "META", "Array", "MetaArray", "array_module", "as_strided_array", "available_memory", "cuda_device_count", "cupy", "device", "device_of", "empty",
    "full", "hush", "hushed", "is_scalar", "is_writeable", "on", "pinned", "quietly", "resolve", "shares_memory", "special_module", "transfer", "unhush",
]  # fmt: skip
