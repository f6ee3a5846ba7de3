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


@rule("embedding_weight")
def embedding_weight(b: Builder, call: Call) -> bool:
    (g, index), out, padding = call.ins, call.outs[0], call.attrs["padding_idx"]
    if g.dtype != FLOAT or index.dtype != np.int64 or not b.of(index).is_dense():
        return False
    s, i, to = b.dense(g), b.of(index), b.new(out)
    b.emit("embedding_gradient", [s, i, index.size, *out.shape, -1 if padding is None else padding, to], [s, i], [to])
    return True
