"""Convolutions, with channels last: directly, or by Winograd's transform where timing says so; each channel by itself where that is asked for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.capture.builder import FLOAT, OUT, Builder, Product, rule
from engine.capture.layout import Storage, channels_last
from engine.capture.record import Call, Value
from engine.kernels.native import address

DIRECT, WINOGRAD, COLUMNS = 0, 1, 2
_ENOUGH, _LONG = 1024, 0.01  # places of the result that are timed, and seconds of it
MOST_TAPS = 128


def _channels(x: Sequence[int], y: Sequence[int]) -> tuple[int, ...]:
    """How many channels there are, where there are as many after as before."""
    return (x[1],) if x[1] == y[1] else ()


def _shape(x: Sequence[int], w: Sequence[int], y: Sequence[int], attrs: dict[str, Any]) -> list[int] | None:
    """The kernel's description of a convolution of one or two spatial dimensions; None for what it cannot do."""
    rank = len(x) - 2
    if rank not in (1, 2) or attrs["groups"] not in (1, *_channels(x, y)) or np.prod(w[2:]) > MOST_TAPS:
        return None

    def pair(sizes: Sequence[int], filler: int) -> list[int]:
        return [*[filler] * (2 - rank), *sizes]

    return [
        x[0], *pair(x[2:], 1), x[1], *pair(y[2:], 1), y[1], *pair(w[2:], 1), *pair(attrs["stride"], 1), *pair(attrs["padding"], 0),
        *pair(attrs["dilation"], 1),
    ]  # fmt: skip


def _algorithm(b: Builder, kind: str, shape: list[int]) -> tuple[int, Storage]:
    """Which algorithm, and its working memory; the first candidate is what is mostly the fastest."""
    c, o, kernel = shape[3], shape[6], shape[7:]
    candidates = []
    if (
        kernel == [3, 3, 1, 1, kernel[4], kernel[5], 1, 1]
        and max(kernel[4:6]) <= 2
        and c % b.native.vector == 0 == o % b.native.vector
        and max(c, o) <= 4096
    ):
        candidates.append(WINOGRAD)
    candidates.append(DIRECT)
    if kind == "data" and kernel[0] * kernel[1] > 1 and c % (2 * b.native.vector):  # where tiles of c columns leave registers empty
        candidates.insert(len(candidates) - bool(c % b.native.vector), COLUMNS)

    def work(algorithm: int, images: int = shape[0]) -> int:
        numbers = np.array([images, *shape[1:]], np.int64)  # by a name, so that it lives as long as the call
        return int(b.native.conv_workspace(address(numbers), algorithm))

    n, h, w, c, oh, ow, o, kh, kw = shape[:9]
    n = min(n, max(1, _ENOUGH // (oh * ow)))  # a part of the batch tells as much

    def timed(algorithm: int, enough: float) -> float:
        sizes = {"x": n * h * w * c, "w": o * c * kh * kw, "y": n * oh * ow * o}
        order = {"forward": "xwy", "data": "ywx", "weight": "xyw"}[kind]
        places = b.choice.scratch(*(sizes[i] for i in order), work(algorithm, n))
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
        return 0.0 if algorithm == WINOGRAD else 2.0 * n * oh * ow * o * c * kh * kw / b.native.peak

    algorithm = b.choice.of(f"{kind} {' '.join(map(str, shape))}", candidates, timed, least)
    return algorithm, b.temporary((work(algorithm),))


def _last_first(w: Value) -> tuple[int, ...]:
    """The order of a weight's dimensions in which its first, the channels, lies innermost."""
    return (*range(1, len(w.shape)), 0)


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
    if call.attrs["groups"] > 1:
        s, weight = b.last(source), b.dense(w, _last_first(w))
        to = b.new(out, order)
        given = [s, weight, *([shift or 0] if kind == "forward" else [])]
        b.emit(f"depthwise_{kind}", [*shape, *given, to], [g for g in given if isinstance(g, Storage)], [to])
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
    if call.attrs["groups"] > 1:
        y = b.new(out, _last_first(out))
        b.emit("depthwise_weight", [*shape, s, t, y], [s, t], [y])
        return True
    algorithm, work = _algorithm(b, "weight", shape)
    y = b.new(out)
    b.emit("conv_weight", [algorithm, *shape, s, t, y, work], [s, t], [y, work])
    return True
