"""More functions of one, two and three operands: trigonometry, rounding, comparisons to a tolerance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import array_module
from engine.dispatch import Op, broadcast_shapes, unseen
from engine.dtypes import BOOL, FLOAT, float64, result_type
from engine.graph import apply
from engine.ops.elementwise import (
    add,
    both_tensors,
    cast,
    div,
    elementwise,
    is_tensor,
    logical_not,
    of_bits,
    promoted,
    sub,
    tensor_argument,
    unary,
    where,
)
from engine.ops.unary import Function, exp, function, log, rsqrt, sign, trunc

if TYPE_CHECKING:
    from engine.tensor import Tensor

# -- trigonometric and hyperbolic

acos: Function = function(elementwise("acos", "x", "arccos", x=lambda g, x: -g * rsqrt(1 - x * x)))
asin: Function = function(elementwise("asin", "x", "arcsin", x=lambda g, x: g * rsqrt(1 - x * x)))
atan: Function = function(elementwise("atan", "x", "arctan", x=lambda g, x: g / (x * x + 1)))
tan: Function = function(elementwise("tan", "x", "tan", x=lambda g, y: g * (y * y + 1)))
acosh: Function = function(elementwise("acosh", "x", "arccosh", x=lambda g, x: g * rsqrt(x * x - 1)))
asinh: Function = function(elementwise("asinh", "x", "arcsinh", x=lambda g, x: g * rsqrt(x * x + 1)))
atanh: Function = function(elementwise("atanh", "x", "arctanh", x=lambda g, x: g / (1 - x * x)))
sinh: Function = function(elementwise("sinh", "x", "sinh", x=lambda g, x: g * cosh(x)))
cosh: Function = function(elementwise("cosh", "x", "cosh", x=lambda g, x: g * sinh(x)))
exp2: Function = function(elementwise("exp2", "x", "exp2", x=lambda g, y: g * y * math.log(2)))
sinc: Function = function(elementwise("sinc", "x", lambda m, x: m.sinc(x), x=lambda g, x: g * _sinc_slope(x)))


def _sinc_slope(x: Tensor) -> Tensor:
    safe = where(x == 0, 1, x) * math.pi
    return where(x == 0, 0, (safe * safe.cos() - safe.sin()) * math.pi / (safe * safe))


_atan2 = elementwise(
    "atan2", "a b", "arctan2", a=lambda g, a, b: g * b / _square_of_radius(a, b), b=lambda g, a, b: -g * a / _square_of_radius(a, b)
)


def _square_of_radius(a: Tensor, b: Tensor) -> Tensor:
    """``a^2 + b^2``, or 1 where it is 0: an angle has no slope there."""
    square = a * a + b * b
    return where(square == 0, 1, square)


_hypot = elementwise("hypot", "a b", "hypot", a=lambda g, a, y: g * a / y, b=lambda g, b, y: g * b / y)


def atan2(input: Tensor, other: Tensor) -> Tensor:
    """The angle of the point ``(b, a)``, in (-pi, pi]."""
    both_tensors("atan2", input, other)
    return promoted(_atan2, input, other, floating=True)


def _of_floats(op: Op, input: Tensor, other: Tensor) -> Tensor:
    d = result_type(input, other)
    if d.category != FLOAT:
        raise NotImplementedError(f"\"{op.name}_cpu\" not implemented for '{d.legacy_name}'")
    return promoted(op, input, other)


def hypot(input: Tensor, other: Tensor) -> Tensor:
    both_tensors("hypot", input, other)
    return _of_floats(_hypot, input, other)


def deg2rad(input: Tensor) -> Tensor:
    return input * (math.pi / 180)


def rad2deg(input: Tensor) -> Tensor:
    return input * (180 / math.pi)


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


def sgn(input: Tensor) -> Tensor:
    return sign(input)


def signbit(input: Tensor) -> Tensor:
    """Whether the sign is negative; true for -0."""
    return unary(_signbit, input, floating=False)


def frac(input: Tensor) -> Tensor:
    """What follows the decimal point, with the sign."""
    if input.dtype.category != FLOAT:
        raise RuntimeError(f"frac is not implemented for {input.dtype.legacy_name}")
    return unary(_frac, input)


def isposinf(input: Tensor) -> Tensor:
    return unary(_isposinf, input, floating=False)


def isneginf(input: Tensor) -> Tensor:
    return unary(_isneginf, input, floating=False)


def copysign(input: Tensor, other: Any) -> Tensor:
    """The magnitude of ``input`` with the sign of ``other``."""
    tensor_argument(input, "copysign")
    return promoted(_copysign, input, other, floating=True)


def nan_to_num(input: Tensor, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """NaN and infinities replaced: by default with 0 and the dtype's largest numbers."""
    if input.dtype.category != FLOAT:
        return input.clone()
    return apply(_nan_to_num, input, nan=nan or 0.0, posinf=posinf, neginf=neginf)


