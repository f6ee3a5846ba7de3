"""More functions of one, two and three operands: trigonometry, rounding, comparisons to a tolerance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.dispatch import broadcast_shapes
from engine.dtypes import BOOL, FLOAT, float64
from engine.graph import apply
from engine.ops.elementwise import (
    add,
    both_tensors,
    cast,
    div,
    elementwise,
    is_tensor,
    logical_not,
    promoted,
    sub,
    tensor_argument,
    unary,
    where,
)
from engine.ops.unary import exp, function, log, rsqrt, sign, trunc

if TYPE_CHECKING:
    from engine.tensor import Tensor

# -- trigonometric and hyperbolic

acos = function(elementwise("acos", "x", "arccos", x=lambda g, x: -g * rsqrt(1 - x * x)))
asin = function(elementwise("asin", "x", "arcsin", x=lambda g, x: g * rsqrt(1 - x * x)))
atan = function(elementwise("atan", "x", "arctan", x=lambda g, x: g / (x * x + 1)))
tan = function(elementwise("tan", "x", "tan", x=lambda g, y: g * (y * y + 1)))
acosh = function(elementwise("acosh", "x", "arccosh", x=lambda g, x: g * rsqrt(x * x - 1)))
asinh = function(elementwise("asinh", "x", "arcsinh", x=lambda g, x: g * rsqrt(x * x + 1)))
atanh = function(elementwise("atanh", "x", "arctanh", x=lambda g, x: g / (1 - x * x)))
sinh = function(elementwise("sinh", "x", "sinh", x=lambda g, x: g * cosh(x)))
cosh = function(elementwise("cosh", "x", "cosh", x=lambda g, x: g * sinh(x)))
exp2 = function(elementwise("exp2", "x", "exp2", x=lambda g, y: g * y * math.log(2)))
sinc = function(elementwise("sinc", "x", lambda m, x: m.sinc(x), x=lambda g, x: g * _sinc_slope(x)))


def _sinc_slope(x: Tensor) -> Tensor:
    safe = where(x == 0, 1, x) * math.pi
    return where(x == 0, 0, (safe * safe.cos() - safe.sin()) * math.pi / (safe * safe))


_atan2 = elementwise("atan2", "a b", "arctan2", a=lambda g, a, b: g * b / (a * a + b * b), b=lambda g, a, b: -g * a / (a * a + b * b))
_hypot = elementwise("hypot", "a b", "hypot", a=lambda g, a, y: g * a / y, b=lambda g, b, y: g * b / y)


def atan2(a: Tensor, b: Tensor) -> Tensor:
    """The angle of the point ``(b, a)``, in (-pi, pi]."""
    both_tensors("atan2", a, b)
    return promoted(_atan2, a, b, floating=True)


def hypot(a: Tensor, b: Tensor) -> Tensor:
    both_tensors("hypot", a, b)
    return promoted(_hypot, a, b, floating=True)


def deg2rad(x: Tensor) -> Tensor:
    return x * (math.pi / 180)


def rad2deg(x: Tensor) -> Tensor:
    return x * (180 / math.pi)


# -- signs, parts and tests

_signbit = elementwise("signbit", "x", lambda m, x: m.signbit(x) if x.dtype.kind == "f" else x < 0, np.bool_)
_frac = elementwise("frac", "x", lambda m, x: x - m.trunc(x), x=lambda g: g)
_isposinf = elementwise("isposinf", "x", lambda m, x: x == m.inf, np.bool_)
_isneginf = elementwise("isneginf", "x", lambda m, x: x == -m.inf, np.bool_)
_copysign = elementwise(
    "copysign", "a b", "copysign", a=lambda g, a, y: where(a == 0, 0, g * y / where(a == 0, 1, a)), b=lambda g, b: g * 0 * b
)
_nan_to_num = elementwise(
    "nan_to_num",
    "x",
    lambda m, x, nan, posinf, neginf: m.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf),
    x=lambda g, x: where(x.isfinite(), g, 0),
)
_heaviside = elementwise("heaviside", "a b", lambda m, a, b: m.where(a == 0, b, (a > 0).astype(a.dtype)))
_nextafter = elementwise("nextafter", "a b", "nextafter", a=lambda g, a: g, b=lambda g: g * 0)


def sgn(x: Tensor) -> Tensor:
    return sign(x)


def signbit(x: Tensor) -> Tensor:
    """Whether the sign is negative; true for -0."""
    return unary(_signbit, x, floating=False)


def frac(x: Tensor) -> Tensor:
    """What follows the decimal point, with the sign."""
    if x.dtype.category != FLOAT:
        raise RuntimeError(f"frac is not implemented for {x.dtype.legacy_name}")
    return unary(_frac, x)


def isposinf(x: Tensor) -> Tensor:
    return unary(_isposinf, x, floating=False)


def isneginf(x: Tensor) -> Tensor:
    return unary(_isneginf, x, floating=False)


def copysign(a: Tensor, b: Any) -> Tensor:
    """The magnitude of ``a`` with the sign of ``b``."""
    tensor_argument(a, "copysign")
    return promoted(_copysign, a, b, floating=True)


def nan_to_num(x: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """NaN and infinities replaced: by default with 0 and the dtype's largest numbers."""
    if x.dtype.category != FLOAT:
        return x.clone()
    return apply(_nan_to_num, x, nan=nan or 0.0, posinf=posinf, neginf=neginf)


