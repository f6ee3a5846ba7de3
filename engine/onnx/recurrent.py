"""Recurrent layers as ONNX's own. Their ops take the inputs' products, ONNX the inputs: the product before is found again, and left out where it was the only use."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.onnx.graph import Graph
from engine.onnx.trace import Call, NotExportable, Value

_ORDER = {"rnn": (0,), "gru": (1, 0, 2), "lstm": (0, 3, 1, 2)}
"""Where ONNX has each gate: update, reset, candidate; input, output, forget, candidate."""
Array = np.ndarray[Any, Any]


def _gates(x: Array, kind: str) -> Array:
    """Rows ``(gates * H, ..)`` in ONNX's order, with an axis for the direction."""
    parts = np.split(x, len(_ORDER[kind]))
    return np.concatenate([parts[i] for i in _ORDER[kind]])[None]


def _array(x: Value, what: str) -> Array:
    if x.array is None:
        raise NotExportable(f"a recurrent layer whose {what} is computed has no form in ONNX")
    return x.array


def _input(g: Graph, x: Value, kind: str) -> tuple[str, Array, Array]:
    """What the layer is given, and the weight and bias that made ``x`` of it; ``x`` itself and the identity where no product did."""
    maker, rows = g.makers.get(id(x)), int(x.shape[-1])  # type: ignore[arg-type]  # no batch
    if maker is None or maker.op.name != "linear" or maker.ins[1].array is None or any(b.array is None for b in maker.ins[2:]):
        return g.name(x), np.eye(rows, dtype=x.dtype), np.zeros(rows, x.dtype)
    bias = maker.ins[2].array if len(maker.ins) > 2 else None
    return g.name(maker.ins[0]), maker.ins[1].array, np.zeros(rows, x.dtype) if bias is None else bias


def recurrent(g: Graph, call: Call) -> list[str]:
    """The states after every step ``(L, N, H)``, or after the one there is ``(N, H)``; of an LSTM also its cells, where there is one step."""
    kind = call.op.name
    x, w, h, *rest = call.ins
    states = [h, rest[0]] if kind == "lstm" else [h]
    bias = rest[len(states) - 1 :]
    given, weight, own = _input(g, x, kind)
    through = _array(w, "weight")
    hidden = through.shape[1]
    both = np.concatenate([_gates(own, kind), _gates(_array(bias[0], "bias") if bias else np.zeros_like(own), kind)], 1)
    single = len(x.shape) == 2
    name = g.node("Unsqueeze", given, g.ints([0])) if single else given
    first = [g.node("Unsqueeze", g.name(s), g.ints([0])) for s in states]
    options: dict[str, Any] = {"hidden_size": hidden, "direction": "reverse" if call.attrs.get("reverse") else "forward"}
    if kind == "gru":
        options["linear_before_reset"] = 1
    if kind == "rnn":
        options["activations"] = [{"tanh": "Tanh", "relu": "Relu"}[call.attrs["nonlinearity"]]]
    matrices = [g.constant(_gates(weight, kind)), g.constant(_gates(through, kind)), g.constant(both)]
    y, _, *cells = g.several(kind.upper(), 1 + len(states), name, *matrices, "", *first, **options) + [""] * (kind != "lstm")
    if single:
        return [g.node("Squeeze", out, g.ints(at)) for out, at in zip([y, *cells][: len(states)], ([0, 1], [0]))]
    return [g.node("Squeeze", y, g.ints([1]))]
