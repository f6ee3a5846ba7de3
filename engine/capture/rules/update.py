"""The optimizer: all parameters of a group by one formula, whose numbers are read when the program runs."""

from __future__ import annotations

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
    same = b.pieces is not None and b.pieces.call is not None and b.pieces.call.op is call.op and b.pieces.call.attrs.group is hyper.group  # type: ignore[attr-defined]
    if same and dict(b.pieces.call.attrs) == dict(hyper):  # type: ignore[union-attr]
        assert b.pieces is not None
        chosen = [ins[i] for i in b.pieces.order]
        b.pieces.arguments += [parameter.size, *chosen, *outs]
        b.pieces.arguments[b.pieces.count] += 1
        b.pieces.reads += chosen
        b.pieces.writes += outs
        return True
    guards: list[tuple[Live, bool]] = []
    numbers = {k: Live(v, lambda h, k=k: h[k], guards) if isinstance(v, float) else v for k, v in hyper.items()}
    whole = {k for k, v in hyper.items() if isinstance(v, int) and not isinstance(v, bool)}
    numbers.update({k: Live(hyper[k], lambda h, k=k: h[k], guards) for k in whole})
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
