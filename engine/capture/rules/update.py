"""The optimizer: the parameters of a group by one formula, whose numbers are read when the program runs.

A large parameter is updated as soon as nobody needs it as it was, while its gradient is in the cache; the small ones together, at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.capture.builder import FLOAT, Builder, Recipe, Update, rule
from engine.capture.formula import Live, update_program
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
    recipe = _recipe(b, call, len(ins))
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


def _recipe(b: Builder, call: Call, operands: int) -> Recipe:
    """The formula of all parameters that go the same way: made once, so that its numbers are looked up once a step."""
    hyper = call.attrs
    for known in b.recipes:
        if known.call.attrs is hyper:
            return known
    guards: list[tuple[Live, bool]] = []
    program = update_program(call.op, operands, hyper, guards)
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
