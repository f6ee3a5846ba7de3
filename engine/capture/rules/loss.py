"""Softmax and cross-entropy, a row at a time."""

from __future__ import annotations

import math

import numpy as np

from engine.capture.builder import FLOAT, Builder, rule
from engine.capture.record import Call


@rule("softmax", "log_softmax")
def softmax(b: Builder, call: Call) -> bool:
    x, out = call.ins[0], call.outs[0]
    if out.dtype != FLOAT or call.attrs["dim"] != len(x.shape) - 1:
        return False
    s, n = b.dense(x), x.shape[-1]
    to = b.new(out)
    b.emit("softmax", [s, math.prod(x.shape[:-1]), n, int(call.op.name == "log_softmax"), to], [s], [to])
    return True


@rule("softmax_gradient", "log_softmax_gradient")
def softmax_gradient(b: Builder, call: Call) -> bool:
    (g, y), out = call.ins, call.outs[0]
    if out.dtype != FLOAT or call.attrs["dim"] != len(y.shape) - 1:
        return False
    s, t, n = b.dense(g), b.dense(y), y.shape[-1]
    to = b.new(out)
    b.emit("softmax_gradient", [s, t, math.prod(y.shape[:-1]), n, int(call.op.name == "log_softmax_gradient"), to], [s, t], [to])
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
