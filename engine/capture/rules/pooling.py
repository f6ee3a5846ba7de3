"""Pooling, with channels last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.capture.builder import FLOAT, Builder, rule
from engine.capture.layout import Buffer, Storage, channels_last
from engine.capture.record import Call
from engine.capture.rules.spatial import apart


def _shape(x: Sequence[int], y: Sequence[int], attrs: dict[str, Any]) -> list[int] | None:
    """The kernel's description of windows: those of a plane, then what they have in depth."""
    rank = len(x) - 2
    if rank not in (1, 2, 3):
        return None
    depth, plane = apart(
        (x[2:], 1), (y[2:], 1), (attrs["kernel"], 1), (attrs["stride"], 1), (attrs["padding"], 0), (attrs.get("dilation", (1,) * rank), 1)
    )
    size, *others = plane
    return [x[0], *size, x[1], *(n for pair in others for n in pair), *depth]


@rule("max_pool")
def greatest(b: Builder, call: Call) -> bool:
    """The places are kept as positions in the window, for ``unpool``; whoever else looks at them sees those in the plane."""
    x, (y, index) = call.ins[0], call.outs
    shape = _shape(x.shape, y.shape, call.attrs)
    if shape is None or y.dtype != FLOAT:
        return False
    s = b.last(x)
    order = channels_last(len(y.shape))
    to, which = b.new(y, order), b.temporary(y.shape, np.int32, order)
    b.done[index] = (shape, x, y, which)
    b.emit("max_pool", [*shape, s, to, which], [s], [to, which])
    if id(index) in b.kept or any(u.op.name != "unpool" for u in index.uses):
        places = b.new(index)
        b.emit("max_pool_index", [*shape, which, places], [which], [places])
    else:
        b.storage[index] = which
    return True


@rule("unpool")
def greatest_gradient(b: Builder, call: Call) -> bool:
    g, index = call.ins
    out = call.outs[0]
    if out.dtype != FLOAT or index.dtype != np.int64:
        return False
    if index not in b.done:
        planes = math.prod(g.shape[:2])
        d, places, to = b.dense(g), b.of(index), b.new(out)
        if not places.is_dense():
            return False
        b.emit("unpool", [d, places, planes, g.size // planes, out.size // planes, to], [d, places], [to])
        return True
    shape, x, y, which = b.done[index]
    s = b.last(g)
    to = b.new(out, channels_last(len(out.shape)))
    instruction = b.emit("max_pool_gradient", [*shape, s, which, 0, to], [s, which], [to])
    b.done[out] = (instruction, x, b.storage[y])
    return True


def _scale(attrs: dict[str, Any]) -> Storage:
    scale = np.ascontiguousarray(attrs["scale"], np.float32)
    return Storage(Buffer(scale.nbytes, scale), 0, scale.shape, tuple(t // 4 for t in scale.strides), FLOAT)


@rule("avg_pool", "avg_pool_data")
def average(b: Builder, call: Call) -> bool:
    source, out = call.ins[0], call.outs[0]
    forward = call.op.name == "avg_pool"
    x, y = (source, out) if forward else (out, source)
    shape = _shape(x.shape, y.shape, call.attrs)
    if shape is None or out.dtype != FLOAT:
        return False
    s, scale = b.last(source), _scale(call.attrs)
    to = b.new(out, channels_last(len(out.shape)))
    b.emit("avg_pool" if forward else "avg_pool_gradient", [*shape, s, scale, to], [s, scale], [to])
    return True
