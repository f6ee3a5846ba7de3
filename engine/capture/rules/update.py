"""The optimizer: all parameters of a group by one formula, whose numbers are read when the program runs."""

from __future__ import annotations

import operator
from typing import Any

from engine.capture.builder import FLOAT, Builder, Update, rule
from engine.capture.formula import Live, NotTraceable, Program, Symbol, traced
from engine.capture.record import Call


@rule("update")
def update(b: Builder, call: Call) -> bool:
    hyper: Any = call.attrs
    if any(v.dtype != FLOAT for v in call.ins):
        return False
    parameter, gradient, *slots = call.ins
    for v in call.writes:
        b.settle(v)
    ins = [b.storage[parameter], b.dense(gradient), *(b.storage[s] for s in slots)]
    outs = [b.storage[v] for v in call.writes]
    if not all(s.is_dense() for s in (*ins, *outs)):
        return False
    pieces = b.pieces
    if pieces is not None and pieces.call is not None and pieces.call.op is call.op and dict(pieces.call.attrs) == dict(hyper):
        former: Any = pieces.call.attrs
        if former.group is hyper.group:
            chosen = [ins[i] for i in pieces.order]
            pieces.arguments += [parameter.size, *chosen, *outs]
            pieces.arguments[pieces.count] += 1
            pieces.reads += chosen
            pieces.writes += outs
            b.instructions.remove(pieces)  # after what computed this gradient
            b.instructions.append(pieces)
            return True
    guards: list[tuple[Live, bool]] = []
    numbers = {k: v if isinstance(v, bool) else Live(v, operator.itemgetter(k), frozenset((k,)), guards) for k, v in hyper.items()}
    made = traced(call.op.rule, [Symbol("operand", leaf=i) for i in range(len(ins))], numbers)  # type: ignore[arg-type]  # an update has a rule
    outputs = made if isinstance(made, tuple) else (made,)
    if len(outputs) != len(outs):
        raise NotTraceable("an update with other results than places")
    # the parameter and each slot are overwritten with what becomes of them: operands 0, 2, 3 ..
    program = Program(outputs, [[0], *([i] for i in range(2, len(ins)))])
    head = b._formula(program, call)
    b.guards += [(call, guard, answer) for guard, answer in guards]
    chosen = [ins[i] for i in program.inputs]
    b.pieces = Update("map_pieces", [*head, 1, parameter.size, *chosen, *outs], [*chosen, head[3]] if head[3] else chosen, outs, call)
    b.pieces.count, b.pieces.order = len(head), program.inputs
    b.instructions.append(b.pieces)
    return True
