"""Recurrent cells: one op for all steps of time, and one for their derivatives.

``x`` is ``W_ih x + b_ih`` of all steps, ``(L, N, gates * H)``, or of one, ``(N, gates * H)``; the state ``h`` is ``(N, H)``, ``w`` and ``b`` are
``W_hh``, ``(gates * H, H)``, and ``b_hh``. Formulas are written once, for arrays and for tensors: ``m`` has the functions.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from engine.backend import Array, array_module
from engine.dispatch import OPS, Op
from engine.graph import apply, differentiable_again
from engine.modes import lowered
from engine.ops.join import cat, stack
from engine.ops.linalg import linear
from engine.ops.unary import relu, sigmoid, tanh

if TYPE_CHECKING:
    from engine.tensor import Tensor

Maths = Any
ON_TENSORS = types.SimpleNamespace(sigmoid=sigmoid, tanh=tanh, relu=relu, cat=cat, stack=stack)
Slopes = Callable[[int, Any, Any], tuple[Any, Any, Any]]
Spec = tuple[tuple[int, ...], Any]


def _on_arrays(xp: Any) -> Maths:
    return types.SimpleNamespace(
        sigmoid=lambda x: 1 / (1 + xp.exp(-x)), tanh=xp.tanh, relu=lambda x: xp.maximum(x, 0), cat=xp.concatenate, stack=xp.stack
    )


def _parts(x: Any, count: int) -> list[Any]:
    size = x.shape[-1] // count
    return [x[..., i * size : (i + 1) * size] for i in range(count)]


def _timed(x: Any) -> Any:
    """With a dimension for time."""
    return x if x.ndim == 3 else x[None]


def _times(steps: int, reverse: bool) -> Iterable[int]:
    return range(steps - 1, -1, -1) if reverse else range(steps)


def _before(m: Maths, states: Any, first: Any, reverse: bool) -> Any:
    """The state that each step began with."""
    return m.cat([states[1:], first[None]] if reverse else [first[None], states[:-1]], 0)


def _back(m: Maths, gy: Any, w: Any, reverse: bool, slopes: Slopes, dc: Any = None) -> tuple[Any, Any, Any]:
    """The gradients of what every step adds up, of the first ``h`` and of the first ``c``.

    ``slopes(t, dh, dc)`` gives for a step the first of these, with that of ``W_hh h`` in front; what of the gradient of ``h`` does not pass
    through ``W_hh``; and that of the ``c`` before.
    """
    dh, found = None, {}
    for t in _times(len(gy), not reverse):
        found[t], past, dc = slopes(t, gy[t] if dh is None else gy[t] + dh, dc)
        through = found[t][..., : len(w)] @ w
        dh = through if past is None else past + through
    return m.stack([found[t] for t in range(len(gy))]), dh, dc


# -- plain ones: Elman, 1990


def _rnn_kernel(y: Array, x: Array, w: Array, h: Array, b: Array = None, *, nonlinearity: str, reverse: bool) -> None:
    y, x = _timed(y), _timed(x)
    m = _on_arrays(array_module(y))
    for t in _times(len(x), reverse):
        a = x[t] + h @ w.T
        h = getattr(m, nonlinearity)(a if b is None else a + b)
        y[t] = h


def _rnn_back(m: Maths, gy: Any, y: Any, w: Any, nonlinearity: str, reverse: bool) -> tuple[Any, Any]:
    """The gradients of ``x`` and of the first ``h``."""
    slope = 1 - y * y if nonlinearity == "tanh" else (y > 0) * (y * 0 + 1)
    return _back(m, gy, w, reverse, lambda t, dh, dc: (dh * slope[t], None, None))[:2]


# -- gated recurrent units: Cho et al., 2014; the reset gate acts on the product, as in cuDNN


def _gru_gates(m: Maths, x: Any, product: Any) -> tuple[Any, ...]:
    """The gates r and z, the candidate n, and its part of the product."""
    (xr, xz, xn), (hr, hz, hn) = _parts(x, 3), _parts(product, 3)
    r = m.sigmoid(xr + hr)
    return r, m.sigmoid(xz + hz), m.tanh(xn + r * hn), hn


def _gru_kernel(outs: list[Array], x: Array, w: Array, h: Array, b: Array = None, *, reverse: bool) -> None:
    y, kept, x = map(_timed, (*outs, x))
    m = _on_arrays(array_module(y))
    for t in _times(len(x), reverse):
        product = h @ w.T
        gates = _gru_gates(m, x[t], product if b is None else product + b)
        h = gates[2] + gates[1] * (h - gates[2])
        y[t], kept[t] = h, m.cat(gates, -1)


def _gru_back(m: Maths, gy: Any, gates: Any, before: Any, w: Any, reverse: bool) -> tuple[Any, Any, Any]:
    """The gradients of ``x``, of the product at every step, and of the first ``h``."""
    r, z, n, hn = gates
    candidate = (1 - z) * (1 - n * n)
    slopes = m.cat([candidate * hn * r * (1 - r), (before - n) * z * (1 - z), candidate * r, candidate], -1)
    found, dh, _ = _back(m, gy, w, reverse, lambda t, dh, dc: (m.cat([dh] * 4, -1) * slopes[t], dh * z[t], None))
    dr, dz, of_product, dn = _parts(found, 4)
    return m.cat([dr, dz, dn], -1), m.cat([dr, dz, of_product], -1), dh


# -- long short-term memory: Hochreiter and Schmidhuber, 1997, with the forget gate of Gers et al., 2000


def _lstm_gates(m: Maths, a: Any) -> tuple[Any, ...]:
    i, f, g, o = _parts(a, 4)
    return m.sigmoid(i), m.sigmoid(f), m.tanh(g), m.sigmoid(o)


def _lstm_kernel(outs: list[Array], x: Array, w: Array, h: Array, c: Array, b: Array = None, *, reverse: bool) -> None:
    y, cells, kept, x = map(_timed, (*outs, x))
    m = _on_arrays(array_module(y))
    for t in _times(len(x), reverse):
        a = x[t] + h @ w.T
        i, f, g, o = gates = _lstm_gates(m, a if b is None else a + b)
        c = f * c + i * g
        h = o * m.tanh(c)
        y[t], cells[t], kept[t] = h, c, m.cat(gates, -1)


def _lstm_back(m: Maths, gy: Any, gc: Any, gates: Any, cells: Any, before: Any, w: Any, reverse: bool) -> tuple[Any, Any, Any]:
    """The gradients of ``x``, of the first ``h`` and of the first ``c``."""
    i, f, g, o = gates
    seen = m.tanh(cells)
    onto = o * (1 - seen * seen)
    slope = m.cat([g * i * (1 - i), before * f * (1 - f), i * (1 - g * g), seen * o * (1 - o)], -1)

    def slopes(t: int, dh: Any, dc: Any) -> tuple[Any, Any, Any]:
        c = gc[t] + dh * onto[t]
        c = c if dc is None else c + dc
        return m.cat([c, c, c, dh], -1) * slope[t], None, c * f[t]

    return _back(m, gy, w, reverse, slopes)


# -- as ops


def _weighted(found: dict[str, Any], product: Any, y: Any, h: Any, reverse: bool, wanted: list[str]) -> dict[str, Any]:
    """With the gradients of ``w`` and ``b``, from that of ``W_hh h + b_hh`` at every step."""
    if "w" in wanted:
        before = h if y.ndim == 2 else _before(ON_TENSORS, y, h, reverse)
        found["w"] = apply(OPS["linear_weight"], product, before)
    if "b" in wanted:
        found["b"] = product.sum(tuple(range(product.ndim - 1)))
    return found


def _flops(outs: list[Array], ins: Any, attrs: dict[str, Any]) -> int:
    return 2 * math.prod(ins[0].shape[:-1]) * int(ins[1].size)


def _rnn_vjp(g: Any, w: Any, h: Any, y: Any, nonlinearity: str, reverse: bool, wanted: list[str]) -> dict[str, Any]:
    if differentiable_again():
        dx, dh = _rnn_back(ON_TENSORS, _timed(g), _timed(y), w, nonlinearity, reverse)
        dx = dx.reshape(g.shape)
    else:
        dx, dh = apply(_rnn_data, g, w, y, nonlinearity=nonlinearity, reverse=reverse)
    return _weighted({"x": dx, "h": dh}, dx, y, h, reverse, wanted)


def _gru_vjp(g: Any, x: Any, w: Any, h: Any, b: Any, y: Any, k1: Any, reverse: bool, wanted: list[str]) -> dict[str, Any]:
    if differentiable_again():
        before = _before(ON_TENSORS, _timed(y), h, reverse)
        gates = _gru_gates(ON_TENSORS, _timed(x), linear(before, w, b))
        dx, product, dh = _gru_back(ON_TENSORS, _timed(g), gates, before, w, reverse)
        dx, product = dx.reshape(x.shape), product.reshape(x.shape)
    else:
        dx, product, dh = apply(_gru_data, g, w, h, y, k1, reverse=reverse)
    return _weighted({"x": dx, "h": dh}, product, y, h, reverse, wanted)


def _lstm_vjp(
    g: Any, g1: Any, x: Any, w: Any, h: Any, c: Any, b: Any, y: Any, y1: Any, k2: Any, reverse: bool, wanted: list[str]
) -> dict[str, Any]:
    if differentiable_again():
        states, cells = _timed(y), _timed(y1)
        gates = _lstm_gates(ON_TENSORS, _timed(x) + linear(_before(ON_TENSORS, states, h, reverse), w, b))
        before = _before(ON_TENSORS, cells, c, reverse)
        dx, dh, dc = _lstm_back(ON_TENSORS, _timed(g), _timed(g1), gates, cells, before, w, reverse)
        dx = dx.reshape(x.shape)
    else:
        dx, dh, dc = apply(_lstm_data, g, w, g1, c, y1, k2, reverse=reverse)
    return _weighted({"x": dx, "h": dh, "c": dc}, dx, y, h, reverse, wanted)


def _rnn_data_kernel(outs: list[Array], gy: Array, w: Array, y: Array, nonlinearity: str, reverse: bool) -> None:
    dx, outs[1][...] = _rnn_back(_on_arrays(array_module(w)), _timed(gy), _timed(y), w, nonlinearity, reverse)
    outs[0][...] = dx.reshape(gy.shape)


def _gru_data_kernel(outs: list[Array], gy: Array, w: Array, h: Array, y: Array, kept: Array, reverse: bool) -> None:
    m = _on_arrays(array_module(w))
    gy, y, kept = map(_timed, (gy, y, kept))
    dx, product, outs[2][...] = _gru_back(m, gy, _parts(kept, 4), _before(m, y, h, reverse), w, reverse)
    outs[0][...], outs[1][...] = dx.reshape(outs[0].shape), product.reshape(outs[1].shape)


def _lstm_data_kernel(outs: list[Array], gy: Array, w: Array, gc: Array, c: Array, cells: Array, kept: Array, reverse: bool) -> None:
    m = _on_arrays(array_module(w))
    gy, gc, cells, kept = map(_timed, (gy, gc, cells, kept))
    dx, outs[1][...], outs[2][...] = _lstm_back(m, gy, gc, _parts(kept, 4), cells, _before(m, cells, c, reverse), w, reverse)
    outs[0][...] = dx.reshape(outs[0].shape)


def _sized(x: Array, *widths: int) -> list[Spec]:
    """Results beside ``x``, one for each width of a step."""
    return [((*x.shape[:-1], n), x.dtype) for n in widths]


def _states(w: Array, x: Array, count: int) -> list[Spec]:
    return [((x.shape[-2], w.shape[1]), x.dtype)] * count


_rnn = Op(
    "rnn",
    ["x", "w", "h", "b"],
    infer=lambda x, w, h, b=None, **attrs: _sized(x, w.shape[1])[0],
    kernel=_rnn_kernel,
    adds_up=True,
    vjps=_rnn_vjp,
    flops=_flops,
)
_rnn_data = Op(
    "rnn_data",
    ["gy", "w", "y"],
    infer=lambda gy, w, y, **attrs: _sized(gy, w.shape[0]) + _states(w, gy, 1),
    kernel=_rnn_data_kernel,
    adds_up=True,
    flops=_flops,
)
_gru = Op(
    "gru",
    ["x", "w", "h", "b"],
    infer=lambda x, w, h, b=None, **attrs: _sized(x, w.shape[1], 4 * w.shape[1]),
    kernel=_gru_kernel,
    adds_up=True,
    vjps=_gru_vjp,
    flops=_flops,
)
_gru_data = Op(
    "gru_data",
    ["gy", "w", "h", "y", "gates"],
    infer=lambda gy, w, *rest, **attrs: _sized(gy, w.shape[0], w.shape[0]) + _states(w, gy, 1),
    kernel=_gru_data_kernel,
    adds_up=True,
    flops=_flops,
)
_lstm = Op(
    "lstm",
    ["x", "w", "h", "c", "b"],
    infer=lambda x, w, *rest, **attrs: _sized(x, w.shape[1], w.shape[1], w.shape[0]),
    kernel=_lstm_kernel,
    adds_up=True,
    vjps=_lstm_vjp,
    flops=_flops,
    differentiable=2,
)
_lstm_data = Op(
    "lstm_data",
    ["gy", "w", "gc", "c", "cells", "gates"],
    infer=lambda gy, w, *rest, **attrs: _sized(gy, w.shape[0]) + _states(w, gy, 2),
    kernel=_lstm_data_kernel,
    adds_up=True,
    flops=_flops,
)


def _given(b: Tensor | None) -> tuple[Tensor, ...]:
    return () if b is None else (b,)


def rnn(x: Tensor, w: Tensor, h: Tensor, b: Tensor | None, nonlinearity: str, reverse: bool = False) -> Tensor:
    """The state after each step, ``(L, N, H)`` or ``(N, H)``; ``nonlinearity`` is "tanh" or "relu". ``reverse`` goes through time backwards."""
    x, w, h, b = lowered(x, w, h, b)
    y: Tensor = apply(_rnn, x, w, h, *_given(b), nonlinearity=nonlinearity, reverse=reverse)
    return y


def gru(x: Tensor, w: Tensor, h: Tensor, b: Tensor | None, reverse: bool = False) -> Tensor:
    """The state after each step."""
    x, w, h, b = lowered(x, w, h, b)
    y: Tensor = apply(_gru, x, w, h, *_given(b), reverse=reverse)[0]
    return y


def lstm(x: Tensor, w: Tensor, h: Tensor, c: Tensor, b: Tensor | None, reverse: bool = False) -> tuple[Tensor, Tensor]:
    """The states h and c after each step."""
    x, w, h, c, b = lowered(x, w, h, c, b)
    y, cells, _ = apply(_lstm, x, w, h, c, *_given(b), reverse=reverse)
    return y, cells


def lstm_step(x: Tensor, product: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """One step from the product ``W_hh h + b_hh``, in ops of their own: for an ``h`` that is projected between steps."""
    i, f, g, o = _lstm_gates(ON_TENSORS, x + product)
    c = f * c + i * g
    return o * tanh(c), c


__all__ = ["gru", "lstm", "lstm_step", "rnn"]
