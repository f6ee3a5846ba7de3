"""From a checked spec to a model, and to the table of what each layer yields, costs and needs.

The table comes from running the model on arrays without elements, so a layer needs no rule of its own to be in it.
"""

from __future__ import annotations

import copy
import fnmatch
import inspect
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from engine import nn, optim
from engine.backend import META, Array, MetaArray
from engine.creation import zeros
from engine.dispatch import Op, count, observing
from engine.dtypes import BY_NAME, float32
from engine.modes import no_grad
from engine.nn import init
from engine.nn.branches import Graph, GraphNode, Parallel, Residual, merged
from engine.nn.container import Sequential
from engine.nn.module import Module
from engine.nn.parameter import Parameter
from engine.optim import lr_scheduler
from engine.spec import registry
from engine.spec.limits import check_arguments, check_map
from engine.spec.problems import Problem, SpecError, pointer, said
from engine.spec.registry import INFERRED
from engine.tensor import Tensor

_AXES = {"in_channels": 1, "in_features": -1, "num_features": 1}


@dataclass
class Row:
    """One layer of the table; sizes are for one sample."""

    pointer: str
    name: str
    type: str
    output: list[int]
    parameters: int
    flops: int
    activation_bytes: int


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

    def largest_batch(self, memory_bytes: int) -> int:
        """How many samples a batch can have on a device with this much memory."""
        return max(0, (memory_bytes - self.fixed_bytes) // max(1, 2 * self.activation_bytes))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class _Builder:
    """Builds modules in order, following the shape of what they yield."""

    def __init__(self, dtype: Any, device: Any) -> None:
        self.dtype, self.device = dtype, device
        self.problems: list[Problem] = []
        self.rows: list[Row] = []
        self.places: dict[Module, str] = {}
        self.flops = self.bytes = 0

    def _observe(self, op: Op, outs: list[Array], ins: Any, attrs: dict[str, Any]) -> None:
        if op.view is None:
            self.flops += op.flops(outs, ins, attrs)
            self.bytes += sum(o.nbytes for o in outs)

    def sequence(self, layers: list[dict[str, Any]], x: Tensor | None, at: str, name: str = "") -> tuple[list[Module], Tensor | None]:
        modules = []
        for i, layer in enumerate(layers):
            module, x = self.layer(layer, x, pointer(at, i), f"{name}{i}")
            modules.append(module)
        return modules, x

    def layer(self, layer: dict[str, Any], x: Tensor | None, at: str, name: str) -> tuple[Module, Tensor | None]:
        build = {"Sequential": self._sequential, "Residual": self._residual, "Parallel": self._parallel, "Graph": self._graph}
        module, y = build.get(layer["type"], self._plain)(layer, x, at, name)
        self.places[module] = at
        return module, y

    def _sequential(self, layer: dict[str, Any], x: Tensor | None, at: str, name: str) -> tuple[Module, Tensor | None]:
        modules, y = self.sequence(layer["layers"], x, pointer(at, "layers"), f"{name}.")
        return Sequential(*modules), y

    def _residual(self, layer: dict[str, Any], x: Tensor | None, at: str, name: str) -> tuple[Module, Tensor | None]:
        modules, y = self.sequence(layer["layers"], x, pointer(at, "layers"), f"{name}.")
        return Residual(*modules), self._merge([x, y], "add", "Residual", at)

    def _parallel(self, layer: dict[str, Any], x: Tensor | None, at: str, name: str) -> tuple[Module, Tensor | None]:
        branches, ends = [], []
        for i, b in enumerate(layer["branches"]):
            modules, end = self.sequence(b, x, pointer(at, "branches", i), f"{name}.{i}.")
            branches.append(Sequential(*modules))
            ends.append(end)
        return Parallel(*branches, merge=layer["merge"]), self._merge(ends, layer["merge"], "Parallel", at)

    def _graph(self, layer: dict[str, Any], x: Tensor | None, at: str, name: str) -> tuple[Module, Tensor | None]:
        values, nodes = {"input": x}, []
        for i, n in enumerate(layer["nodes"]):
            here = pointer(at, "nodes", i)
            taken = self._merge([values[k] for k in n["inputs"]], n["merge"], f"node {n['name']!r}", here)
            module, values[n["name"]] = self.layer(n["layer"], taken, pointer(here, "layer"), f"{name}.{n['name']}")
            nodes.append(GraphNode(n["name"], tuple(n["inputs"]), n["merge"], module))
        return Graph(nodes, layer["output"]), values[layer["output"]]

    def _merge(self, xs: list[Tensor | None], how: Any, who: str, at: str) -> Tensor | None:
        """What several results make together; None where an earlier problem has hidden one of their shapes."""
        known = [x for x in xs if x is not None]
        return self._forward(lambda _: merged(known, how, who), known[0], at) if len(known) == len(xs) else None

    def _plain(self, layer: dict[str, Any], x: Tensor | None, at: str, name: str) -> tuple[Module, Tensor | None]:
        kind = registry.layers()[layer["type"]]
        mismatch = self._infer(layer, x, at)
        arguments = {k: v for k, v in layer.items() if k != "type"}
        if any(arguments.get(k, 0) is None for k in INFERRED):
            return nn.Identity(), None  # the shape is unknown here: an earlier problem has been recorded
        too_large = check_arguments(kind.name, arguments, at)
        if too_large:
            self.problems += too_large
            return nn.Identity(), None
        try:
            takes_device = "device" in inspect.signature(kind.make).parameters
            module: Module = kind.make(**arguments, **({"device": self.device, "dtype": self.dtype} if takes_device else {}))
        except Exception as error:  # whatever a constructor throws is its word on the arguments
            self.problems.append(blame(kind, arguments, error, at))
            return nn.Identity(), None
        before = self.flops, self.bytes
        y = self._on_samples(module, x, at)
        if y is not None and not mismatch:
            n = y.shape[0] if y.ndim else 1
            parameters = sum(p.numel() for p in module.parameters())
            self.rows.append(
                Row(at, name, kind.name, list(y.shape[1:]), parameters, (self.flops - before[0]) // n, (self.bytes - before[1]) // n)
            )
        return module, y

    def _on_samples(self, module: Module, x: Tensor | None, at: str) -> Tensor | None:
        """What a layer yields; None, and a problem, where it does not work on each sample of a batch by itself."""
        y = self._forward(module.forward, x, at)
        if x is None or y is None:
            return None
        found = mixes_samples(module, x, y, at) or check_map(tuple(y.shape), at)
        self.problems += found
        return None if found else y

    def _infer(self, layer: dict[str, Any], x: Tensor | None, at: str) -> bool:
        """Fills in, or checks, the argument of ``layer`` that follows from the input; whether it was wrong."""
        for key in INFERRED:
            if key not in layer or x is None:
                continue
            axis = _AXES[key]
            if (x.ndim <= max(axis, 1) and axis >= 0) or x.ndim < 2:
                continue
            found, above = x.shape[axis], "x".join(map(str, x.shape[1:]))
            if layer[key] is None:
                layer[key] = found
            elif layer[key] != found:
                given = layer[key]
                self.problems.append(
                    Problem(pointer(at, key), "mismatch", f"expected {found} (the layer above yields {above}), got {given}", found, given)
                )
                layer[key] = found
                return True
        return False

    def _forward(self, function: Callable[[Tensor], Tensor], x: Tensor | None, at: str) -> Tensor | None:
        if x is None:
            return None
        try:
            with no_grad(), observing(self._observe):
                return function(x)
        except Exception as error:  # whatever it throws: it does not work on this input
            self.problems.append(misfit(error, x, at))
            return None


def misfit(error: Exception, x: Tensor, at: str) -> Problem:
    """A layer's complaint about its input."""
    return Problem(at, "does_not_fit", f"{said(error)} (the layer above yields {above(x)})", None, list(x.shape[1:]))


def above(x: Tensor) -> str:
    """One sample's shape, in words."""
    return "x".join(map(str, x.shape[1:])) or "a number"


def mixes_samples(module: Module, x: Tensor, y: Tensor, at: str) -> list[Problem]:
    """Whether a layer changes how many samples there are, or computes along them."""
    if y.ndim == 0 or y.shape[0] != x.shape[0]:
        detail = f"a layer must leave the samples of a batch apart, but this one makes {list(y.shape)} of {list(x.shape)} (the first size is the batch's)"
        return [Problem(at, "changes_batch", detail, list(x.shape[:1]), list(y.shape[:1]))]
    if isinstance(module, nn.TransformerEncoderLayer) and not (module.self_attn.batch_first and x.ndim == 3):
        detail = "attends along the samples of a batch: set batch_first to true, and give it sequences LxE"
        return [
            Problem(
                pointer(at, "batch_first"),
                "changes_batch",
                f"{detail} (the layer above yields {above(x)})",
                True,
                module.self_attn.batch_first,
            )
        ]
    if isinstance(module, nn.Softmax | nn.Softmin | nn.LogSoftmax):
        dim = module.dim if module.dim is not None else 0 if x.ndim in (0, 1, 3) else 1
        if dim % x.ndim == 0:
            detail = f"computes along dimension 0, the samples of a batch: set dim to 1 (the layer above yields {above(x)})"
            return [Problem(pointer(at, "dim"), "changes_batch", detail, 1, module.dim)]
    return []


def blame(kind: registry.Kind, arguments: dict[str, Any], error: Exception, at: str) -> Problem:
    """A constructor's complaint at the argument that causes it: the one whose default makes it go away, or the one it names."""
    given = sorted((k for k, v in arguments.items() if kind.defaults.get(k, ...) != v), key=INFERRED.__contains__)
    for name in given:
        if re.search(rf"\b{name.replace('_', '[_ ]')}\b", str(error)):
            return Problem(pointer(at, name), "invalid", said(error), None, arguments[name])
    for name in given:
        if name in kind.defaults and kind.name in registry.optimizers():
            try:
                kind.make([Parameter(zeros(1))], **{k: v for k, v in arguments.items() if k != name})
                return Problem(pointer(at, name), "invalid", said(error), None, arguments[name])
            except Exception:  # another argument's fault
                continue
    return Problem(at, "invalid", said(error))


def parameter_dtype(spec: dict[str, Any]) -> Any:
    """What parameters are kept in: with products in half precision, single."""
    return float32 if spec["precision"] == "bfloat16" else BY_NAME[spec["precision"]]


def build_model(spec: dict[str, Any], input_shape: tuple[int, ...], device: Any = "cpu") -> Sequential:
    """The model of a checked spec, initialized, for samples of ``input_shape``. Raises SpecError where the layers do not fit."""
    layers = resolve_layers(spec, input_shape)
    modules, _ = _Builder(parameter_dtype(spec), device).sequence(layers, None, "/model")
    model = Sequential(*modules)
    for rule in spec["init"]:
        arguments = {k: v for k, v in rule.items() if k not in ("match", "type")}
        for name, p in model.named_parameters():
            if fnmatch.fnmatchcase(name, rule["match"]):
                getattr(init, rule["type"])(p, **arguments)
    return model


def resolve_layers(spec: dict[str, Any], input_shape: tuple[int, ...]) -> list[dict[str, Any]]:
    """The layers with every size that follows from the data filled in."""
    layers: list[dict[str, Any]] = copy.deepcopy(spec["model"])
    builder = _Builder(parameter_dtype(spec), META)
    builder.sequence(layers, _example(spec, input_shape), "/model")
    if builder.problems:
        raise SpecError(builder.problems)
    return layers


def outline(spec: dict[str, Any], input_shape: tuple[int, ...]) -> tuple[Sequential, dict[Module, str]]:
    """The model without elements in its parameters, and where each of its modules stands in the spec. Raises SpecError where layers do not fit."""
    builder = _Builder(parameter_dtype(spec), META)
    modules, _ = builder.sequence(copy.deepcopy(spec["model"]), _example(spec, input_shape), "/model")
    if builder.problems:
        raise SpecError(builder.problems)
    return Sequential(*modules), builder.places


def _example(spec: dict[str, Any], input_shape: tuple[int, ...]) -> Tensor:
    batch = max(2, spec["data"].get("batch_size", 32))
    return Tensor._wrap(MetaArray((batch, *input_shape), parameter_dtype(spec).numpy))


def summarize(spec: dict[str, Any], input_shape: tuple[int, ...]) -> Summary:
    """The per-layer table and what training takes. Raises SpecError with every problem that shapes, rates and rules have."""
    builder = _Builder(parameter_dtype(spec), META)
    x = _example(spec, input_shape)
    modules, y = builder.sequence(copy.deepcopy(spec["model"]), x, "/model")
    problems = builder.problems
    model = Sequential(*modules)
    for i, rule in enumerate(spec["init"]):
        problems += _check_rule(rule, f"/init/{i}", model)
    slots = _check_optimizer(spec, problems)
    if problems:
        raise SpecError(problems)
    assert y is not None
    size, batch = parameter_dtype(spec).itemsize, spec["data"].get("batch_size", 32)
    parameters = sum(p.numel() for p in model.parameters())
    activations = sum(r.activation_bytes for r in builder.rows) + count(input_shape) * size
    fixed = parameters * size * (2 + slots)
    flops = sum(r.flops for r in builder.rows)
    return Summary(
        builder.rows, parameters, flops, activations, batch, fixed + 2 * activations * batch, fixed, list(input_shape), list(y.shape[1:])
    )


def _check_rule(rule: dict[str, Any], at: str, model: Module) -> list[Problem]:
    """Tries an initializer on small tensors of the same rank as the parameters it matches."""
    matched = [(n, p) for n, p in model.named_parameters() if fnmatch.fnmatchcase(n, rule["match"])]
    if not matched:
        names = [n for n, _ in model.named_parameters()]
        return [
            Problem(
                pointer(at, "match"),
                "no_match",
                f"{rule['match']!r} matches no parameter (there are {', '.join(names[:8])}{', ...' if len(names) > 8 else ''})",
                names,
                rule["match"],
            )
        ]
    arguments = {k: v for k, v in rule.items() if k not in ("match", "type")}
    for name, p in matched:
        try:
            getattr(init, rule["type"])(zeros(*(min(s, 2) for s in p.shape)), **arguments)
        except Exception as error:  # whatever it throws: it cannot fill such a parameter
            return [Problem(at, "does_not_fit", f"{rule['type']} cannot fill {name} {tuple(p.shape)}: {said(error)}")]
    return []


def _check_optimizer(spec: dict[str, Any], problems: list[Problem]) -> int:
    """Tries the optimizer and the scheduler; the number of arrays that the optimizer keeps for each parameter."""
    kind = registry.optimizers()[spec["optimizer"]["type"]]
    arguments = {k: v for k, v in spec["optimizer"].items() if k != "type"}
    try:
        optimizer = kind.make([Parameter(zeros(1))], **arguments)
    except Exception as error:  # its word on the arguments
        problems.append(blame(kind, arguments, error, "/optimizer"))
        return 0
    if spec["scheduler"]:
        try:
            build_scheduler(spec, optimizer)
        except Exception as error:  # its word on the arguments
            schedule = registry.schedulers()[spec["scheduler"]["type"]]
            problems.append(blame(schedule, {k: v for k, v in spec["scheduler"].items() if k != "type"}, error, "/scheduler"))
    return len(optimizer.active_slots(optimizer.param_groups[0]))


def build_loss(spec: dict[str, Any]) -> Module:
    return getattr(nn, spec["loss"]["type"])(**{k: v for k, v in spec["loss"].items() if k != "type"})


def build_optimizer(spec: dict[str, Any], model: Module) -> optim.Optimizer:
    return getattr(optim, spec["optimizer"]["type"])(model.parameters(), **{k: v for k, v in spec["optimizer"].items() if k != "type"})


def build_scheduler(spec: dict[str, Any], optimizer: optim.Optimizer) -> Any:
    """The schedule of the learning rate, or None."""
    if not spec["scheduler"]:
        return None
    return getattr(lr_scheduler, spec["scheduler"]["type"])(optimizer, **{k: v for k, v in spec["scheduler"].items() if k != "type"})
