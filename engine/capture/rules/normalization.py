"""Batch, layer and group normalization.

Over a batch with channels last, the statistics are sums over rows and what is left is a formula with a number a channel, which
grows into the ReLU or the addition after it. Over the last dimensions, rows are normalized one by one.
"""

from __future__ import annotations

import math

from engine.capture.builder import FLOAT, ROW, Builder, rule
from engine.capture.formula import MATHEMATICS as M
from engine.capture.formula import Symbol
from engine.capture.layout import Storage, channels_last
from engine.capture.record import Call, Value

CHEAP = 12  # the cost up to which a gradient is computed again for the second pass over it
PART = 64  # rows whose weight gradients are added up before they meet the others'


def _is_by_channel(x: Value, dims: tuple[int, ...]) -> bool:
    return len(x.shape) >= 2 and dims == (0, *range(2, len(x.shape)))


def _is_by_row(x: Value, dims: tuple[int, ...]) -> bool:
    return bool(dims) and dims == tuple(range(len(x.shape) - len(dims), len(x.shape)))


def _operand(v: Value) -> Symbol:
    return Symbol("operand", leaf=v)


def _vector(b: Builder, like: Value) -> Value:
    """A number a channel, in the shape of a mean."""
    v = Value(like.shape, FLOAT)
    b.new(v)
    return v


def _waiting(b: Builder, like: Value, s: Symbol) -> Value:
    v = Value(like.shape, FLOAT)
    b.wait(v, s)
    return v


def _with_channels_last(b: Builder, x: Value) -> Value:
    """``x`` where its channels lie last."""
    s = b.last(x)
    if b.storage[x] is s:
        return x
    if ("last", x) not in b.done:
        v = Value(x.shape, FLOAT)
        b.storage[v] = s
        b.done["last", x] = v
    found: Value = b.done["last", x]
    return found


