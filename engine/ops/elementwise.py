"""Ops that work element by element on broadcast operands of one dtype.

Each is one scalar rule ``rule(m, *operands)``, with ``m`` the namespace of the mathematics; called with NumPy or CuPy it is the
array code. A derivative is written with the engine's own ops, so it can be differentiated again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtypes
from engine.backend import Array, array_module
from engine.dispatch import Op, Spec, broadcast_shapes
from engine.dtypes import BOOL, FLOAT, dtype, get_default_dtype, result_type
from engine.graph import apply

if TYPE_CHECKING:
    from engine.tensor import Tensor

Rule = Callable[..., Array]


def _shape(x: Any) -> tuple[int, ...]:
    return getattr(x, "shape", ())


def _elementwise(name: str, inputs: str, rule: Rule | str, result: Any = None, **vjps: Callable[..., Any]) -> Op:
    """Registers a rule, or the name of a NumPy ufunc, over ``inputs``; ``result`` is the dtype where it is not the operands'."""

    def infer(*ins: Any, **attrs: Any) -> Spec:
        return broadcast_shapes(*map(_shape, ins)), ins[-1].dtype if result is None else result

    if isinstance(rule, str):

        def kernel(out: Array, *ins: Any, **attrs: Any) -> None:
            getattr(array_module(out), rule)(*ins, out=out)
    else:

        def kernel(out: Array, *ins: Any, **attrs: Any) -> None:
            out[...] = rule(array_module(out), *ins, **attrs)

    return Op(name, inputs.split(), infer=infer, kernel=kernel, vjps=vjps)


def _is_tensor(x: Any) -> bool:
    return isinstance(getattr(x, "dtype", None), dtype)


def cast(x: Any, d: dtype) -> Any:
    """An operand in another dtype: a tensor by the differentiable ``to``, a number as a NumPy scalar."""
    if _is_tensor(x):
        return x if x.dtype is d else apply(_to, x, dtype=d.numpy)
    return d.numpy.type(x)


def _promoted(op: Op, *operands: Any, floating: bool = False) -> Any:
    """Applies ``op`` to operands brought to their common dtype, a floating one if ``floating``."""
    d = result_type(*operands)
    if floating and d.category != FLOAT:
        d = get_default_dtype()
    return apply(op, *(cast(x, d) for x in operands))


def _unary(op: Op, x: Tensor, floating: bool = True) -> Tensor:
    return apply(op, cast(x, get_default_dtype()) if floating and x.dtype.category != FLOAT else x)


# -- casts and copies

_to = Op(
    "to", ["x"], infer=lambda x, dtype: (x.shape, dtype), kernel=lambda out, x, dtype: out.__setitem__(..., x), vjps={"x": lambda g: g}
)
_clone = _elementwise("clone", "x", lambda m, x: x, x=lambda g: g)


def clone(x: Tensor) -> Tensor:
    return apply(_clone, x)


# -- arithmetic

_add = _elementwise("add", "a b", "add", a=lambda g: g, b=lambda g: g)
_sub = _elementwise("sub", "a b", "subtract", a=lambda g: g, b=lambda g: -g)
_mul = _elementwise("mul", "a b", "multiply", a=lambda g, b: g * b, b=lambda g, a: g * a)
_div = _elementwise("div", "a b", "true_divide", a=lambda g, b: g / b, b=lambda g, a, b: -g * a / (b * b))
_floor_divide = _elementwise("floor_divide", "a b", "floor_divide")
_remainder = _elementwise("remainder", "a b", "remainder", a=lambda g: g, b=lambda g, a, b: -g * floor(a / b))
_pow = _elementwise(
    "pow", "a b", "power", a=lambda g, a, b: _pow_base(g, a, b), b=lambda g, a, y: g * y * log(where(_lift(a, g) != 0, a, 1.0))
)
_maximum = _elementwise("maximum", "a b", "maximum", a=lambda g, a, b: g * _share(a, b, g), b=lambda g, a, b: g * _share(b, a, g))
_minimum = _elementwise("minimum", "a b", "minimum", a=lambda g, a, b: g * _share(b, a, g), b=lambda g, a, b: g * _share(a, b, g))


def _pow_base(g: Tensor, a: Any, b: Any) -> Tensor:
    """``b a^(b-1)``, which is 0, not 0 / 0, where ``b`` is 0."""
    if not _is_tensor(b):
        return g * 0 if b == 0 else g * b * a ** (b - 1)
    return where(b == 0, 0, g * b * a ** (b - 1))


def _lift(x: Any, like: Tensor) -> Tensor:
    """A saved number as a tensor beside ``like``."""
    return x if _is_tensor(x) else like.new_full((), x)


