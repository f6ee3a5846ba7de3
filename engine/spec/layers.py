"""The layers of a spec: plain ones by their signatures, and the containers that nest them."""

from __future__ import annotations

from typing import Any

from engine.nn.branches import MERGES, Graph
from engine.spec import registry
from engine.spec.problems import Problem, nearest, pointer, shown
from engine.spec.registry import CONTAINERS, Kind

MAX_DEPTH, MAX_LAYERS = 30, 2000
_KEYS = {"Sequential": ("layers",), "Residual": ("layers",), "Parallel": ("branches", "merge"), "Graph": ("nodes", "output")}
_TAKEN = frozenset(dir(Graph([], "input")))
"""Names that a graph itself has: its nodes need others."""
_NODE_KEYS = ("name", "inputs", "merge", "layer")


class LayerChecker:
    """Collects problems while it fills in layers."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.layers_seen = 0

    def fail(self, at: str, code: str, detail: str, expected: Any = None, got: Any = None) -> None:
        self.problems.append(Problem(at, code, detail, expected, got))

    def kind(self, value: Any, at: str, known: dict[str, Any], what: str) -> str | None:
        """The ``type`` of an object, if it has a known one."""
        if not isinstance(value, dict):
            self.fail(at, "invalid", f'expected an object with a "type" ({what}), got {shown(value)}', "an object", value)
            return None
        name = value.get("type")
        if name is None:
            self.fail(pointer(at, "type"), "missing", f"type is missing: expected the name of {what}", sorted(known))
            return None
        if not isinstance(name, str) or name not in known:
            detail = f"unknown {what.split()[-1]} {shown(name)}{nearest(name, known)}"
            self.fail(pointer(at, "type"), "unknown_name", detail, sorted(known), name)
            return None
        return name

    def named(self, value: Any, at: str, kinds: dict[str, Kind], what: str) -> dict[str, Any] | None:
        name = self.kind(value, at, kinds, what)
        return None if name is None else {"type": name, **kinds[name].check(value, at, self.problems)}

    def model(self, value: Any, at: str) -> Any:
        """Layers in a row, or one that is the whole model, whose state dict then has no numbers before its names."""
        if isinstance(value, dict):
            return self.layer(value, at, 0)
        return self.layers(value, at)

    def layers(self, value: Any, at: str, depth: int = 0) -> list[dict[str, Any] | None]:
        if not isinstance(value, list):
            self.fail(at, "invalid", f"expected a list of layers, got {shown(value)}", "a list", value)
            return []
        if depth > MAX_DEPTH:
            self.fail(at, "too_deep", f"layers are nested more than {MAX_DEPTH} deep", MAX_DEPTH)
            return []
        self.layers_seen += len(value)
        if self.layers_seen > MAX_LAYERS:
            self.fail(at, "too_many", f"expected at most {MAX_LAYERS} layers", MAX_LAYERS, self.layers_seen)
            return []
        return [self.layer(layer, pointer(at, i), depth) for i, layer in enumerate(value)]

    def layer(self, value: Any, at: str, depth: int) -> dict[str, Any] | None:
        name = self.kind(value, at, {**registry.layers(), **CONTAINERS}, "a layer")
        if name is None:
            return None
        if name not in CONTAINERS:
            return {"type": name, **registry.layers()[name].check(value, at, self.problems)}
        self.keys(value, ("type", *_KEYS[name]), at, name)
        if name == "Graph":
            return {"type": name, **self.graph(value, at, depth)}
        if name == "Parallel":
            return {
                "type": name,
                "branches": self.branches(value.get("branches"), pointer(at, "branches"), depth),
                "merge": self.merge(value, at),
            }
        return {"type": name, "layers": self.layers(value.get("layers"), pointer(at, "layers"), depth + 1)}

    def keys(self, value: dict[str, Any], known: tuple[str, ...], at: str, who: str) -> None:
        """Refuses keys that are not ``known``."""
        for key in value:
            if key not in known:
                takes = ", ".join(k for k in known if k != "type")
                self.fail(
                    pointer(at, key),
                    "unknown_key",
                    f"unknown key '{key}'{nearest(key, known)} ({who} takes {takes})",
                    list(known),
                    value[key],
                )

    def merge(self, value: dict[str, Any], at: str) -> Any:
        how = value.get("merge", "concat")
        if how not in MERGES:
            self.fail(
                pointer(at, "merge"), "invalid", f"expected one of {', '.join(map(repr, MERGES))}, got {shown(how)}", list(MERGES), how
            )
        return how

    def node_merge(self, node: dict[str, Any], layer: dict[str, Any] | None, inputs: list[Any], at: str) -> Any:
        """How a node makes one tensor of its inputs; None, which is the default then, where its layer takes several."""
        kind = registry.layers().get(layer["type"]) if layer else None
        if kind and len(kind.facts.inputs) > 1 and node.get("merge") is None:
            return None
        return self.merge({k: v for k, v in node.items() if v is not None}, at)

    def branches(self, value: Any, at: str, depth: int) -> list[Any]:
        if not isinstance(value, list) or not value:
            self.fail(at, "invalid", f"expected a list of lists of layers, got {shown(value)}", "a list of lists", value)
            return []
        return [self.layers(b, pointer(at, i), depth + 1) for i, b in enumerate(value)]

    def graph(self, value: dict[str, Any], at: str, depth: int) -> dict[str, Any]:
        """Nodes take the results of earlier ones: by default that of the node before."""
        nodes, here = value.get("nodes"), pointer(at, "nodes")
        if not isinstance(nodes, list) or not nodes or not all(isinstance(n, dict) for n in nodes):
            self.fail(here, "invalid", f"expected a list of nodes, got {shown(nodes)}", "a list of objects", nodes)
            return {"nodes": [], "output": "input"}
        known, found = ["input"], []
        for i, node in enumerate(nodes):
            where = pointer(here, i)
            self.keys(node, _NODE_KEYS, where, "a node")
            name, inputs = node.get("name"), node.get("inputs", [known[-1]])
            if not isinstance(name, str) or not name.isidentifier() or name in known:
                self.fail(
                    pointer(where, "name"),
                    "invalid",
                    f"expected a name of its own, of letters, digits and _, got {shown(name)}",
                    "a name",
                    name,
                )
                name = f"node{i}"
            elif name in _TAKEN:
                self.fail(
                    pointer(where, "name"), "reserved", f"{name!r} names something of a graph itself: expected another name", "a name", name
                )
            if not isinstance(inputs, list) or not inputs:
                self.fail(pointer(where, "inputs"), "invalid", f"expected a list of names, got {shown(inputs)}", "a list of names", inputs)
                inputs = [known[-1]]
            for j, taken in enumerate(inputs):
                if taken not in known:
                    detail = f"{shown(taken)} is the name of no earlier node{nearest(taken, known)}"
                    self.fail(pointer(where, "inputs", j), "unknown_name", detail, known.copy(), taken)
            layer = self.layer(node.get("layer", {"type": "Identity"}), pointer(where, "layer"), depth + 1)
            found.append({"name": name, "inputs": inputs, "merge": self.node_merge(node, layer, inputs, where), "layer": layer})
            known.append(name)
        return {"nodes": found, "output": self.graph_output(value.get("output", known[-1]), known, pointer(at, "output"))}

    def graph_output(self, value: Any, known: list[str], at: str) -> Any:
        """The node whose result is a graph's, or several."""
        names = value if isinstance(value, list) else [value]
        for i, name in enumerate(names):
            if name not in known or names.index(name) < i:
                where = pointer(at, i) if isinstance(value, list) else at
                why = "is named twice" if name in known else f"is the name of no node{nearest(name, known)}"
                self.fail(where, "unknown_name", f"{shown(name)} {why}", known, name)
        if not names:
            self.fail(at, "invalid", "expected the name of a node, or of several", known, value)
        return value


