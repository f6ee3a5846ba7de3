"""From a traced program to nodes: each op by its name, or by its rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.onnx import layers, recurrent, shapes
from engine.onnx.elementwise import elementwise
from engine.onnx.graph import Graph
from engine.onnx.trace import Call, NotExportable, Program

RULES: dict[str, Callable[[Graph, Call], list[str]]] = {
    "to": shapes.to, "assign": shapes.same, "move": shapes.same, "clone": shapes.same, "reshape": shapes.reshape, "permute": shapes.permute, "expand": shapes.expand, "slice": shapes.sliced,
    "index": shapes.index, "index_put": shapes.index_put, "gather": shapes.gather, "flip": shapes.flip, "pad": shapes.pad, "tril": shapes.triangle,
    "triu": shapes.triangle, "embedding": shapes.embedding, "linear": layers.linear, "matmul": layers.matmul, "conv": layers.conv,
    "conv_data": layers.conv_data, "max_pool": layers.max_pool, "avg_pool": layers.avg_pool, "resize": layers.resize, "cumsum": layers.cumsum,
    "softmax": layers.softmax, "log_softmax": layers.softmax, "standardize": layers.standardize, "embedding_bag": layers.embedding_bag,
    "rnn": recurrent.recurrent, "gru": recurrent.recurrent, "lstm": recurrent.recurrent,
    **dict.fromkeys(("sum", "mean", "amax", "amin", "prod"), layers.reduction), **dict.fromkeys(("any", "all"), layers.logical), **dict.fromkeys(("argmax", "argmin"), layers.extreme),
}  # fmt: skip
"""By the op's name; ops with a rule need none, and ``cat`` has an op for each number of tensors."""


def convert(g: Graph, program: Program, inputs: Sequence[str]) -> list[str]:
    """Adds the nodes of a program whose inputs have these names; the names of its results. Raises NotExportable."""
    for value, name in zip(program.inputs, inputs, strict=True):
        g.bind(value, name)
    for call in program.calls:
        g.makers.update({id(out): call for out in call.outs})
        for value, name in zip(call.outs, _nodes(g, call)):
            g.bind(value, name)
    return [g.name(value) for value in program.outputs]


def _nodes(g: Graph, call: Call) -> list[str]:
    name = call.op.name
    rule = RULES.get(name) or (shapes.cat if name.startswith("cat") and name[3:].isdigit() else elementwise if call.op.rule else None)
    if rule is None:
        raise NotExportable(f"{name} has no form in ONNX")
    return rule(g, call)
