"""Matrix products."""

from __future__ import annotations

import math

from engine.capture.builder import FLOAT, OUT, Builder, Product, rule
from engine.capture.layout import Storage
from engine.capture.record import Call, Value


@rule("linear")
def linear(b: Builder, call: Call) -> bool:
    x, w, bias = call.ins[0], call.ins[1], call.ins[2] if len(call.ins) > 2 else None
    out = call.outs[0]
    if out.dtype != FLOAT:
        return False
    n, k = w.shape
    m = math.prod(x.shape[:-1])
    a = b.of(x) if len(x.shape) == 2 else b.dense(x)
    rows, columns = (a.steps[0], a.steps[1]) if len(x.shape) == 2 else (k, 1)
    weight = b.of(w)
    shift = None if bias is None else b.dense(bias)
    y = b.new(out)
    sizes = [1, m, n, k, a, weight, OUT, rows, columns, weight.steps[1], weight.steps[0], n, 1, 0, 0, 0, 0, 0, 0]
    b.product(Product("matmul", [], sizes, [a, weight], y, shift), out)
    return True


@rule("linear_weight")
def linear_weight(b: Builder, call: Call) -> bool:
    """The rows of both, however many dimensions they have: the first ones' columns by the second ones' columns."""
    if call.outs[0].dtype != FLOAT:
        return False
    v, x = (b.of(a) if len(a.shape) == 2 else b.dense(a) for a in call.ins)
    columns, rows = ((s.steps if len(s.shape) == 2 else (s.shape[-1], 1)) for s in (v, x))
    n, k = call.outs[0].shape
    m = math.prod(v.shape[:-1])
    turned = Storage(v.buffer, v.start, (n, m), (columns[1], columns[0]), FLOAT)
    return _product(b, turned, Storage(x.buffer, x.start, (m, k), tuple(rows), FLOAT), call.outs[0])


@rule("matmul")
def matmul(b: Builder, call: Call) -> bool:
    x, w = call.ins
    if call.outs[0].dtype != FLOAT or len(call.outs[0].shape) > 4:
        return False
    return _product(b, b.of(x), b.of(w), call.outs[0])


def _product(b: Builder, s: Storage, t: Storage, out: Value) -> bool:
    lead = out.shape[:-2]
    y = b.new(out, _wanted_order(b, out))

    def batch(steps: tuple[int, ...], shape: tuple[int, ...]) -> list[int]:
        """The steps of two leading dimensions, 0 where one is broadcast."""
        own = [0 if n == 1 else step for n, step in zip(shape[:-2], steps[:-2], strict=True)]
        return [0] * (2 - len(own)) + own

    sizes = [math.prod(lead), out.shape[-2], out.shape[-1], s.shape[-1]]
    rows = [s, t, OUT, *s.steps[-2:], *t.steps[-2:], y.steps[-2]]
    outer = lead[-1] if lead else 1
    b.product(
        Product(
            "matmul",
            [],
            [*sizes, *rows, outer, *batch(s.steps, s.shape), *batch(t.steps, t.shape), *batch(y.steps, y.shape)],
            [s, t],
            y,
            None,
        ),
        out,
    )
    return True


def _wanted_order(b: Builder, out: Value) -> tuple[int, ...] | None:
    """Where the result is only wanted with its dimensions in another order, it is written in that order."""
    if not b.only_use(out) or out.uses[0].op.name != "permute":
        return None
    dims: tuple[int, ...] = out.uses[0].attrs["dims"]
    return dims if dims[-1] == len(out.shape) - 1 else None
