"""The optimizer: the parameters of a group by one formula, whose numbers are read when the program runs.

A large parameter is updated as soon as nobody needs it as it was, while its gradient is in the cache; the small ones together, at the end.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from engine.capture.builder import FLOAT, Builder, Recipe, Update, rule
from engine.capture.formula import Live, NotTraceable, Program, Symbol, traced
from engine.capture.layout import Storage
from engine.capture.record import Call

LARGE = 1 << 16
"""Elements from which on a parameter is updated by itself."""


@rule("update")
def update(b: Builder, call: Call) -> bool:
    if any(v.dtype != FLOAT for v in call.ins):
        return False
    parameter, gradient, *slots = call.ins
    for v in call.writes:
        b.settle(v)
    ins = [b.storage[parameter], b.dense(gradient), *(b.storage[s] for s in slots)]
    outs = [b.storage[v] for v in call.writes]
    if not all(s.is_dense() for s in (*ins, *outs)):
        return False
    recipe = _recipe(b, call, len(ins), len(outs))
    operands = [*(ins[i] for i in recipe.order), *outs]
    own = parameter.size >= LARGE
    if not own and b.pieces is not None and b.pieces.recipe is recipe:
        b.pieces.add(parameter.size, operands)
        b.instructions.remove(b.pieces)  # after what computed this gradient
        b.instructions.append(b.pieces)
        return True
    made = Update(recipe, parameter.size, operands)
    if own:
        b.instructions.insert(_earliest(b, operands), made)
    else:
        b.pieces = made
        b.instructions.append(made)
    return True


def _recipe(b: Builder, call: Call, operands: int, results: int) -> Recipe:
    """The formula of a call's group: made once, so that its numbers are looked up once a step."""
    hyper: Any = call.attrs
    for known in b.recipes:
        former: Any = known.call.attrs
        if known.call.op is call.op and former.group is hyper.group and dict(former) == dict(hyper):
            return known
    guards: list[tuple[Live, bool]] = []
    numbers = {k: v if isinstance(v, bool) else Live(v, operator.itemgetter(k), frozenset((k,)), guards) for k, v in hyper.items()}
    made = traced(call.op.rule, [Symbol("operand", leaf=i) for i in range(operands)], numbers)  # type: ignore[arg-type]  # an update has a rule
    outputs = made if isinstance(made, tuple) else (made,)
    if len(outputs) != results:
        raise NotTraceable("an update with other results than places")
    # the parameter and each slot are overwritten with what becomes of them: operands 0, 2, 3 ..
    program = Program(outputs, [[0], *([i] for i in range(2, operands))])
    b.recipes.append(Recipe(call, b.formula(program, call), program.inputs))
    b.guards += [(call, guard, answer) for guard, answer in guards]
    return b.recipes[-1]


def _earliest(b: Builder, operands: Sequence[Storage]) -> int:
    """The place behind all that touches the same memory, and behind launches from Python: if one fails, no parameter has changed."""
    held = {s.buffer for s in operands}
    for i, other in reversed(list(enumerate(b.instructions, 1))):
        if other.kernel == "python" or any(s.buffer.meets(buffer) for s in (*other.reads, *other.writes) for buffer in held):
            return i
    return 0