def positive(x: Tensor) -> Tensor:
    if x.dtype.category == BOOL:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return x


def real(x: Tensor) -> Tensor:
    """The tensor itself: all dtypes are real."""
    return x


def isreal(x: Tensor) -> Tensor:
    return logical_not(x.new_zeros(x.shape, dtype=None))


def angle(x: Tensor) -> Tensor:
    """Pi for negative numbers, else 0."""
    y = x if x.dtype.category == FLOAT else x * 1.0
    return (
        where(y < 0, math.pi, 0.0) + where(y.isnan(), y, 0.0) + y * 0
        if y.requires_grad
        else cast(where(y.isnan(), y, where(y < 0, math.pi, 0.0)), y.dtype)
    )


def heaviside(a: Tensor, b: Tensor) -> Tensor:
    """0 below zero, 1 above, ``b`` at zero."""
    both_tensors("heaviside", a, b)
    if a.dtype is not b.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    return promoted(_heaviside, a, b)


def nextafter(a: Tensor, b: Tensor) -> Tensor:
    return promoted(_nextafter, a, b)


# -- extremes, remainders, powers

_fmax = elementwise(
    "fmax", "a b", "fmax", a=lambda g, a, b: where((a >= b) | b.isnan(), g, 0), b=lambda g, a, b: where((a >= b) | b.isnan(), 0, g)
)
_fmin = elementwise(
    "fmin", "a b", "fmin", a=lambda g, a, b: where((a <= b) | b.isnan(), g, 0), b=lambda g, a, b: where((a <= b) | b.isnan(), 0, g)
)
_fmod = elementwise("fmod", "a b", "fmod", a=lambda g: g, b=lambda g, a, b: -g * trunc(a / b))
_logaddexp = elementwise("logaddexp", "a b", "logaddexp", a=lambda g, a, b: g / (exp(b - a) + 1), b=lambda g, a, b: g / (exp(a - b) + 1))
_logaddexp2 = elementwise(
    "logaddexp2", "a b", "logaddexp2", a=lambda g, a, b: g / (exp2(b - a) + 1), b=lambda g, a, b: g / (exp2(a - b) + 1)
)
_gcd, _lcm = elementwise("gcd", "a b", "gcd"), elementwise("lcm", "a b", "lcm")
_shifts = {name: elementwise(f"bitwise_{name}", "a b", name) for name in ("left_shift", "right_shift")}


def fmax(a: Tensor, b: Tensor) -> Tensor:
    """The greater of two elements, or the one that is not NaN."""
    both_tensors("fmax", a, b)
    return promoted(_fmax, a, b)


def fmin(a: Tensor, b: Tensor) -> Tensor:
    """The smaller of two elements, or the one that is not NaN."""
    both_tensors("fmin", a, b)
    return promoted(_fmin, a, b)


def fmod(a: Tensor, b: Any) -> Tensor:
    """What is left of ``a`` after division, with the sign of ``a``."""
    tensor_argument(a, "fmod")
    if not is_tensor(b) and b == 0 and a.dtype.category != FLOAT:
        raise RuntimeError("ZeroDivisionError")
    return promoted(_fmod, a, b)


def logaddexp(a: Tensor, b: Tensor) -> Tensor:
    """``log(exp(a) + exp(b))`` without overflow."""
    both_tensors("logaddexp", a, b)
    return promoted(_logaddexp, a, b)


def logaddexp2(a: Tensor, b: Tensor) -> Tensor:
    """``log2(2^a + 2^b)`` without overflow."""
    both_tensors("logaddexp2", a, b)
    return promoted(_logaddexp2, a, b)


def gcd(a: Tensor, b: Tensor) -> Tensor:
    both_tensors("gcd", a, b)
    return promoted(_gcd, a, b)


def lcm(a: Tensor, b: Tensor) -> Tensor:
    both_tensors("lcm", a, b)
    return promoted(_lcm, a, b)


def bitwise_left_shift(a: Any, b: Any) -> Tensor:
    return promoted(_shifts["left_shift"], a, b)


def bitwise_right_shift(a: Any, b: Any) -> Tensor:
    return promoted(_shifts["right_shift"], a, b)


