"""Formulas wait until they are needed; some are done by the product before them."""

from __future__ import annotations

import numpy as np

from engine.capture.builder import FLOAT, Builder, rule
from engine.capture.formula import Symbol, step, traced
from engine.capture.layout import Buffer, Storage, dense_steps
from engine.capture.record import Call, Value

LONGEST = 20  # steps of a formula that goes on growing
CHEAP = 6  # the cost up to which steps are computed again rather than kept, where a value is used more than once


def _operand(b: Builder, x: Value) -> Symbol | None:
    """A value in a formula, computed first where several would compute it again; None for a kind that formulas cannot read."""
    if x.dtype == np.bool_:
        return b.lazy.get(x) or _mask(b, x)
    if x.dtype != FLOAT:
        return None
    s = b.symbol(x)
    if s.inputs and ((len(x.uses) > 1 and s.cost > CHEAP) or s.steps > LONGEST):
        b.of(x)
        s = b.symbol(x)
    return s


def _mask(b: Builder, x: Value) -> Symbol:
    """Booleans from outside of formulas as ones and zeros."""
    if ("mask", x) not in b.done:
        s = b.of(x)
        v = b.done["mask", x] = Value(x.shape, FLOAT)
        if x.constant:
            array = np.ascontiguousarray(x.array, np.float32)
            b.storage[v] = Storage(Buffer(array.nbytes, array), 0, x.shape, dense_steps(x.shape), FLOAT)
        else:
            b.storage[v] = b.temporary(x.shape)
            b.emit("from_booleans", [s, x.size, b.storage[v]], [s], [b.storage[v]])
    return Symbol("operand", leaf=b.done["mask", x])


@rule("elementwise")
def elementwise(b: Builder, call: Call) -> bool:
    out = call.outs[0]
    if out.dtype == np.int64 and call.op.name == "add" and out.size == 1:
        return _count(b, call)
    if out.dtype not in (FLOAT, np.bool_):
        return False
    if call.op.name in _BY_PRODUCT and _BY_PRODUCT[call.op.name](b, call):
        return True
    operands = [_operand(b, x) if isinstance(x, Value) else x for x in call.ins]
    if any(s is None for s in operands):
        return False
    if call.op.name == "erf":  # its rule asks SciPy, which symbols cannot
        b.wait(out, step("erf", *operands))
        return True
    b.wait(out, traced(call.op.rule, operands, call.attrs))  # type: ignore[arg-type]  # ops without a rule do not come here
    return True


@rule("to")
def to(b: Builder, call: Call) -> bool:
    """Comparisons are 1 or 0 in a formula already."""
    x, out = call.ins[0], call.outs[0]
    if out.dtype != FLOAT or x.dtype not in (FLOAT, np.bool_):
        return False
    s = _operand(b, x)
    if s is None:
        return False
    b.wait(out, step("copy", s) if s.code == "operand" else s)
    return True


@rule("clone")
def clone(b: Builder, call: Call) -> bool:
    """A copy is another name where nothing can change the original."""
    x, out = call.ins[0], call.outs[0]
    if x.dtype != FLOAT:
        return False
    s = b.symbol(x)
    if s.code == "operand" and b.of(x).buffer.array is None:
        b.storage[out] = b.of(x)
    else:
        b.wait(out, step("copy", s) if s.code == "operand" else s)
    return True


@rule("assign")
def assign(b: Builder, call: Call) -> bool:
    """Writing into what was there before, after what still needs the old elements."""
    source = call.ins[0]
    if not call.writes:  # in-place on a value of the step itself: another name
        if source.dtype != call.outs[0].dtype or source.shape != call.outs[0].shape:
            return False
        if source in b.lazy and source not in b.storage:
            b.wait(call.outs[0], b.lazy[source])
        else:
            b.storage[call.outs[0]] = b.of(source)
        return True
    target = call.writes[0]
    b.settle(target)
    to = b.storage[target]
    if source.dtype == np.int64 and target.dtype == np.int64 and target.size == 1:
        zero = Storage(Buffer(8, np.zeros(1, np.int64)), 0, (1,), (1,), np.dtype(np.int64))
        s = b.of(source)
        b.emit("add_integers", [s, zero, to, 1, 0], [s, zero], [to])
        return True
    if source.dtype != FLOAT or target.dtype != FLOAT:
        return False
    b.compute([], stores=[(b.symbol(source), to)])
    return True


def _count(b: Builder, call: Call) -> bool:
    """Steps are counted in integers."""
    x, n = call.ins
    amount = np.array([n], np.int64) if not isinstance(n, Value) else None
    if amount is None or not isinstance(x, Value):
        return False
    other = Storage(Buffer(8, amount), 0, (1,), (1,), np.dtype(np.int64))
    s, to = b.of(x), b.new(call.outs[0])
    b.emit("add_integers", [s, other, to, 1, 0], [s, other], [to])
    return True


# -- what a product does when it writes its tiles


def _relu(b: Builder, call: Call) -> bool:
    x = call.ins[0]
    p = b.open.get(x)
    if p is None or p.relu or p.mask or not b.only_use(x):
        return False
    p.relu = True
    b.storage[call.outs[0]] = b.storage[x]
    return True


def _relu_gradient(b: Builder, call: Call) -> bool:
    g, y = call.ins
    if g in b.done and b.only_use(g):  # unpooled: the mask is the pooled elements
        instruction, x, mask = b.done[g]
        if x is y:
            instruction.arguments[-2] = mask
            instruction.reads.append(mask)
            b.storage[call.outs[0]] = b.storage[g]
            return True
    p = b.open.get(g)
    if p is None or p.relu or p.mask or not b.only_use(g) or y not in b.storage:
        return False
    s = b.storage[y]
    if s.steps != p.out.steps or s.shape != p.out.shape or any(s in i.writes for i in b.instructions[b.instructions.index(p) :]):
        return False
    p.mask = s
    p.reads.append(s)
    b.storage[call.outs[0]] = b.storage[g]
    return True


def _add(b: Builder, call: Call) -> bool:
    """A product adds to what is in its place already."""
    for x, other in (call.ins, reversed(call.ins)):
        p = b.open.get(x) if isinstance(x, Value) else None
        if p is None or not isinstance(other, Value) or other.shape != x.shape or p.relu or p.mask or p.accumulate or not b.only_use(x):
            continue
        if other not in b.storage or not b.free_to_overwrite(other) or b.storage[other].steps != p.out.steps:
            continue
        s = b.storage[other]
        since = b.instructions[b.instructions.index(p) :]
        if any(t.buffer is s.buffer for i in since for t in (*i.reads, *i.writes)):
            continue
        p.accumulate, p.out = True, s
        p.writes[:] = [s]
        p.reads.append(s)
        b.storage[call.outs[0]] = b.storage[x] = s
        b.open[call.outs[0]] = p
        return True
    return False


_BY_PRODUCT = {"relu": _relu, "relu_gradient": _relu_gradient, "add": _add}