def positive(input: Tensor) -> Tensor:
    if input.dtype.category == BOOL:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


def real(input: Tensor) -> Tensor:
    """The tensor itself: all dtypes are real."""
    return input


def isreal(input: Tensor) -> Tensor:
    return logical_not(input.new_zeros(input.shape, dtype=None))


def angle(input: Tensor) -> Tensor:
    """Pi for negative numbers, NaN for NaN, else 0; the gradient is zero."""
    y = input if input.dtype.category == FLOAT else input * 1.0
    return where(y < 0, y * 0 + math.pi, where(y.isnan(), y, y * 0))


def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 below zero, 1 above, ``values`` at zero."""
    both_tensors("heaviside", input, values)
    if input.dtype is not values.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    return promoted(_heaviside, input, values)


def nextafter(input: Tensor, other: Tensor) -> Tensor:
    both_tensors("nextafter", input, other)
    return _of_floats(_nextafter, input, other)


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


def fmax(input: Tensor, other: Tensor) -> Tensor:
    """The greater of two elements, or the one that is not NaN."""
    both_tensors("fmax", input, other)
    return promoted(_fmax, input, other)


def fmin(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of two elements, or the one that is not NaN."""
    both_tensors("fmin", input, other)
    return promoted(_fmin, input, other)


def fmod(input: Tensor, other: Any) -> Tensor:
    """What is left of ``input`` after division, with the sign of ``input``."""
    tensor_argument(input, "fmod")
    if not is_tensor(other) and other == 0 and input.dtype.category != FLOAT:
        raise RuntimeError("ZeroDivisionError")
    return promoted(_fmod, input, other)


def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    """``log(exp(a) + exp(b))`` without overflow."""
    both_tensors("logaddexp", input, other)
    return _of_floats(_logaddexp, input, other)


def logaddexp2(input: Tensor, other: Tensor) -> Tensor:
    """``log2(2^a + 2^b)`` without overflow."""
    both_tensors("logaddexp2", input, other)
    return promoted(_logaddexp2, input, other)


def gcd(input: Tensor, other: Tensor) -> Tensor:
    both_tensors("gcd", input, other)
    return of_bits(_gcd, input, other)


def lcm(input: Tensor, other: Tensor) -> Tensor:
    both_tensors("lcm", input, other)
    return of_bits(_lcm, input, other)


def bitwise_left_shift(input: Any, other: Any) -> Tensor:
    return of_bits(_shifts["left_shift"], input, other, bools=False)


def bitwise_right_shift(input: Any, other: Any) -> Tensor:
    return of_bits(_shifts["right_shift"], input, other, bools=False)


def float_power(input: Any, exponent: Any) -> Tensor:
    """``a ** b`` in float64."""
    if not is_tensor(input) and not is_tensor(exponent):
        raise TypeError("float_power(): expected a Tensor as input or exponent")
    input, exponent = (cast(v, float64) if is_tensor(v) else float(v) for v in (input, exponent))
    return input**exponent


def ldexp(input: Tensor, other: Any) -> Tensor:
    """``a 2^b``."""
    both_tensors("ldexp", input, other)
    y = input * (2.0**other)
    return cast(y, input.dtype) if input.dtype.category == FLOAT and other.dtype.category != FLOAT else y


