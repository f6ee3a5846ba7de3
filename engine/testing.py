"""Comparing in tests (``torch.testing``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from engine.creation import as_tensor
from engine.tensor import Tensor

_TOLERANCES = {"float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}


def assert_close(
    actual: Any, expected: Any, *, allow_subclasses: bool = True, rtol: float | None = None, atol: float | None = None, equal_nan: bool = False,
    check_device: bool = True, check_dtype: bool = True, check_layout: bool = True, check_stride: bool = False, msg: str | Callable[[str], str] | None = None,
) -> None:  # fmt: skip
    """Raises AssertionError, saying how many elements differ and where the most, unless ``|actual - expected| <= atol + rtol |expected|``.

    Numbers, tensors, and sequences and mappings of them. Tolerances not given are those of the less exact dtype. Raises TypeError for what cannot be compared.
    """
    if (rtol is None) != (atol is None):
        raise ValueError(f"rtol and atol must both be either specified or unspecified, got rtol={rtol} and atol={atol}")
    wrong = _difference(actual, expected, rtol, atol, equal_nan, check_device, check_dtype, check_stride)
    if wrong:
        raise AssertionError(msg(wrong) if callable(msg) else msg or wrong)


def _difference(a: Any, b: Any, rtol: float | None, atol: float | None, equal_nan: bool, device: bool, dtype: bool, stride: bool) -> str:
    """What differs, or nothing."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if a.keys() != b.keys():
            return f"The keys of the mappings do not match: {sorted(a.keys() ^ b.keys(), key=str)}"
        parts: Any = [(k, a[k], b[k]) for k in b]
    elif isinstance(a, Sequence) and isinstance(b, Sequence) and not isinstance(a, str):
        if len(a) != len(b):
            return f"The length of the sequences mismatch: {len(a)} != {len(b)}"
        parts = [(i, x, y) for i, (x, y) in enumerate(zip(a, b, strict=True))]
    else:
        return _unequal(a, b, rtol, atol, equal_nan, device, dtype, stride)
    for key, x, y in parts:
        found = _difference(x, y, rtol, atol, equal_nan, device, dtype, stride)
        if found:
            return f"{found}\n\nThe failure occurred for item [{key!r}]"
    return ""


def _unequal(a: Any, b: Any, rtol: float | None, atol: float | None, equal_nan: bool, device: bool, dtype: bool, stride: bool) -> str:
    both = isinstance(a, Tensor) and isinstance(b, Tensor)
    if not both and not all(isinstance(x, Tensor | np.ndarray | int | float | bool | np.generic) for x in (a, b)):
        raise TypeError(f"No comparison pair was able to handle inputs of type {type(a)} and {type(b)}.")
    if not both and type(a) is not type(b) and any(isinstance(x, Tensor) for x in (a, b)):
        raise TypeError(f"No comparison pair was able to handle inputs of type {type(a)} and {type(b)}.")
    x, y = as_tensor(a).detach(), as_tensor(b).detach()
    if x.shape != y.shape:
        return f"The values for attribute 'shape' do not match: {x.shape} != {y.shape}."
    if both and device and x.device != y.device:
        return f"The values for attribute 'device' do not match: {x.device} != {y.device}."
    if both and dtype and x.dtype is not y.dtype:
        return f"The values for attribute 'dtype' do not match: {x.dtype} != {y.dtype}."
    if both and stride and x.stride() != y.stride():
        return f"The values for attribute 'stride()' do not match: {x.stride()} != {y.stride()}."
    usual = [_TOLERANCES.get(t.dtype.name, (0.0, 0.0)) if both else (1e-7, 1e-7) if t.is_floating_point() else (0.0, 0.0) for t in (x, y)]
    relative, absolute = (max(p[0] for p in usual), max(p[1] for p in usual)) if rtol is None or atol is None else (rtol, atol)
    u, v = (t.cpu().double().numpy() for t in (x, y))
    with np.errstate(invalid="ignore", divide="ignore"):
        distance = np.abs(u - v)
        close = (u == v) | (distance <= absolute + relative * np.abs(v)) & np.isfinite(v) | (equal_nan & np.isnan(u) & np.isnan(v))
        if close.all():
            return ""
        if u.ndim == 0:
            return f"Scalars are not close!\n\nExpected {v} but got {u}.\nAbsolute difference: {distance} (up to {absolute} allowed)\nRelative difference: {distance / np.abs(v)} (up to {relative} allowed)"  # fmt: skip
        lines = [f"Tensor-likes are not close!\n\nMismatched elements: {(~close).sum()} / {close.size} ({100 * (~close).mean():.1f}%)"]
        for name, values, most in (("absolute", distance, absolute), ("relative", distance / np.abs(v), relative)):
            at = np.unravel_index(np.argmax(np.where(close, -1, np.nan_to_num(values, nan=np.inf))), values.shape)
            lines.append(f"Greatest {name} difference: {values[at]} at index {tuple(map(int, at))} (up to {most} allowed)")
    return "\n".join(lines)


__all__ = ["assert_close"]
