"""Sums and means: with the formula that they add up, where they run over all elements or over rows; else over a copy in their order."""

from __future__ import annotations

import math

from engine.capture.builder import FLOAT, ONE, ROW, Builder, rule
from engine.capture.formula import step
from engine.capture.layout import Storage
from engine.capture.record import Call, Value

FEW_ROWS = 512
"""Rows up to which the columns are shared out for adding them up, not the rows."""


def whole_rows(b: Builder, x: Value, dims: tuple[int, ...]) -> tuple[int, ...] | None:
    """The order in which ``x`` lies in memory, if what is left of it after adding up ``dims`` lies innermost."""
    kept = [d for d in range(len(x.shape)) if d not in dims and x.shape[d] > 1]
    order = b._order(x.shape, [b.storage[x]] if x in b.storage else [b.of(v) for v in b.operands_of(x)])
    return order if kept and [d for d in order if x.shape[d] > 1][-len(kept) :] == kept else None


@rule("sum", "mean")
def sum_(b: Builder, call: Call) -> bool:
    x, out = call.ins[0], call.outs[0]
    dims: tuple[int, ...] = call.attrs["dims"]
    if x.dtype != FLOAT or out.dtype != FLOAT:
        return False
    if _done(b, call):
        return True
    count = math.prod(x.shape[d] for d in dims)
    if count == 1:
        s = b.dense(x)
        b.storage[out] = Storage(s.buffer, s.start, out.shape, _contiguous(out.shape), FLOAT)
        return True
    formula = b.symbol(x)
    if call.op.name == "mean":
        formula = step("mul", formula, 1 / count)
    if out.size == 1:
        b.compute([], sums=[(formula, b.new(out), ONE)])
        return True
    if formula.inputs and len(x.uses) > 1:
        b.of(x)
        if _done(b, call):
            return True
        formula = b.symbol(x) if call.op.name == "sum" else step("mul", b.symbol(x), 1 / count)
    order = whole_rows(b, x, dims)
    scale = 1.0 if call.op.name == "sum" else 1 / count
    if order and x in b.storage and count <= FEW_ROWS and b.storage[x].is_dense(order):
        to = b.new(out)
        b.emit("sum_columns", [b.storage[x], count, out.size, scale, to], [b.storage[x]], [to])
        return True
    if order:
        b.compute([], sums=[(formula, b.new(out), ROW)], order=order)
        return True
    order = (*(d for d in range(len(x.shape)) if d not in dims), *dims)
    s = b.dense(x, order)
    to = b.new(out)
    b.emit("sum_rows", [s, out.size, count, scale, to], [s], [to])
    return True


@rule("squares")
def squares(b: Builder, call: Call) -> bool:
    x, target = call.ins
    if x.dtype != FLOAT:
        return False
    d = step("sub", b.symbol(x), b.symbol(target))
    b.compute([], sums=[(step("mul", step("mul", d, d), 1 / x.size if call.attrs["mean"] else 1.0), b.new(call.outs[0]), ONE)])
    return True


def _done(b: Builder, call: Call) -> bool:
    """Whether the sum was made with the pass that computed what it adds up."""
    key, out = ("sum", call.ins[0], call.attrs["dims"]), call.outs[0]
    if key not in b.done or call.op.name != "sum":
        return False
    s = b.done[key]
    b.storage[out] = Storage(s.buffer, s.start, out.shape, _contiguous(out.shape), FLOAT)
    return True


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