def _share(a: Any, b: Any, like: Tensor) -> Tensor:
    """1 where ``a`` is greater, one half where both are equal, else 0: how a maximum's gradient is dealt out."""
    a, b = _lift(a, like), _lift(b, like)
    return cast(a > b, like.dtype) + cast(a == b, like.dtype) * 0.5


def add(a: Any, b: Any, alpha: float = 1) -> Tensor:
    """``a + alpha * b``, broadcast."""
    return _promoted(_add, a, b if alpha == 1 else b * alpha)


def sub(a: Any, b: Any, alpha: float = 1) -> Tensor:
    return _promoted(_sub, a, b if alpha == 1 else b * alpha)


def mul(a: Any, b: Any) -> Tensor:
    return _promoted(_mul, a, b)


def div(a: Any, b: Any, rounding_mode: str | None = None) -> Tensor:
    """``a / b``; ``rounding_mode`` may be "floor" or "trunc"."""
    if rounding_mode == "floor":
        return floor_divide(a, b)
    quotient: Tensor = _promoted(_div, a, b, floating=True)
    if rounding_mode == "trunc":
        return cast(trunc(quotient), result_type(a, b))
    if rounding_mode is not None:
        raise RuntimeError(f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'")
    return quotient


def floor_divide(a: Any, b: Any) -> Tensor:
    return _promoted(_floor_divide, a, b)


def remainder(a: Any, b: Any) -> Tensor:
    return _promoted(_remainder, a, b)


def pow(a: Any, b: Any) -> Tensor:
    if not _is_tensor(b) and b == 2:
        return square(a)
    if not _is_tensor(b) and b < 0 and a.dtype.category != FLOAT:
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    return _promoted(_pow, a, b)


def maximum(a: Any, b: Any) -> Tensor:
    """Element-wise; the gradient is shared in halves where both are equal."""
    return _promoted(_maximum, a, b)


def minimum(a: Any, b: Any) -> Tensor:
    return _promoted(_minimum, a, b)


# -- functions of one operand

_neg = _elementwise("neg", "x", "negative", x=lambda g: -g)
_abs = _elementwise("abs", "x", "absolute", x=lambda g, x: g * sign(x))
_sign = _elementwise("sign", "x", "sign", x=lambda g: g * 0)
_square = _elementwise("square", "x", "square", x=lambda g, x: g * (x * 2))
_sqrt = _elementwise("sqrt", "x", "sqrt", x=lambda g, y: g / (y * 2))
_rsqrt = _elementwise("rsqrt", "x", lambda m, x: 1 / m.sqrt(x), x=lambda g, y: g * y * y * y * -0.5)
_reciprocal = _elementwise("reciprocal", "x", lambda m, x: 1 / x, x=lambda g, y: -g * y * y)
_exp = _elementwise("exp", "x", "exp", x=lambda g, y: g * y)
_expm1 = _elementwise("expm1", "x", "expm1", x=lambda g, y: g * (y + 1))
_log = _elementwise("log", "x", "log", x=lambda g, x: g / x)
_log1p = _elementwise("log1p", "x", "log1p", x=lambda g, x: g / (x + 1))
_log2 = _elementwise("log2", "x", "log2", x=lambda g, x: g / (x * math.log(2)))
_log10 = _elementwise("log10", "x", "log10", x=lambda g, x: g / (x * math.log(10)))
_sin = _elementwise("sin", "x", "sin", x=lambda g, x: g * cos(x))
_cos = _elementwise("cos", "x", "cos", x=lambda g, x: -g * sin(x))
_tanh = _elementwise("tanh", "x", "tanh", x=lambda g, y: g * (1 - y * y))
_sigmoid = _elementwise("sigmoid", "x", lambda m, x: 0.5 * m.tanh(0.5 * x) + 0.5, x=lambda g, y: g * (y * (1 - y)))
_relu = _elementwise("relu", "x", lambda m, x: m.maximum(x, 0), x=lambda g, y: where(y > 0, g, 0))
_softplus = _elementwise("softplus", "x", lambda m, x: m.logaddexp(x, m.zeros_like(x)), x=lambda g, x: g * sigmoid(x))
_floor = _elementwise("floor", "x", "floor", x=lambda g: g * 0)
_ceil = _elementwise("ceil", "x", "ceil", x=lambda g: g * 0)
_round = _elementwise("round", "x", "rint", x=lambda g: g * 0)
_trunc = _elementwise("trunc", "x", "trunc", x=lambda g: g * 0)


def neg(x: Tensor) -> Tensor:
    if x.dtype.category == BOOL:
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
        )
    return _unary(_neg, x, floating=False)


_Function = Callable[[Any], Any]


