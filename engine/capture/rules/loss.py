"""Softmax and cross-entropy, a row at a time."""

from __future__ import annotations

import numpy as np

from engine.capture.builder import FLOAT, Builder, rule
from engine.capture.record import Call, Value


@rule("softmax", "log_softmax")
def softmax(b: Builder, call: Call) -> bool:
    x, out = call.ins[0], call.outs[0]
    if out.dtype != FLOAT or not x.shape:
        return False
    order, n = _innermost(x, call.attrs["dim"])
    s = b.dense(x, order)
    to = s if b.free_to_overwrite(x) and b.storage[x] is s else b.temporary(x.shape, order=order)
    b.storage[out] = to
    b.emit("softmax", [s, x.size // n, n, int(call.op.name == "log_softmax"), to], [s], [to])
    return True


def _innermost(x: Value, dim: int) -> tuple[tuple[int, ...] | None, int]:
    """The order of dimensions in memory that has ``dim`` last, and its size."""
    last = len(x.shape) - 1
    return None if dim == last else (*(d for d in range(last + 1) if d != dim), dim), x.shape[dim]


@rule("softmax_gradient", "log_softmax_gradient")
def softmax_gradient(b: Builder, call: Call) -> bool:
    (g, y), out = call.ins, call.outs[0]
    if out.dtype != FLOAT or not y.shape:
        return False
    order, n = _innermost(y, call.attrs["dim"])
    s, t = b.dense(g, order), b.dense(y, order)
    to = s if b.free_to_overwrite(g) and b.storage[g] is s else b.temporary(y.shape, order=order)
    b.storage[out] = to
    b.emit("softmax_gradient", [s, t, y.size // n, n, int(call.op.name == "log_softmax_gradient"), to], [s, t], [to])
    return True


@rule("cross_entropy")
def cross_entropy(b: Builder, call: Call) -> bool:
    """With the softmax, where the gradient follows: it needs no exponentials then."""
    (x, target), (loss, counted) = call.ins, call.outs
    if x.dtype != FLOAT or target.dtype != np.int64:
        return False
    s, t = b.dense(x), b.of(target)
    if not t.is_dense():
        return False
    to, count = b.new(loss), b.new(counted)
    gradient = next((use.outs[0] for use in counted.uses if use.op.name == "cross_entropy_data"), None)
    shares = [] if gradient is None else [b.done.setdefault(("shares", gradient), b.temporary(gradient.shape))]
    described = [s, t, *x.shape, call.attrs["ignore_index"], int(call.attrs["mean"]), to, count]
    b.emit("cross_entropy", [*described, *(shares or [0])], [s, t], [to, count, *shares])
    return True


@rule("cross_entropy_data")
def cross_entropy_data(b: Builder, call: Call) -> bool:
    (g, x, target, counted), out = call.ins, call.outs[0]
    if x.dtype != FLOAT or target.dtype != np.int64 or not b.of(target).is_dense():
        return False
    shares = b.done.get(("shares", out))
    d, t, count = b.of(g), b.of(target), b.of(counted)
    s = b.dense(x) if shares is None else shares
    to = b.storage[out] = b.temporary(out.shape) if shares is None else shares
    attrs = call.attrs
    place = 0 if shares is not None else s
    b.emit("cross_entropy_gradient", [d, place, t, *x.shape, attrs["ignore_index"], int(attrs["mean"]), count, to], [d, s, t, count], [to])
    return True