@rule("standardize")
def standardize(b: Builder, call: Call) -> bool:
    x, dims, eps = call.ins[0], call.attrs["dims"], call.attrs["eps"]
    w, bias = (*call.ins[1:], None, None)[:2]
    if x.dtype != FLOAT:
        return False
    if _is_by_channel(x, dims):
        return _by_channel(b, call, x, w, bias, eps)
    if not _is_by_row(x, dims) or any(v is not None and v.shape != x.shape[-len(dims) :] for v in (w, bias)):
        return False
    n = math.prod(x.shape[d] for d in dims)
    s, scale, shift = b.dense(x), *(None if v is None else b.dense(v) for v in (w, bias))
    y, mean, variance = (b.new(v) for v in call.outs)
    reads = [t for t in (s, scale, shift) if t is not None]
    b.emit("normalize", [s, scale or 0, shift or 0, x.size // n, n, float(eps), y, mean, variance], reads, [y, mean, variance])
    return True


def _by_channel(b: Builder, call: Call, x: Value, w: Value | None, bias: Value | None, eps: float) -> bool:
    y, mean, variance = call.outs
    x = _with_channels_last(b, x)
    s = b.storage[x]
    count = x.size // x.shape[1]
    first = Value(mean.shape, FLOAT)  # the first pixel: sums of differences from it lose less than sums
    b.storage[first] = Storage(s.buffer, s.start, mean.shape, tuple(1 if d == 1 else 0 for d in range(len(x.shape))), FLOAT)
    total, squares = _vector(b, mean), _vector(b, mean)
    d = _operand(x) - _operand(first)
    b.compute([], sums=[(d, b.storage[total], ROW), (d * d, b.storage[squares], ROW)], order=channels_last(len(x.shape)))
    shift = _operand(total) * (1 / count)
    centre = _operand(first) + shift
    spread = M.maximum(_operand(squares) * (1 / count) - shift * shift, 0.0)
    scale = 1.0 / M.sqrt(spread + eps)
    scale = scale if w is None else scale * b.symbol(w)
    offset = -(centre * scale) if bias is None else b.symbol(bias) - centre * scale
    b.wait(mean, centre)
    b.wait(variance, spread)
    a, c = _waiting(b, mean, scale), _waiting(b, mean, offset)
    b.compute([mean, variance, a, c])
    b.wait(y, _operand(x) * _operand(a) + _operand(c))
    return True


def _channel_sums(b: Builder, g: Value, x: Value, mean: Value, variance: Value, eps: float) -> tuple[Value, Value, Value]:
    """The sum of ``g``, of ``g (x - mean)``, and the factor that standardized ``x``; made once for the gradients of input, weight and bias."""
    if ("sums", g, x) in b.done:
        found: tuple[Value, Value, Value] = b.done["sums", g, x]
        return found
    dims = (0, *range(2, len(x.shape)))
    last = _with_channels_last(b, x)
    together = [
        u for u in g.uses if u.op.name in ("standardize_data", "standardize_weight") or (u.op.name == "sum" and u.attrs["dims"] == dims)
    ]
    gradient = b.symbol(_with_channels_last(b, g) if g in b.storage else g)
    total, products = _vector(b, mean), _vector(b, mean)
    wanted = [g] if g not in b.storage and (len(together) < len(g.uses) or gradient.cost > CHEAP) else []
    b.compute(
        wanted,
        sums=[(gradient, b.storage[total], ROW), (gradient * (_operand(last) - b.symbol(mean)), b.storage[products], ROW)],
        order=channels_last(len(x.shape)),
    )
    scale = _waiting(b, mean, 1.0 / M.sqrt(b.symbol(variance) + eps))
    weight = _waiting(b, mean, _operand(products) * b.lazy[scale])
    b.compute([scale, weight])
    b.done["sum", g, dims], b.done["weight", g, x] = b.storage[total], b.storage[weight]
    b.done["sums", g, x] = total, products, scale
    return total, products, scale


@rule("standardize_data")
def standardize_data(b: Builder, call: Call) -> bool:
    g, x, mean, variance = call.ins[:4]
    w = call.ins[4] if len(call.ins) > 4 else None
    dims, eps, out = call.attrs["dims"], call.attrs["eps"], call.outs[0]
    if x.dtype != FLOAT:
        return False
    if _is_by_row(x, dims) and not _is_by_channel(x, dims):
        return _row_gradients(b, call, g, x, mean, variance, w, out)
    if not _is_by_channel(x, dims):
        return False
    total, products, scale = _channel_sums(b, g, x, mean, variance, eps)
    count = x.size // x.shape[1]
    r = _operand(scale)
    # (g - level - (x - mean) slope) factor, as g factor - (x a + c): a product and a sum each
    times = r if w is None else r * b.symbol(w)
    slope = _operand(products) * r * r * (1 / count)
    factor, a = _waiting(b, mean, times), _waiting(b, mean, slope * times)
    c = _waiting(b, mean, (_operand(total) * (1 / count) - b.symbol(mean) * slope) * times)
    b.compute([factor, a, c])
    gradient = b.symbol(_with_channels_last(b, g)) if g in b.storage else b.symbol(g)
    b.wait(out, gradient * _operand(factor) - (_operand(_with_channels_last(b, x)) * _operand(a) + _operand(c)))
    return True


@rule("standardize_weight")
def standardize_weight(b: Builder, call: Call) -> bool:
    g, x, mean, variance = call.ins
    out = call.outs[0]
    dims = tuple(d for d in range(len(x.shape)) if len(mean.shape) > d and mean.shape[d] == 1 and x.shape[d] != 1)
    if ("weight", g, x) not in b.done:
        by_channel = tuple(d for d in (0, *range(2, len(x.shape))) if x.shape[d] != 1)
        if x.dtype != FLOAT or dims != by_channel or out.size != x.shape[1]:
            return False
        _channel_sums(b, g, x, mean, variance, call.attrs["eps"])
    s = b.done["weight", g, x]
    b.storage[out] = Storage(s.buffer, s.start, out.shape, b.temporary(out.shape).steps, FLOAT)
    return True


def _row_gradients(b: Builder, call: Call, g: Value, x: Value, mean: Value, variance: Value, w: Value | None, out: Value) -> bool:
    dims = call.attrs["dims"]
    shape = x.shape[-len(dims) :]
    if w is not None and w.shape != shape:
        return False
    n = math.prod(shape)
    count = x.size // n
    d, s, scale = b.dense(g), b.dense(x), None if w is None else b.dense(w)
    centre, spread = b.dense(mean), b.dense(variance)
    to, gw, gb = b.new(out), b.temporary(shape), b.temporary(shape)
    partial = b.temporary((-(-count // PART) * 2 * n,))
    reads = [t for t in (d, s, scale, centre, spread) if t is not None]
    b.emit(
        "normalize_gradient",
        [d, s, scale or 0, centre, spread, count, n, float(call.attrs["eps"]), to, gw, gb, partial, PART],
        reads,
        [to, gw, gb, partial],
    )
    b.done["weight", g, x] = gw
    b.done["sum", g, tuple(range(len(x.shape) - len(dims)))] = gb
    return True
