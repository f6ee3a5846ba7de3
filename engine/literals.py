"""Numbers as users write them: nested lists of Python's and NumPy's numbers and of tensors of one element."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from engine.dtypes import INTEGER, dtype, from_numpy_dtype, of_scalar, promote_types

_PYTHON = {bool, int, float}


def _listed(data: Any, met: set[Any]) -> Any:
    """``data`` as NumPy takes it; the dtypes of its elements are added to ``met``, Python's types as they are."""
    if isinstance(data, list | tuple | range):
        types = set(map(type, data))
        if types <= _PYTHON:
            met |= types
            return data
        return [_listed(v, met) for v in data]
    own = getattr(data, "dtype", None)
    if isinstance(own, dtype):
        if data.numel() != 1:
            raise ValueError(f"only one element tensors can be converted to Python scalars, got one of size {list(data.shape)}")
        met.add(own)
        return data.item()
    if own == np.object_:
        raise ValueError(f"expected a rectangular nest of numbers, got {data!r:.200}")
    if isinstance(own, np.dtype):
        met.add(from_numpy_dtype(own))
        return data
    if isinstance(data, str | bytes):
        raise TypeError(f"expected numbers, got {data!r:.200}")
    if not isinstance(data, bool | int | float):
        raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
    met.add(type(data))
    return data


def array_of(data: Any, d: dtype | None) -> tuple[np.ndarray[Any, Any], dtype]:
    """The numbers as an array, and the dtype that they have by themselves or are to have.

    Raises ValueError for lists that are ragged, RuntimeError for what is no number and for numbers outside of the range of ``d``.
    """
    met: set[Any] = set()
    nest = _listed(data, met)
    try:
        found = np.asarray(nest)
    except ValueError as error:
        raise ValueError(f"expected a rectangular nest of numbers, got {data!r:.200} ({error})") from None
    if found.dtype.kind not in "bif" and found.dtype != np.uint8 and found.dtype.name != "bfloat16":
        raise ValueError(f"expected numbers of at most 64 bits, got {data!r:.200}")
    own = [m if isinstance(m, dtype) else of_scalar(m()) for m in met]
    d = (functools.reduce(promote_types, own) if own else of_scalar(0.0)) if d is None else d
    _check_range(found, d)
    return found, d


def _check_range(numbers: np.ndarray[Any, Any], d: dtype) -> None:
    """Raises RuntimeError for numbers that an integer type does not hold; negative ones wrap around where it has none, as in PyTorch."""
    if d.category != INTEGER or not numbers.size or numbers.dtype == d.numpy:
        return
    limits = np.iinfo(d.numpy)
    low, high = numbers.min(), numbers.max()
    if not ((high <= limits.max and low >= (limits.min or -int(limits.max))) or np.isinf(low + high)):
        raise RuntimeError(f"value cannot be converted to type {d.name} without overflow: {high if high > limits.max else low}")
