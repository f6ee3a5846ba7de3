"""Convolutions, with channels last: directly, or by Winograd's transform where timing says so. Groups of few channels have kernels of their own."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.capture.builder import FLOAT, OUT, Builder, Product, rule
from engine.capture.layout import Storage, channels_last
from engine.capture.record import Call, Value
from engine.capture.rules.spatial import apart
from engine.kernels.native import address

DIRECT, WINOGRAD, COLUMNS, GROUPED = 0, 1, 2, 3
_ENOUGH, _LONG = 1024, 0.01  # places of the result that are timed, and seconds of it
MOST_TAPS = 128


PLANE = 15  # numbers of a shape that describe a plane
_FLAT = [1] * 5 + [0, 1]  # those of one group without depth


def _shape(x: Sequence[int], w: Sequence[int], y: Sequence[int], attrs: dict[str, Any]) -> list[int] | None:
    """The kernel's description of a convolution: that of a plane, groups, and what it has in depth; None for what it cannot do."""
    if not 3 <= len(x) <= 5 or math.prod(w[2:]) > MOST_TAPS:
        return None
    depth, plane = apart((x[2:], 1), (y[2:], 1), (w[2:], 1), (attrs["stride"], 1), (attrs["padding"], 0), (attrs["dilation"], 1))
    size, out, *others = plane
    return [x[0], *size, x[1], *out, y[1], *(n for pair in others for n in pair), attrs["groups"], *depth]


