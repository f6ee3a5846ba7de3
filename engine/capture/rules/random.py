"""Dropout: its counter is read when the program runs."""

from __future__ import annotations

import numpy as np

from engine.capture.builder import FLOAT, Builder, rule
from engine.capture.layout import Buffer, Storage
from engine.capture.record import Call


@rule("dropout")
def dropout(b: Builder, call: Call) -> bool:
    x, out = call.ins[0], call.outs[0]
    if out.dtype != FLOAT:
        return False
    start = call.attrs["start"]
    key = next((k for n, k in b.keys if b.tape.calls[n].attrs["start"] == start), None)  # forward and backward draw the same numbers
    if key is None:
        key = np.zeros(3, np.int64)
        b.keys.append((b.number, key))
    s, to = b.dense(x), b.new(out)
    counter = Storage(Buffer(24, key), 0, (3,), (1,), key.dtype)
    p = call.attrs["p"]
    b.emit("dropout", [s, x.size, float(p), 1 / (1 - p), counter, to], [s, counter], [to])
    return True
