"""Dropout: its counter is read when the program runs."""

from __future__ import annotations

from engine.capture.builder import FLOAT, Builder, rule
from engine.capture.layout import Buffer, Storage
from engine.capture.record import Call


@rule("dropout")
def dropout(b: Builder, call: Call) -> bool:
    x, out = call.ins[0], call.outs[0]
    if out.dtype != FLOAT:
        return False
    key = b.key(call)
    s, to = b.dense(x), b.new(out)
    counter = Storage(Buffer(24, key), 0, (3,), (1,), key.dtype)
    p = call.attrs["p"]
    b.emit("dropout", [s, x.size, float(p), 1 / (1 - p), counter, to], [s, counter], [to])
    return True
