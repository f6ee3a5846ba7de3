"""Rows of a matrix by their numbers: embeddings."""

from __future__ import annotations

import numpy as np

from engine.capture.builder import FLOAT, Builder, rule
from engine.capture.record import Call


@rule("embedding")
def embedding(b: Builder, call: Call) -> bool:
    (weight, index), out = call.ins, call.outs[0]
    if weight.dtype != FLOAT or index.dtype != np.int64 or not b.of(index).is_dense():
        return False
    w, i, to = b.dense(weight), b.of(index), b.new(out)
    b.emit("embedding", [w, i, index.size, *weight.shape, to], [w, i], [to])
    return True


@rule("embedding_bag", "embedding_bag_weight")
def embedding_bag(b: Builder, call: Call) -> bool:
    """Sums of rows, and the gradient of the weight."""
    (x, index, starts), out, attrs = call.ins, call.outs[0], call.attrs
    forward = call.op.name == "embedding_bag"
    i, start = b.of(index), b.of(starts)
    if x.dtype != FLOAT or index.dtype != np.int64 or starts.dtype != np.int64 or not (i.is_dense() and start.is_dense()):
        return False
    n, width = x.shape if forward else out.shape
    padding = attrs["padding_idx"]
    s, to = b.dense(x), b.new(out)
    described = [i, start, starts.size, index.size, n, width, -1 if padding is None else padding, int(attrs["mean"])]
    b.emit("embedding_bag" if forward else "embedding_bag_gradient", [*described, s, to], [s, i, start], [to])
    return True


@rule("embedding_weight")
def embedding_weight(b: Builder, call: Call) -> bool:
    (g, index), out, padding = call.ins, call.outs[0], call.attrs["padding_idx"]
    if g.dtype != FLOAT or index.dtype != np.int64 or not b.of(index).is_dense():
        return False
    s, i, to = b.dense(g), b.of(index), b.new(out)
    b.emit("embedding_gradient", [s, i, index.size, *out.shape, -1 if padding is None else padding, to], [s, i], [to])
    return True