def float_power(a: Any, b: Any) -> Tensor:
    """``a ** b`` in float64."""
    if not is_tensor(a) and not is_tensor(b):
        raise TypeError("float_power(): expected a Tensor as input or exponent")
    a, b = (cast(v, float64) if is_tensor(v) else float(v) for v in (a, b))
    return a**b


def ldexp(a: Tensor, b: Any) -> Tensor:
    """``a 2^b``."""
    both_tensors("ldexp", a, b)
    return a * (2.0**b)


def true_divide(a: Any, b: Any) -> Tensor:
    return div(a, b)


def rsub(a: Tensor, b: Any, alpha: float = 1) -> Tensor:
    """``b - alpha * a``."""
    tensor_argument(a, "rsub")
    return sub(b, a, alpha=alpha)


# -- of three operands


def lerp(a: Tensor, b: Tensor, weight: Any) -> Tensor:
    """``a + weight * (b - a)``."""
    if a.dtype is not b.dtype:
        raise RuntimeError(f"expected dtype {a.dtype.legacy_name.lower()} for `end` but got dtype {b.dtype.legacy_name.lower()}")
    return a + (b - a) * weight


def addcmul(x: Tensor, a: Tensor, b: Tensor, *, value: float = 1) -> Tensor:
    """``x + value * a * b``."""
    return add(x, a * b if value == 1 else a * b * value)


def addcdiv(x: Tensor, a: Tensor, b: Tensor, *, value: float = 1) -> Tensor:
    """``x + value * a / b``."""
    if a.dtype.category != FLOAT and b.dtype.category != FLOAT:
        raise RuntimeError("Integer division with addcdiv is no longer supported; convert to a floating dtype first")
    return add(x, a / b * value)


# -- equality


def isclose(a: Tensor, b: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """``|a - b| <= atol + rtol * |b|``, element by element."""
    both_tensors("isclose", a, b)
    if a.dtype is not b.dtype:
        raise RuntimeError(f"{a.dtype.legacy_name} did not match {b.dtype.legacy_name}")
    if rtol < 0 or atol < 0:
        raise RuntimeError(f"rtol and atol must be greater than or equal to zero, but got rtol={rtol} and atol={atol}")
    broadcast_shapes(a.shape, b.shape)
    close = a == b
    if equal_nan and a.dtype.category == FLOAT:
        close = close | (a.isnan() & b.isnan())
    if rtol == 0 and atol == 0:
        return close
    x, y = (v if v.dtype.category == FLOAT else cast(v, float64) for v in (a.detach(), b.detach()))
    return close | ((y - x).isfinite() & ((x - y).abs() <= y.abs() * rtol + atol))


def allclose(a: Tensor, b: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    return bool(isclose(a, b, rtol, atol, equal_nan).all())


def equal(a: Tensor, b: Tensor) -> bool:
    """Whether both have the same shape and elements."""
    return a.shape == b.shape and bool((a == b).all())


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element is among others."""
    like = elements if is_tensor(elements) else test_elements
    a, b = (v.detach().cpu().numpy() if is_tensor(v) else np.asarray(v) for v in (elements, test_elements))
    return like._wrap(np.asarray(np.isin(a, b, invert=invert))).to(like.device)


def logit(x: Tensor, eps: float | None = None) -> Tensor:
    """``log(x / (1 - x))``, of ``x`` limited to [eps, 1 - eps] if given."""
    if eps is not None:
        x = (x if x.dtype.category == FLOAT else x * 1.0).clamp(eps, 1 - eps)
    return unary(_logit, x)


_logit = elementwise("logit", "x", lambda m, x: m.log(x / (1 - x)), x=lambda g, x: where((x < 0) | (x > 1), math.nan, g / (x * (1 - x))))
_xlogy = elementwise(
    "xlogy",
    "a b",
    lambda m, a, b: m.where((a == 0) & ~m.isnan(b), 0, a * m.log(b)),
    a=lambda g, a, b: g * where((a == 0) & (b <= 0), 0, log(b)),
    b=lambda g, a, b: g * a / b,
)


def xlogy(a: Any, b: Any) -> Tensor:
    """``a log(b)``, 0 where ``a`` is 0."""
    return promoted(_xlogy, a, b, floating=True)


__all__ = [
    "acos", "acosh", "addcdiv", "addcmul", "allclose", "angle", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_left_shift", "bitwise_right_shift",
    "copysign", "cosh", "deg2rad", "equal", "exp2", "float_power", "fmax", "fmin", "fmod", "frac", "gcd", "heaviside", "hypot", "isclose", "isin",
    "isneginf", "isposinf", "isreal", "lcm", "ldexp", "lerp", "logaddexp", "logaddexp2", "logit", "nan_to_num", "nextafter", "positive", "rad2deg", "real",
    "rsub", "sgn", "signbit", "sinc", "sinh", "tan", "true_divide", "xlogy",
]  # fmt: skip
