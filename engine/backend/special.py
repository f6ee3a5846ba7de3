"""Which library computes special functions: SciPy where it is installed, CuPy's copy of it on GPUs, else Python's own few.

SciPy is more than a third of an installation, and training needs little of it: the error function of GELU, normal quantiles of ``trunc_normal_``,
``lgamma``. Those are in Python's standard library in double precision, at about 80 ns an element (SciPy: 8).
"""

from __future__ import annotations

import functools
import importlib
import math
from statistics import NormalDist
from typing import Any

import numpy as np

_NORMAL = NormalDist()


def _elementwise(function: Any) -> Any:
    """A function of Python floats for arrays of any shape; the result has the array's dtype, float64 for integers."""
    of_objects = np.frompyfunc(function, 1, 1)

    def computed(x: Any) -> Any:
        x = np.asarray(x)
        dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)
        with np.errstate(all="ignore"):  # NaN in, NaN out
            return np.asarray(of_objects(x.astype(np.float64)), np.float64).astype(dtype)

    return computed


def _gammaln(x: float) -> float:
    if not math.isfinite(x):
        return x * x
    return math.inf if x <= 0 and x == math.floor(x) else math.lgamma(x)


def _ndtri(p: float) -> float:
    if 0 < p < 1:
        return _NORMAL.inv_cdf(p)
    return math.copysign(math.inf, p - 0.5) if p in (0, 1) else math.nan


def _erfinv(y: float) -> float:
    """By the quantile of the nearer tail where nothing cancels there, by Newton's steps on ``erf`` around 0."""
    if not abs(y) <= 1:
        return math.nan
    if abs(y) >= 0.5:
        return math.copysign(_ndtri((1 - abs(y)) / 2) / math.sqrt(2), y)
    x = y * math.sqrt(math.pi) / 2
    for _ in range(5):  # each doubles the digits
        x -= (math.erf(x) - y) * math.exp(x * x) * math.sqrt(math.pi) / 2
    return x


class NeedsSciPy(RuntimeError):
    """A special function that the standard library does not have."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the special function {name!r} is computed by SciPy, which is not installed: pip install 'epochline[special]'")


class _Standard:
    """The functions of ``scipy.special`` that Python's standard library has."""

    erf = staticmethod(_elementwise(math.erf))
    erfc = staticmethod(_elementwise(math.erfc))
    erfinv = staticmethod(_elementwise(_erfinv))
    gammaln = staticmethod(_elementwise(_gammaln))
    ndtr = staticmethod(_elementwise(lambda x: math.erfc(-x / math.sqrt(2)) / 2))
    ndtri = staticmethod(_elementwise(_ndtri))

    def __getattr__(self, name: str) -> Any:
        raise NeedsSciPy(name)


@functools.cache
def on_cpu() -> Any:
    """``scipy.special``, or the standard library's part of it."""
    try:
        return importlib.import_module("scipy.special")
    except ImportError:
        return _Standard()
