"""Images in other sizes: with channels last, or plane by plane where they lie so."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.capture.builder import FLOAT, Builder, rule
from engine.capture.layout import Buffer, Storage, channels_last, dense_steps
from engine.capture.record import Call
from engine.capture.rules.slices import place_of
from engine.ops.resize import axes_of


def _constant(array: np.ndarray[Any, Any], dtype: Any) -> Storage:
    held = np.ascontiguousarray(array, dtype)
    return Storage(Buffer(held.nbytes, held), 0, held.shape, dense_steps(held.shape), held.dtype)


def _pixels(s: Storage) -> int | None:
    """The floats from pixel to pixel of images whose channels lie next to each other; None where they lie otherwise."""
    if s.shape[1] > 1 and s.steps[1] != 1:
        return None
    step = s.steps[-1] if s.shape[-1] > 1 else s.shape[1]
    wanted, n = step, 1
    for d in (*range(len(s.shape) - 1, 1, -1), 0):
        if s.shape[d] > 1 and s.steps[d] != wanted * n:
            return None
        n *= s.shape[d]
    return step


@rule("resize", "resize_data")
def resize(b: Builder, call: Call) -> bool:
    x, out = call.ins[0], call.outs[0]
    rank = len(x.shape) - 2
    if x.dtype != FLOAT or out.dtype != FLOAT or not 1 <= rank <= 3:
        return False
    axes = axes_of(call.op.name, **call.attrs)
    s = b.of(x)
    head: list[Any]
    planes = s.is_dense() and not s.is_dense(channels_last(len(x.shape)))
    if planes:  # one channel at a time
        to = b.new(out)
        head = [math.prod(x.shape[:2]), 1, 1, 1]
    else:
        if _pixels(s) is None:
            s = b.last(x)
        to = place_of(b, out) or b.new(out, channels_last(len(x.shape)))
        head = [*x.shape[:2], _pixels(s), _pixels(to)]
    described: list[Any] = []
    reads = [s]
    sizes = [(x.shape[2 + i], out.shape[2 + i]) for i in range(rank)]
    whole = (np.ones(1), np.zeros((1, 1)), np.ones((1, 1)))
    for (n, m), (count, index, weight) in zip([(1, 1)] * (3 - rank) + sizes, [whole] * (3 - rank) + axes, strict=True):
        held = [_constant(count, np.int64), _constant(index, np.int64), _constant(weight, np.float32)]
        described += [n, m, index.shape[1], *held]
        reads += held
    b.emit("resize", [*head, *described, s, to], reads, [to])
    return True
