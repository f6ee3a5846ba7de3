"""Products, convolutions, windows and statistics."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from engine.onnx.graph import Graph, element_type
from engine.onnx.trace import Call, Value
from engine.ops.resize import axes_of


def linear(g: Graph, call: Call) -> list[str]:
    x, w, *bias = call.ins
    if len(x.shape) == 2:
        return [g.node("Gemm", *map(g.name, call.ins), transB=1)]
    turned = g.constant(w.array.T) if w.array is not None else g.node("Transpose", g.name(w), perm=[1, 0])
    y = g.node("MatMul", g.name(x), turned)
    return [g.node("Add", y, g.name(bias[0])) if bias else y]


def matmul(g: Graph, call: Call) -> list[str]:
    return [g.node("MatMul", *map(g.name, call.ins))]


def conv(g: Graph, call: Call) -> list[str]:
    a = call.attrs
    return [
        g.node("Conv", *map(g.name, call.ins), strides=a["stride"], pads=[*a["padding"]] * 2, dilations=a["dilation"], group=a["groups"])
    ]


def conv_data(g: Graph, call: Call) -> list[str]:
    """A transposed convolution; what the size has beyond the smallest is output padding."""
    a, (x, w) = call.attrs, call.ins
    sizes = zip(a["size"], x.shape[2:], a["stride"], a["padding"], a["dilation"], w.shape[2:], strict=True)
    extra = [m - ((n - 1) * s - 2 * p + d * (k - 1) + 1) for m, n, s, p, d, k in sizes]
    return [
        g.node("ConvTranspose", g.name(x), g.name(w), strides=a["stride"], pads=[*a["padding"]] * 2, dilations=a["dilation"], group=a["groups"],
               output_padding=extra)
    ]  # fmt: skip


def _reach(x: Value, y: Value, kernel: Any, stride: Any, padding: Any, dilation: Any) -> list[int]:
    """How far windows reach beyond the input at the end of each axis; less than nothing does not count."""
    each = zip(x.shape[2:], y.shape[2:], kernel, stride, padding, dilation, strict=True)
    return [max(0, (m - 1) * s + d * (k - 1) + 1 - n - p) for n, m, k, s, p, d in each]


def max_pool(g: Graph, call: Call) -> list[str]:
    """The border is as wide as the windows need, which is what ``ceil_mode`` comes to. Where each was taken from, ONNX counts otherwise."""
    a, x = call.attrs, call.ins[0]
    ends = _reach(x, call.outs[0], a["kernel"], a["stride"], a["padding"], a["dilation"])
    name, pads = _within(g, g.name(x), x, a["kernel"], [*a["padding"]], ends, -math.inf)
    return [g.node("MaxPool", name, kernel_shape=a["kernel"], strides=a["stride"], pads=pads, dilations=a["dilation"])]


def avg_pool(g: Graph, call: Call) -> list[str]:
    """Sums of whole windows by what each average counts."""
    a, x = call.attrs, call.ins[0]
    ends = _reach(x, call.outs[0], a["kernel"], a["stride"], a["padding"], (1,) * len(a["kernel"]))
    name, pads = _within(g, g.name(x), x, a["kernel"], [*a["padding"]], ends, 0.0)
    y = g.node("AveragePool", name, kernel_shape=a["kernel"], strides=a["stride"], pads=pads, count_include_pad=1)
    scale = (np.asarray(a["scale"]) * math.prod(a["kernel"])).astype(x.dtype)
    return [y if np.allclose(scale, 1, 1e-7, 0) else g.node("Mul", y, g.constant(scale))]


def _within(g: Graph, name: str, x: Value, kernel: Any, starts: list[int], ends: list[int], value: float) -> tuple[str, list[int]]:
    """The border of windows: their own where it is narrower than they are, as runtimes ask, else a border before."""
    if all(max(a, b) < k for a, b, k in zip(starts, ends, kernel, strict=True)):
        return name, [*starts, *ends]
    return g.node("Pad", name, g.ints([0, 0, *starts, 0, 0, *ends]), g.constant(value, x.dtype)), [0] * 2 * len(starts)


def resize(g: Graph, call: Call) -> list[str]:
    """Along each axis a weighted sum of a few neighbours, as in ``engine.ops.resize``."""
    name, dtype = g.name(call.ins[0]), call.ins[0].dtype
    rank = len(call.ins[0].shape)
    for axis, (_, index, weight) in enumerate(axes_of("resize", **call.attrs), 2):
        parts = []
        for j in range(index.shape[1]):
            part = g.node("Gather", name, g.constant(index[:, j].astype(np.int64)), axis=axis)
            column = weight[:, j].astype(dtype).reshape([-1 if i == axis else 1 for i in range(rank)])
            parts.append(part if (column == 1).all() else g.node("Mul", part, g.constant(column)))
        name = parts[0] if len(parts) == 1 else g.node("Sum", *parts)
    return [name]


_REDUCTIONS = {"sum": "ReduceSum", "mean": "ReduceMean", "amax": "ReduceMax", "amin": "ReduceMin", "prod": "ReduceProd"}


def reduction(g: Graph, call: Call) -> list[str]:
    dims = g.ints(list(call.attrs["dims"]))
    return [g.node(_REDUCTIONS[call.op.name], g.name(call.ins[0]), dims, keepdims=int(call.attrs["keepdim"]), noop_with_empty_axes=1)]


def logical(g: Graph, call: Call) -> list[str]:
    kind, dims = {"any": "ReduceMax", "all": "ReduceMin"}[call.op.name], g.ints(list(call.attrs["dims"]))
    numbers = g.node("Cast", g.node("Cast", g.name(call.ins[0]), to=element_type(np.bool_)), to=element_type(np.int32))
    return [g.node("Cast", g.node(kind, numbers, dims, keepdims=int(call.attrs["keepdim"])), to=element_type(np.bool_))]


def extreme(g: Graph, call: Call) -> list[str]:
    kind = {"argmax": "ArgMax", "argmin": "ArgMin"}[call.op.name]
    return [g.node(kind, g.name(call.ins[0]), axis=call.attrs["dim"], keepdims=int(call.attrs["keepdim"]))]


def cumsum(g: Graph, call: Call) -> list[str]:
    return [g.node("CumSum", g.name(call.ins[0]), g.constant(call.attrs["dim"], np.int64))]


def softmax(g: Graph, call: Call) -> list[str]:
    kind = {"softmax": "Softmax", "log_softmax": "LogSoftmax"}[call.op.name]
    return [g.node(kind, g.name(call.ins[0]), axis=call.attrs["dim"])]


def standardize(g: Graph, call: Call) -> list[str]:
    """``(x - mean) / sqrt(variance + eps)``, the mean and the variance."""
    x, *affine = call.ins
    name, dims = g.name(x), g.ints(list(call.attrs["dims"]))
    centre = g.node("ReduceMean", name, dims, keepdims=1)
    moved = g.node("Sub", name, centre)
    variance = g.node("ReduceMean", g.node("Mul", moved, moved), dims, keepdims=1)
    y = g.node("Div", moved, g.node("Sqrt", g.node("Add", variance, g.constant(call.attrs["eps"], x.dtype))))
    for op, value in zip(("Mul", "Add"), affine):
        y = g.node(op, y, g.name(value))
    return [y, centre, variance]


def embedding_bag(g: Graph, call: Call) -> list[str]:
    """Bags of one length, one after the other."""
    weight, index = call.ins
    length = call.attrs["length"]
    rows = g.node("Reshape", g.name(index), g.ints([-1, length]))
    found = g.node("Gather", g.name(weight), rows, axis=0)
    if call.attrs["padding_idx"] is None:
        return [g.node("ReduceMean" if call.attrs["mean"] else "ReduceSum", found, g.ints([1]), keepdims=0)]
    counts = g.node("Not", g.node("Equal", rows, g.constant(call.attrs["padding_idx"], np.int64)))
    share = g.node("Unsqueeze", g.node("Cast", counts, to=element_type(weight.dtype)), g.ints([2]))
    total = g.node("ReduceSum", g.node("Mul", found, share), g.ints([1]), keepdims=0)
    if not call.attrs["mean"]:
        return [total]
    number = g.node("ReduceSum", share, g.ints([1]), keepdims=0)
    return [g.node("Div", total, g.node("Max", number, g.constant(1, weight.dtype)))]
