"""Activations: each one op, and its gradient another, so that either is one pass over memory. Half precision is computed in single.

An op's rule and that of its gradient stand side by side; ``numbers`` are its parameters. Second derivatives are written with the engine's own ops.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.backend import special_module
from engine.dispatch import Op
from engine.dtypes import FLOAT, get_default_dtype
from engine.graph import apply
from engine.ops.elementwise import cast, clamp, elementwise, where
from engine.ops.unary import abs, exp, sigmoid, softplus, tanh

if TYPE_CHECKING:
    from engine.tensor import Tensor

Numbers = tuple[float, ...]
NAMES: list[str] = []
"""The ops of this file, with their gradients."""


def _activation(
    name: str, rule: Callable[..., Any], slope: Callable[..., Any], curve: Callable[..., Any] | None = None, by_result: bool = False
) -> Callable[..., Tensor]:
    """``rule(m, x, *numbers)``; ``slope(m, g, x, *numbers)`` is ``g`` times the derivative and ``curve(x, *numbers)`` the second one, 0 if there is none.
    With ``by_result`` the slope is found by the result, in place of ``x``."""

    def bent(v: Any, g: Any, x: Any, numbers: Numbers) -> Any:
        return v * g * curve(x, *numbers) if curve else x * 0

    gradient: Op = elementwise(
        f"{name}_gradient",
        "g x",
        lambda m, g, x, numbers: slope(m, g, x, *numbers),
        g=lambda v, x, numbers: apply(gradient, v, x, numbers=numbers),
        x=lambda v, g, x, numbers: bent(v, g, x, numbers),
    )
    vjp = (
        (lambda g, y, numbers: apply(gradient, g, y, numbers=numbers))
        if by_result
        else (lambda g, x, numbers: apply(gradient, g, x, numbers=numbers))
    )
    op: Op = elementwise(name, "x", lambda m, x, numbers: rule(m, x, *numbers), x=vjp)
    op.adds_up = gradient.adds_up = True
    NAMES.extend((op.name, gradient.name))

    def activation(x: Tensor, *numbers: float) -> Tensor:
        floats = x if x.dtype.category == FLOAT else cast(x, get_default_dtype())
        y: Tensor = apply(op, floats, numbers=numbers)
        return y

    return activation


def _cut(m: Any, g: Any, x: Any, low: Any, high: Any) -> Any:
    """``g`` between two limits, 0 beyond."""
    return m.where(x <= low, 0, m.where(x >= high, 0, g))


def _shrunk(m: Any, g: Any, x: Any, width: float) -> Any:
    """``g``, but 0 within ``width`` of 0."""
    return m.where(m.abs(x) <= width, 0, g)


hardtanh = _activation("hardtanh", lambda m, x, low, high: m.clip(x, low, high), _cut, by_result=True)
hardsigmoid = _activation("hardsigmoid", lambda m, x: m.clip(x + 3, 0, 6) / 6, lambda m, g, x: _cut(m, g / 6, x, -3, 3))
hardswish = _activation(
    "hardswish",
    lambda m, x: x * (m.clip(x + 3, 0, 6) / 6),
    lambda m, g, x: m.where(x <= -3, 0, m.where(x < 3, g * (x / 3 + 0.5), g)),
    lambda x: where(abs(x) < 3, 1 / 3, 0.0).to(x.dtype),
)
leaky_relu = _activation(
    "leaky_relu", lambda m, x, slope: m.where(x > 0, x, x * slope), lambda m, g, x, slope: m.where(x > 0, g, g * slope)
)
hardshrink = _activation("hardshrink", lambda m, x, width: _shrunk(m, x, x, width), _shrunk)
softshrink = _activation("softshrink", lambda m, x, width: x - m.clip(x, -width, width), _shrunk)
tanhshrink = _activation(
    "tanhshrink", lambda m, x: x - m.tanh(x), lambda m, g, x: g * m.square(m.tanh(x)), lambda x: tanh(x) * (1 - tanh(x) ** 2) * 2
)
softsign = _activation(
    "softsign", lambda m, x: x / (m.abs(x) + 1), lambda m, g, x: g / m.square(m.abs(x) + 1), lambda x: x.sign() * -2 / (abs(x) + 1) ** 3
)


# -- with exponentials

_elu = _activation(
    "elu",
    lambda m, x, scale, alpha, beta: m.where(x > 0, _times(x, scale), m.expm1(_times(m.minimum(x, 0), beta)) * alpha),
    lambda m, g, x, scale, alpha, beta: g * m.where(x > 0, scale, m.exp(_times(m.minimum(x, 0), beta)) * (alpha * beta)),
    lambda x, scale, alpha, beta: where(x > 0, 0.0, exp(clamp(x, max=0) * beta) * (alpha * beta * beta)),
)


def _times(x: Any, number: float) -> Any:
    return x if number == 1 else x * number


def elu(x: Tensor, alpha: float) -> Tensor:
    return _elu(x, 1.0, float(alpha), 1.0)


def celu(x: Tensor, alpha: float) -> Tensor:
    return _elu(x, 1.0, float(alpha), 1.0 / alpha)


def selu(x: Tensor) -> Tensor:
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return _elu(x, scale, alpha * scale, 1.0)


def _logistic(m: Any, minus_x: Any) -> Any:
    return 1 / (m.exp(minus_x) + 1)


def _silu_slope(m: Any, g: Any, x: Any) -> Any:
    s = _logistic(m, -x)
    return g * (s + x * s * (1 - s))


def _silu_curve(x: Any) -> Any:
    s = sigmoid(x)
    return s * (1 - s) * (x * (1 - s * 2) + 2)


silu = _activation("silu", lambda m, x: x / (m.exp(-x) + 1), _silu_slope, _silu_curve)


def _mish(m: Any, x: Any) -> Any:
    """``tanh(log(1 + e))`` is ``n / (n + 2)`` with ``n = e (e + 2)``."""
    e = m.exp(m.minimum(x, 20))
    n = e * (e + 2)
    return x * (n / (n + 2))


def _mish_slope(m: Any, g: Any, x: Any) -> Any:
    near = m.minimum(x, 20)
    e = m.exp(near)
    n = e * (e + 2)
    r = 1 / (n + 2)
    return g * (n * r + near * (e * (e + 1) * 4) * (r * r))


def _mish_curve(x: Any) -> Any:
    s, t = sigmoid(x), tanh(softplus(x))
    return (1 - t * t) * s * (x * (1 - s - t * s * 2) + 2)


mish = _activation("mish", _mish, _mish_slope, _mish_curve)


def _erf(m: Any, x: Any) -> Any:
    return m.erf(x) if hasattr(m, "erf") else special_module(x).erf(x)


_DENSITY = 1 / math.sqrt(2 * math.pi)
gelu = _activation(
    "gelu",
    lambda m, x: x * (_erf(m, x * math.sqrt(0.5)) * 0.5 + 0.5),
    lambda m, g, x: g * (_erf(m, x * math.sqrt(0.5)) * 0.5 + 0.5 + x * (m.exp(x * x * -0.5) * _DENSITY)),
    lambda x: exp(x * x * -0.5) * (2 - x * x) * _DENSITY,
)

_RISE, _BEND = 2 * math.sqrt(2 / math.pi), 0.044715


def _gelu_tanh_slope(m: Any, g: Any, x: Any) -> Any:
    square = x * x
    s = _logistic(m, x * (square * (-_RISE * _BEND) - _RISE))
    return g * (s + x * s * (1 - s) * (square * (3 * _RISE * _BEND) + _RISE))


def _gelu_tanh_curve(x: Any) -> Any:
    square = x * x
    s, d = sigmoid(x * (square * (_RISE * _BEND) + _RISE)), square * (3 * _RISE * _BEND) + _RISE
    return s * (1 - s) * (d * 2 + x * ((1 - s * 2) * d * d + x * (6 * _RISE * _BEND)))


gelu_tanh = _activation(
    "gelu_tanh", lambda m, x: x / (m.exp(x * (x * x * (-_RISE * _BEND) - _RISE)) + 1), _gelu_tanh_slope, _gelu_tanh_curve
)


# -- with logarithms


def _softplus_curve(x: Any, beta: float, threshold: float) -> Any:
    s = sigmoid(x * beta)
    return where(x * beta > threshold, 0.0, s * (1 - s) * beta)


soft_plus = _activation(
    "soft_plus",
    lambda m, x, beta, threshold: m.where(_times(x, beta) > threshold, x, _log_one_more(m, _times(x, beta)) / beta),
    lambda m, g, x, beta, threshold: m.where(_times(x, beta) > threshold, g, g * _logistic(m, x * -beta)),
    _softplus_curve,
)
logsigmoid = _activation(
    "logsigmoid", lambda m, x: -_log_one_more(m, -x), lambda m, g, x: g * _logistic(m, x), lambda x: -sigmoid(x) * (1 - sigmoid(x))
)


def _log_one_more(m: Any, x: Any) -> Any:
    """``log(1 + exp(x))``."""
    return m.maximum(x, 0) + m.log1p(m.exp(-m.abs(x)))


__all__ = [
    "NAMES", "celu", "elu", "gelu", "gelu_tanh", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "logsigmoid", "mish", "selu",
    "silu", "soft_plus", "softshrink", "softsign", "tanhshrink",
]  # fmt: skip