def container_schemas() -> dict[str, Any]:
    """The JSON Schemas of the containers; layers are at ``#/$defs/Layer``."""
    layer = {"$ref": "#/$defs/Layer"}
    nested = {"type": "array", "items": layer}
    merge = {"enum": list(MERGES), "default": "concat"}
    node_merge = {"enum": [*MERGES, None], "description": "How several inputs become one; null, where the layer takes several."}
    node = {
        "type": "object", "required": ["name"], "additionalProperties": False,
        "properties": {"name": {"type": "string"}, "inputs": {"type": "array", "items": {"type": "string"}, "minItems": 1}, "merge": node_merge, "layer": layer},
    }  # fmt: skip
    properties: dict[str, dict[str, Any]] = {
        "Sequential": {"layers": nested},
        "Residual": {"layers": nested},
        "Parallel": {"branches": {"type": "array", "items": nested, "minItems": 1}, "merge": merge},
        "Graph": {
            "nodes": {"type": "array", "items": node, "minItems": 1},
            "output": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]},
        },
    }
    return {
        name: {
            "type": "object", "description": CONTAINERS[name].__doc__, "properties": {"type": {"const": name}, **found}, "required": ["type", next(iter(found))],
            "additionalProperties": False,
        }
        for name, found in properties.items()
    }  # fmt: skip
