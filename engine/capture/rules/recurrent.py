"""Recurrent layers: all steps of time in one call."""

from __future__ import annotations

from engine.capture.builder import FLOAT, Builder, rule
from engine.capture.record import Call
from engine.capture.recurrent import NAMES, arguments


@rule(*NAMES)
def recurrent(b: Builder, call: Call) -> bool:
    if any(v.dtype != FLOAT for v in (*call.ins, *call.outs)):
        return False
    ins, outs = [b.dense(v) for v in call.ins], [b.new(v) for v in call.outs]
    kernel, given = arguments(call.op.name, call.ins[0].shape, call.ins[1].shape[1], call.attrs, ins, outs)
    b.emit(kernel, given, ins, outs)
    return True
