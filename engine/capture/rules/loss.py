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
    (x, target), (loss, counted) = call.ins, call.outs
    if x.dtype != FLOAT or target.dtype != np.int64:
        return False
    s, t = b.dense(x), b.of(target)
    if not t.is_dense():
        return False
    to, count = b.new(loss), b.new(counted)
    b.emit("cross_entropy", [s, t, *x.shape, call.attrs["ignore_index"], int(call.attrs["mean"]), to, count], [s, t], [to, count])
    return True


@rule("cross_entropy_data")
def cross_entropy_data(b: Builder, call: Call) -> bool:
    (g, x, target, counted), out = call.ins, call.outs[0]
    if x.dtype != FLOAT or target.dtype != np.int64 or not b.of(target).is_dense():
        return False
    d, s, t, count = b.of(g), b.dense(x), b.of(target), b.of(counted)
    to = b.new(out)
    attrs = call.attrs
    b.emit("cross_entropy_gradient", [d, s, t, *x.shape, attrs["ignore_index"], int(attrs["mean"]), count, to], [d, s, t, count], [to])
    return True
