"""Functions of one operand: powers, exponentials, logarithms, rounding."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine import dtypes
from engine.dispatch import Op, run
from engine.dtypes import BOOL, FLOAT
from engine.graph import apply
from engine.ops.elementwise import cast, clone, elementwise, unary

if TYPE_CHECKING:
    from engine.tensor import Tensor

_neg = elementwise("neg", "x", "negative", x=lambda g: -g)
_abs = elementwise("abs", "x", "absolute", x=lambda g, x: g * sign(x))
_sign = elementwise("sign", "x", lambda m, x: m.sign(m.where(x == x, x, 0)), x=lambda g: g * 0)  # of NaN 0, as in PyTorch
_square = elementwise("square", "x", "square", x=lambda g, x: g * (x * 2))
_sqrt = elementwise("sqrt", "x", "sqrt", x=lambda g, y: g / (y * 2))
_rsqrt = elementwise("rsqrt", "x", lambda m, x: 1 / m.sqrt(x), x=lambda g, y: g * y * y * y * -0.5)
_reciprocal = elementwise("reciprocal", "x", lambda m, x: 1 / x, x=lambda g, y: -g * y * y)
_exp = elementwise("exp", "x", "exp", x=lambda g, y: g * y)
_expm1 = elementwise("expm1", "x", "expm1", x=lambda g, y: g * (y + 1))
_log = elementwise("log", "x", "log", x=lambda g, x: g / x)
_log1p = elementwise("log1p", "x", "log1p", x=lambda g, x: g / (x + 1))
_log2 = elementwise("log2", "x", "log2", x=lambda g, x: g / (x * math.log(2)))
_log10 = elementwise("log10", "x", "log10", x=lambda g, x: g / (x * math.log(10)))
_sin = elementwise("sin", "x", "sin", x=lambda g, x: g * cos(x))
_cos = elementwise("cos", "x", "cos", x=lambda g, x: -g * sin(x))
_tanh = elementwise("tanh", "x", "tanh", x=lambda g, y: g * (1 - y * y))
_sigmoid = elementwise("sigmoid", "x", lambda m, x: 1 / (m.exp(-x) + 1), x=lambda g, y: g * (y * (1 - y)))
_relu = elementwise(
    "relu",
    "x",
    lambda m, x: m.maximum(x, 0),
    x=lambda g, y: apply(_relu_gradient, g, y),
    arrays={"x": lambda g, y: run(_relu_gradient, (g, y), {})[0]},
)
_relu_gradient: Op = elementwise("relu_gradient", "g y", lambda m, g, y: m.where(y > 0, g, 0), g=lambda v, y: apply(_relu_gradient, v, y))
_softplus = elementwise("softplus", "x", lambda m, x: m.logaddexp(x, m.zeros_like(x)), x=lambda g, x: g * sigmoid(x))
_floor = elementwise("floor", "x", "floor", x=lambda g: g * 0)
_ceil = elementwise("ceil", "x", "ceil", x=lambda g: g * 0)
_round = elementwise("round", "x", "rint", x=lambda g: g * 0)
_trunc = elementwise("trunc", "x", "trunc", x=lambda g: g * 0)


def neg(input: Tensor) -> Tensor:
    if input.dtype.category == BOOL:
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
        )
    return unary(_neg, input, floating=False)


Function = Callable[[Any], Any]


def function(op: Op, floating: bool = True, bools: bool = True) -> Function:
    def apply_to(input: Tensor) -> Tensor:
        if not bools and getattr(input, "dtype", None) is dtypes.bool_:
            raise NotImplementedError(f"\"{op.name}_cpu\" not implemented for 'Bool'")
        return unary(op, input, floating)

    apply_to.__name__ = apply_to.__qualname__ = op.name
    apply_to.__doc__ = f"``{op.name}`` of each element; a tensor of the same shape."
    return apply_to


abs: Function = function(_abs, floating=False, bools=False)
relu: Function = function(_relu, floating=False, bools=False)
sqrt: Function = function(_sqrt)
rsqrt: Function = function(_rsqrt)
reciprocal: Function = function(_reciprocal)
exp: Function = function(_exp)
expm1: Function = function(_expm1)
log: Function = function(_log)
log1p: Function = function(_log1p)
log2: Function = function(_log2)
log10: Function = function(_log10)
sin: Function = function(_sin)
cos: Function = function(_cos)
tanh: Function = function(_tanh)
sigmoid: Function = function(_sigmoid)
softplus: Function = function(_softplus)


def _rounding(op: Op) -> Function:
    def rounded(input: Tensor) -> Tensor:
        if input.dtype.category == BOOL:
            raise RuntimeError(f"\"{op.name}_vml_cpu\" not implemented for 'Bool'")
        return unary(op, input) if input.dtype.category == FLOAT else clone(input)

    rounded.__name__ = rounded.__qualname__ = op.name
    rounded.__doc__ = f"``{op.name}`` of each element; integers stay as they are."
    return rounded


floor, ceil, trunc, _to_even = _rounding(_floor), _rounding(_ceil), _rounding(_trunc), _rounding(_round)


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """To the nearest integer, or to so many decimals; halves to even."""
    if decimals == 0:
        return _to_even(input)
    if input.dtype.category != FLOAT:
        raise RuntimeError(f"\"round_vml_cpu\" not implemented for '{input.dtype.legacy_name}'")
    scale = 10.0 ** builtins.abs(decimals)
    return _to_even(input * scale) / scale if decimals > 0 else _to_even(input / scale) * scale


def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1."""
    return clone(input) if input.dtype.category == BOOL else unary(_sign, input, floating=False)


def square(input: Tensor) -> Tensor:
    return unary(_square, cast(input, dtypes.int64) if input.dtype.category == BOOL else input, floating=False)


__all__ = [
    "abs", "ceil", "cos", "exp", "expm1", "floor", "log", "log1p", "log2", "log10", "neg", "reciprocal", "relu", "round", "rsqrt", "sigmoid", "sign", "sin",
    "sqrt", "square", "tanh", "trunc",
]  # fmt: skip