def _function(op: Op, floating: bool = True) -> _Function:
    def function(x: Tensor) -> Tensor:
        return _unary(op, x, floating)

    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = f"``{op.name}`` of each element; a tensor of the same shape."
    return function


abs: _Function = _function(_abs, floating=False)
sign: _Function = _function(_sign, floating=False)
square: _Function = _function(_square, floating=False)
relu: _Function = _function(_relu, floating=False)
sqrt: _Function = _function(_sqrt)
rsqrt: _Function = _function(_rsqrt)
reciprocal: _Function = _function(_reciprocal)
exp: _Function = _function(_exp)
expm1: _Function = _function(_expm1)
log: _Function = _function(_log)
log1p: _Function = _function(_log1p)
log2: _Function = _function(_log2)
log10: _Function = _function(_log10)
sin: _Function = _function(_sin)
cos: _Function = _function(_cos)
tanh: _Function = _function(_tanh)
sigmoid: _Function = _function(_sigmoid)
softplus: _Function = _function(_softplus)
floor: _Function = _function(_floor)
ceil: _Function = _function(_ceil)
round: _Function = _function(_round)
trunc: _Function = _function(_trunc)

# -- selection

_where = _elementwise("where", "c a b", lambda m, c, a, b: m.where(c, a, b), a=lambda g, c: where(c, g, 0), b=lambda g, c: where(c, 0, g))
_clamp = _elementwise("clamp", "x", lambda m, x, lo, hi: m.clip(x, lo, hi), x=lambda g, x, lo, hi: where(_inside(x, lo, hi), g, 0))


def where(condition: Tensor, a: Any, b: Any) -> Tensor:
    """``a`` where ``condition`` holds, else ``b``; all three broadcast."""
    d = result_type(a, b)
    return apply(_where, cast(condition, dtypes.bool_), cast(a, d), cast(b, d))


def _inside(x: Tensor, lo: float | None, hi: float | None) -> Tensor:
    if lo is None or hi is None:
        return x <= hi if lo is None else x >= lo
    return (x >= lo) & (x <= hi)


def clamp(x: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """``x`` limited to [min, max]; numbers or tensors."""
    if min is None and max is None:
        raise ValueError("clamp(): At least one of 'min' or 'max' must not be None")
    if _is_tensor(min) or _is_tensor(max):
        x = x if min is None else maximum(x, min)
        return x if max is None else minimum(x, max)
    return apply(_clamp, cast(x, result_type(x, *(v for v in (min, max) if v is not None))), lo=min, hi=max)


# -- comparison and logic


def _comparison(name: str, ufunc: str) -> Callable[[Any, Any], Tensor]:
    op = _elementwise(name, "a b", ufunc, np.bool_)

    def compare(a: Any, b: Any) -> Tensor:
        return _promoted(op, a, b)

    compare.__name__ = compare.__qualname__ = name
    compare.__doc__ = f"Element-wise ``{ufunc}``, broadcast; a bool tensor."
    return compare


eq, ne = _comparison("eq", "equal"), _comparison("ne", "not_equal")
lt, le = _comparison("lt", "less"), _comparison("le", "less_equal")
gt, ge = _comparison("gt", "greater"), _comparison("ge", "greater_equal")
logical_and, logical_or = _comparison("logical_and", "logical_and"), _comparison("logical_or", "logical_or")
logical_xor = _comparison("logical_xor", "logical_xor")

_bitwise = {name: _elementwise(name, "a b", name) for name in ("bitwise_and", "bitwise_or", "bitwise_xor")}
_invert = _elementwise("bitwise_not", "x", "invert")
_predicates = {name: _elementwise(name, "x", name, np.bool_) for name in ("isnan", "isinf", "isfinite", "logical_not")}


def bitwise_and(a: Any, b: Any) -> Tensor:
    return _promoted(_bitwise["bitwise_and"], a, b)


def bitwise_or(a: Any, b: Any) -> Tensor:
    return _promoted(_bitwise["bitwise_or"], a, b)


def bitwise_xor(a: Any, b: Any) -> Tensor:
    return _promoted(_bitwise["bitwise_xor"], a, b)


def bitwise_not(x: Tensor) -> Tensor:
    return _unary(_invert, x, floating=False)


def isnan(x: Tensor) -> Tensor:
    return _unary(_predicates["isnan"], x)


def isinf(x: Tensor) -> Tensor:
    return _unary(_predicates["isinf"], x)


def isfinite(x: Tensor) -> Tensor:
    return _unary(_predicates["isfinite"], x)


def logical_not(x: Tensor) -> Tensor:
    return _unary(_predicates["logical_not"], x, floating=False)