def _is_narrow(b: Builder, shape: list[int]) -> bool:
    """Whether whole groups fit into a vector."""
    c, o, groups = shape[3], shape[6], shape[PLANE]
    return groups > 1 and c == o and (c == groups or (c // groups in (2, 4, 8) and c // groups < b.native.vector))


def _work(b: Builder, shape: list[int], algorithm: int) -> int:
    numbers = np.array(shape, np.int64)  # by a name, so that it lives as long as the call
    return int(b.native.conv_workspace(address(numbers), algorithm))


def _is_winograd(b: Builder, shape: list[int]) -> bool:
    """Whether Winograd's algorithm can do it: planes of 3 x 3 with stride 1, the depth's taps any, whole vectors of channels."""
    c, o, kernel, stride, padding, dilation = shape[3], shape[6], shape[7:9], shape[9:11], shape[11:13], shape[13:PLANE]
    kd, sd, pd, dd = shape[PLANE + 3 :]
    fits = kernel == [3, 3] and [*stride, *dilation, sd, dd] == [1] * 6 and max(padding) <= 2 and pd < kd
    return fits and c % b.native.vector == 0 == o % b.native.vector and max(c, o) <= 4096


def _algorithm(b: Builder, kind: str, shape: list[int]) -> tuple[int, Storage]:
    """Which algorithm, and its working memory; the first candidate is what is mostly the fastest."""
    n, h, w, c, oh, ow, o, kh, kw = shape[:9]
    groups, d, od, kd = shape[PLANE : PLANE + 4]
    if groups > 1:
        return DIRECT, b.temporary((_work(b, shape, DIRECT),))
    candidates = [WINOGRAD] if _is_winograd(b, shape) else []
    candidates.append(DIRECT)
    leaves_empty = c % (2 * b.native.vector) > 0  # registers, where tiles have c columns
    if kind == "data" and shape[PLANE:] == _FLAT and kh * kw > 1 and leaves_empty:
        candidates.insert(len(candidates) - bool(c % b.native.vector), COLUMNS)
    n = min(n, max(1, _ENOUGH // (od * oh * ow)))  # a part of the batch tells as much

    def timed(algorithm: int, enough: float) -> float:
        sizes = {"x": n * d * h * w * c, "w": o * c * kd * kh * kw, "y": n * od * oh * ow * o}
        order = {"forward": "xwy", "data": "ywx", "weight": "xyw"}[kind]
        places = b.choice.scratch(*(sizes[i] for i in order), _work(b, [n, *shape[1:]], algorithm))
        finish = [] if kind == "weight" else [0, 0, 0]
        code = [b.native.numbers[f"conv_{kind}"], 0, algorithm, *finish, n, *shape[1:], *places]
        code[1] = len(code) - 2
        numbers = np.array(code, np.int64)
        spent: list[float] = []
        threads = b.native.threads
        b.native.set_threads(1)  # whatever else runs on the other cores has no say
        while not spent or (len(spent) < 6 and sum(spent) < _LONG and min(spent) >= enough):
            start = time.perf_counter()
            b.native.run(address(numbers), len(code))
            spent.append(time.perf_counter() - start)
        b.native.set_threads(threads)
        return min(spent[1:] or spent)

    def least(algorithm: int) -> float:
        return 0.0 if algorithm == WINOGRAD else 2.0 * n * od * oh * ow * o * c * kd * kh * kw / b.native.peak

    key = shape[:PLANE] if shape[PLANE:] == _FLAT else shape
    algorithm = b.choice.of(f"{kind} {' '.join(map(str, key))}", candidates, timed, least)
    return algorithm, b.temporary((_work(b, shape, algorithm),))


def _last_first(w: Value) -> tuple[int, ...]:
    """The order of a weight's dimensions in which its first, the channels of the result, lies innermost."""
    return (*range(1, len(w.shape)), 0)


def _group_weight(b: Builder, w: Value, kind: str, groups: int) -> Storage:
    """Weights as (channels of a group, kernel positions, channels of the result) of a convolution or of its data gradient."""
    s, k = b.of(w), w.shape[1]
    split = Storage(s.buffer, s.start, (groups, k, *s.shape[1:]), (s.steps[0] * k, *s.steps), s.dtype)  # (group, output, input, ..)
    positions = range(3, len(split.shape))
    order = (1, *positions, 0, 2) if kind == "data" else (2, *positions, 0, 1)
    return split if split.is_dense(order) else b.copied(split, order)


@rule("conv", "conv_data")
def product(b: Builder, call: Call) -> bool:
    """The convolution of an input, or of the output's gradient, with the weight."""
    kind = "data" if call.op.name == "conv_data" else "forward"
    source, w, out = call.ins[0], call.ins[1], call.outs[0]
    bias = call.ins[2] if len(call.ins) > 2 else None
    x, y = (source, out) if kind == "forward" else (out, source)
    shape = _shape(x.shape, w.shape, y.shape, call.attrs)
    if shape is None or out.dtype != FLOAT:
        return False
    order, shift = channels_last(len(out.shape)), None if bias is None else b.dense(bias)
    if _is_narrow(b, shape):
        s, weight = b.last(source), _group_weight(b, w, kind, call.attrs["groups"])
        to = b.new(out, order)
        given = [s, weight, *([shift or 0] if kind == "forward" else [])]
        b.emit(f"grouped_{kind}", [*shape, *given, to], [g for g in given if isinstance(g, Storage)], [to])
        return True
    algorithm, work = _algorithm(b, kind, shape)
    s, weight = b.last(source), b.dense(w)
    to = b.new(out, order)
    b.product(Product(f"conv_{kind}", [algorithm], [*shape, s, weight, OUT, work], [s, weight, work], to, shift), out)
    return True


@rule("conv_weight")
def weight(b: Builder, call: Call) -> bool:
    x, g = call.ins
    out = call.outs[0]
    shape = _shape(x.shape, out.shape, g.shape, call.attrs)
    if shape is None or out.dtype != FLOAT:
        return False
    s, t = b.last(x), b.last(g)
    if _is_narrow(b, shape):
        y, work = b.new(out, _last_first(out)), b.temporary((_work(b, shape, GROUPED),))
        b.emit("grouped_weight", [*shape, s, t, y, work], [s, t], [y, work])
        return True
    algorithm, work = _algorithm(b, "weight", shape)
    y = b.new(out)
    b.emit("conv_weight", [algorithm, *shape, s, t, y, work], [s, t], [y, work])
    return True
