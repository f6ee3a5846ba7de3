"""From a checked spec to a model, and to the table of what each layer yields, costs and needs."""

from __future__ import annotations

import copy
import fnmatch
from dataclasses import asdict, dataclass, field
from typing import Any

from engine import nn
from engine.backend import META
from engine.creation import zeros
from engine.dispatch import count
from engine.dtypes import BY_NAME, float32
from engine.nn import init
from engine.nn.loss import ClassesLast
from engine.nn.module import Module
from engine.spec import registry
from engine.spec.builder import Builder
from engine.spec.optimizing import check_optimizer
from engine.spec.problems import Problem, SpecError, pointer, said
from engine.spec.table import Row
from engine.spec.weights import freeze_problems, unmatched


@dataclass
class Summary:
    """What a model is made of, and what training it takes."""

    layers: list[Row]
    parameters: int = 0
    flops: int = 0
    activation_bytes: int = 0
    batch_size: int = 1
    peak_bytes: int = 0
    fixed_bytes: int = 0
    input: list[int] = field(default_factory=list)
    output: list[int] = field(default_factory=list)
    outputs: dict[str, list[int]] = field(default_factory=dict)
    weights: dict[str, Any] | None = None

    def largest_batch(self, memory_bytes: int) -> int:
        """How many samples a batch can have on a device with this much memory."""
        return max(0, (memory_bytes - self.fixed_bytes) // max(1, 2 * self.activation_bytes))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def parameter_dtype(spec: dict[str, Any]) -> Any:
    """What parameters are kept in: with products in half precision, single."""
    return float32 if spec["precision"] == "bfloat16" else BY_NAME[spec["precision"]]


def build_model(spec: dict[str, Any], input_shape: tuple[int, ...], device: Any = "cpu") -> Module:
    """The model of a checked spec, initialized, for samples of ``input_shape``. Raises SpecError where the layers do not fit."""
    model, _ = Builder(parameter_dtype(spec), device).model(resolve_layers(spec, input_shape), None)
    for rule in spec["init"]:
        arguments = {k: v for k, v in rule.items() if k not in ("match", "type")}
        for name, p in model.named_parameters():
            if fnmatch.fnmatchcase(name, rule["match"]):
                getattr(init, rule["type"])(p, **arguments)
    return model


def resolve_layers(spec: dict[str, Any], input_shape: tuple[int, ...]) -> Any:
    """The spec's ``model`` with every size that follows from the data filled in."""
    model = copy.deepcopy(spec["model"])
    builder, *_ = _followed(spec, model, input_shape)
    if builder.problems:
        raise SpecError(builder.problems)
    return model


def outline(spec: dict[str, Any], input_shape: tuple[int, ...]) -> tuple[Module, dict[Module, str]]:
    """The model without elements in its parameters, and where each of its modules stands in the spec. Raises SpecError where layers do not fit."""
    builder, model, _ = _followed(spec, copy.deepcopy(spec["model"]), input_shape)
    if builder.problems:
        raise SpecError(builder.problems)
    return model, builder.places


def _followed(spec: dict[str, Any], model: Any, input_shape: tuple[int, ...]) -> tuple[Builder, Module, Any]:
    """The builder that went through the layers of a spec without elements, the whole as a module, and what it yields."""
    builder = Builder(parameter_dtype(spec), META)
    x = builder.example(input_shape, max(2, spec["data"].get("batch_size", 32)))
    return builder, *builder.model(model, x)


def summarize(spec: dict[str, Any], input_shape: tuple[int, ...]) -> Summary:
    """The per-layer table and what training takes. Raises SpecError with every problem that shapes, rates and rules have."""
    builder, model, y = _followed(spec, copy.deepcopy(spec["model"]), input_shape)
    problems, rows = builder.problems, builder.table.rows
    for i, rule in enumerate(spec["init"]):
        problems += _check_rule(rule, f"/init/{i}", model)
    slots = check_optimizer(spec, model, problems)
    problems += freeze_problems(spec, model)
    if problems:
        raise SpecError(problems)
    assert y is not None
    outputs = {n: list(one.shape[1:]) for n, one in y.items()} if isinstance(y, dict) else {}
    size, batch = parameter_dtype(spec).itemsize, spec["data"].get("batch_size", 32)
    parameters = sum(p.numel() for p in model.parameters())
    activations = sum(r.activation_bytes for r in rows) + count(input_shape) * size
    fixed = parameters * size * (2 + slots)
    flops = sum(r.flops for r in rows)
    return Summary(
        rows, parameters, flops, activations, batch, fixed + 2 * activations * batch, fixed, list(input_shape),
        [] if outputs else list(y.shape[1:]), outputs,
    )  # fmt: skip


def _check_rule(rule: dict[str, Any], at: str, model: Module) -> list[Problem]:
    """Tries an initializer on small tensors of the same rank as the parameters it matches."""
    matched = [(n, p) for n, p in model.named_parameters() if fnmatch.fnmatchcase(n, rule["match"])]
    if not matched:
        return [unmatched(model, rule["match"], pointer(at, "match"))]
    arguments = {k: v for k, v in rule.items() if k not in ("match", "type")}
    for name, p in matched:
        try:
            getattr(init, rule["type"])(zeros(*(min(s, 2) for s in p.shape)), **arguments)
        except Exception as error:  # whatever it throws: it cannot fill such a parameter
            return [Problem(at, "does_not_fit", f"{rule['type']} cannot fill {name} {tuple(p.shape)}: {said(error)}")]
    return []


def wants_indices(model: list[dict[str, Any]] | dict[str, Any]) -> bool:
    """Whether the first layer that computes with a model's input looks it up, as ``Embedding`` does."""
    return bool(_first_takes(layers_of(model)))


def layers_of(model: Any) -> list[dict[str, Any]]:
    """The layers of a spec's ``model``: a list of them, or one that is the whole model."""
    return [model] if isinstance(model, dict) else model


def wants_columns(layers: Any) -> bool:
    """Whether a model chooses among the columns of its input."""
    if isinstance(layers, dict):
        return layers.get("type") == "Columns" or any(map(wants_columns, layers.values()))
    return isinstance(layers, list) and any(map(wants_columns, layers))


def _first_takes(layers: list[dict[str, Any]]) -> bool | None:
    """Whether indices are taken; None where the layers pass on what they are given."""
    return next((found for layer in layers if (found := _takes_indices(layer)) is not None), None)


def _takes_indices(layer: dict[str, Any]) -> bool | None:
    if layer["type"] in ("Sequential", "Residual"):
        return _first_takes(layer["layers"])
    if layer["type"] == "Parallel":
        branches = [_first_takes(b) for b in layer["branches"]]
        return True if True in branches else None if None in branches else False
    if layer["type"] == "Graph":
        return _graph_takes(layer)
    takes = registry.layers()[layer["type"]].facts.takes
    return None if takes == "any" else takes == "indices"


def _graph_takes(graph: dict[str, Any]) -> bool | None:
    passed_on = {"input"}
    for node in graph["nodes"]:
        if passed_on.isdisjoint(node["inputs"]):
            continue
        found = _takes_indices(node["layer"])
        if found:
            return True
        if found is None:
            passed_on.add(node["name"])
    outputs = [graph["output"]] if isinstance(graph["output"], str) else graph["output"]
    return False if passed_on.isdisjoint(outputs) else None


def build_loss(spec: dict[str, Any]) -> Module:
    """The loss of a spec, for outputs as its model yields them."""
    made: Module = getattr(nn, spec["loss"]["type"])(**{k: v for k, v in spec["loss"].items() if k not in ("type", "class_dim")})
    return ClassesLast(made) if spec["loss"].get("class_dim") == -1 else made