def true_divide(input: Any, other: Any) -> Tensor:
    return div(input, other)


def rsub(a: Tensor, b: Any, alpha: float = 1) -> Tensor:
    """``b - alpha * a``."""
    tensor_argument(a, "rsub")
    return sub(b, a, alpha=alpha)


# -- of three operands


def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """``a + weight * (b - a)``."""
    if input.dtype is not end.dtype:
        raise RuntimeError(f"expected dtype {input.dtype.legacy_name.lower()} for `end` but got dtype {end.dtype.legacy_name.lower()}")
    if input.dtype.category != FLOAT:
        raise NotImplementedError(f"\"lerp\" not implemented for '{input.dtype.legacy_name}'")
    return input + (end - input) * weight


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """``x + value * a * b``."""
    return add(input, tensor1 * tensor2 if value == 1 else tensor1 * tensor2 * value)


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """``x + value * a / b``."""
    if tensor1.dtype.category != FLOAT and tensor2.dtype.category != FLOAT:
        raise RuntimeError("Integer division with addcdiv is no longer supported; convert to a floating dtype first")
    return add(input, tensor1 / tensor2 * value)


# -- equality


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """``|a - b| <= atol + rtol * |b|``, element by element."""
    both_tensors("isclose", input, other)
    if input.dtype is not other.dtype:
        raise RuntimeError(f"{input.dtype.legacy_name} did not match {other.dtype.legacy_name}")
    if rtol < 0 or atol < 0:
        raise RuntimeError(f"rtol and atol must be greater than or equal to zero, but got rtol={rtol} and atol={atol}")
    broadcast_shapes(input.shape, other.shape)
    close = input == other
    if equal_nan and input.dtype.category == FLOAT:
        close = close | (input.isnan() & other.isnan())
    if rtol == 0 and atol == 0:
        return close
    x, y = (v if v.dtype.category == FLOAT else cast(v, float64) for v in (input.detach(), other.detach()))
    return close | ((y - x).isfinite() & ((x - y).abs() <= y.abs() * rtol + atol))


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape and elements."""
    return input.shape == other.shape and bool((input == other).all())


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element is among others."""
    like = elements if is_tensor(elements) else test_elements
    xp = array_module(like._data)
    a, b = (v._data if is_tensor(v) else xp.asarray(v) for v in (elements, test_elements))
    unseen("a search for elements (isin)")
    return like._wrap(xp.asarray(xp.isin(a, b, invert=invert)))


def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """``log(x / (1 - x))``, of ``input`` limited to [eps, 1 - eps] if given."""
    if eps is not None:
        input = (input if input.dtype.category == FLOAT else input * 1.0).clamp(eps, 1 - eps)
    return unary(_logit, input)


_logit = elementwise("logit", "x", lambda m, x: m.log(x / (1 - x)), x=lambda g, x: where((x < 0) | (x > 1), math.nan, g / (x * (1 - x))))
_xlogy = elementwise(
    "xlogy",
    "a b",
    lambda m, a, b: m.where((a == 0) & ~m.isnan(b), 0, a * m.log(b)),
    a=lambda g, a, b: g * where((a == 0) & (b <= 0), 0, log(b)),
    b=lambda g, a, b: g * a / b,
)


def xlogy(input: Any, other: Any) -> Tensor:
    """``a log(b)``, 0 where ``input`` is 0."""
    return promoted(_xlogy, input, other, floating=True)


__all__ = [
    "acos", "acosh", "addcdiv", "addcmul", "allclose", "angle", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_left_shift", "bitwise_right_shift",
    "copysign", "cosh", "deg2rad", "equal", "exp2", "float_power", "fmax", "fmin", "fmod", "frac", "gcd", "heaviside", "hypot", "isclose", "isin",
    "isneginf", "isposinf", "isreal", "lcm", "ldexp", "lerp", "logaddexp", "logaddexp2", "logit", "nan_to_num", "nextafter", "positive", "rad2deg", "real",
    "rsub", "sgn", "signbit", "sinc", "sinh", "tan", "true_divide", "xlogy",
]  # fmt: skip
