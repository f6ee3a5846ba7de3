"""Containers whose layers do not stand in a row: what a spec writes branches with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from engine.nn.container import Sequential, _Indexed
from engine.nn.facts import Facts
from engine.nn.module import Module
from engine.ops.join import cat
from engine.tensor import Tensor

Merge = Literal["concat", "add"]
MERGES = ("concat", "add")


def merged(xs: Sequence[Tensor], how: Merge, who: str) -> Tensor:
    """Several tensors as one: concatenated along dimension 1, or added. Raises RuntimeError where their shapes do not allow it."""
    if len(xs) == 1:
        return xs[0]
    if how == "concat":
        return cat(xs, 1)
    total = xs[0]
    for x in xs[1:]:
        if x.shape != total.shape:
            raise RuntimeError(f"{who} adds tensors of different shapes: {tuple(total.shape)} and {tuple(x.shape)}")
        total = total + x
    return total


def _check_merge(how: str) -> None:
    if how not in MERGES:
        raise ValueError(f"merge must be one of {', '.join(map(repr, MERGES))}, got {how!r}")


class Residual(Sequential):
    """``x + layers(x)``: the layers must keep the shape (He et al., 2015)."""

    def forward(self, input: Any) -> Any:
        return merged([input, super().forward(input)], "add", "Residual")


class Parallel(_Indexed):
    """Applies every branch to the same input and merges the results."""

    spec_facts = Facts(role="container")

    def __init__(self, *branches: Module, merge: Merge = "concat") -> None:
        super().__init__()
        _check_merge(merge)
        self.merge: Merge = merge
        self.extend(branches)

    def forward(self, input: Any) -> Any:
        return merged([branch(input) for branch in self], self.merge, "Parallel")

    def extra_repr(self) -> str:
        return f"merge={self.merge!r}"


class GraphNode(NamedTuple):
    """A named place in a graph: which results it takes, how it makes one of them (None: its layer takes several), and the layer it applies."""

    name: str
    inputs: tuple[str, ...]
    merge: Merge | None
    layer: Module


class Graph(Module):
    """Layers with names, each taking the results of earlier ones; ``input`` names the graph's own input.

    ``output`` names the node whose result is the graph's, or several, whose results are a dict by name. Raises ValueError for a name used twice or not known yet.
    """

    spec_facts = Facts(role="container")

    def __init__(self, nodes: Sequence[GraphNode], output: str | Sequence[str]) -> None:
        super().__init__()
        known = {"input"}
        for node in nodes:
            if node.merge is not None:
                _check_merge(node.merge)
            for name in node.inputs:
                if name not in known:
                    raise ValueError(f"node {node.name!r} takes {name!r}, which no earlier node is named")
            if node.name in known:
                raise ValueError(f"two nodes are named {node.name!r}")
            known.add(node.name)
            self.add_module(node.name, node.layer)
        for name in (output,) if isinstance(output, str) else output:
            if name not in known:
                raise ValueError(f"the output {name!r} is the name of no node")
        self._wires = [(n.name, n.inputs, n.merge) for n in nodes]
        self._output = output

    def forward(self, input: Any) -> Any:
        values = {"input": input}
        for name, inputs, how in self._wires:
            taken = [values[i] for i in inputs]
            values[name] = getattr(self, name)(*(taken if how is None else (merged(taken, how, f"node {name!r}"),)))
        return values[self._output] if isinstance(self._output, str) else {name: values[name] for name in self._output}

    def extra_repr(self) -> str:
        return f"output={self._output!r}"
