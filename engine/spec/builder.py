"""Builds the layers of a checked spec in order, following the shape of what each yields.

The table of layers comes from running them on arrays without elements, so a layer needs no rule of its own to be in it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from engine import nn
from engine.backend import MetaArray, device
from engine.creation import zeros
from engine.dispatch import observing
from engine.dtypes import int64
from engine.modes import no_grad
from engine.nn.branches import Graph, GraphNode, Parallel, Residual, merged
from engine.nn.container import Sequential
from engine.nn.module import Module
from engine.nn.parameter import Parameter
from engine.spec import registry
from engine.spec.inputs import Features, features_of, limit_of
from engine.spec.limits import check_arguments, check_map
from engine.spec.problems import Problem, nearest, pointer, said
from engine.spec.table import Table
from engine.tensor import Tensor

Values = tuple[Tensor | None, ...]
"""What a layer is given; None where an earlier problem has hidden a shape."""


class Builder:
    """Collects ``problems``, the ``table`` of layers, and the ``places`` of modules in the spec."""

    def __init__(self, dtype: Any, device: Any) -> None:
        self.dtype, self.device = dtype, device
        self.problems: list[Problem] = []
        self.table = Table()
        self.places: dict[Module, str] = {}
        self.limits: dict[Tensor, int] = {}
        self.features: dict[Tensor, Features] = {}

    def example(self, shape: tuple[int, ...], batch: int) -> Tensor:
        """A batch of samples of this shape, without elements."""
        limit = limit_of(shape)
        x = Tensor._wrap(MetaArray((batch, *shape), (self.dtype if limit is None else int64).numpy))
        if limit is not None:
            self.limits[x] = limit
        features = features_of(shape)
        if features is not None:
            self.features[x] = features
        return x

    def model(self, model: Any, x: Tensor | None) -> tuple[Module, Tensor | None]:
        """Layers in a row, or the one layer that is the whole model."""
        if isinstance(model, dict):
            return self.layer(model, (x,), "/model", "")
        modules, y = self.sequence(model, x, "/model")
        return Sequential(*modules), y

    def sequence(self, layers: list[dict[str, Any]], x: Tensor | None, at: str, name: str = "") -> tuple[list[Module], Any]:
        modules = []
        for i, layer in enumerate(layers):
            module, x = self.layer(layer, (x,), pointer(at, i), f"{name}{i}")
            modules.append(module)
        return modules, x

    def layer(self, layer: dict[str, Any], xs: Values, at: str, name: str) -> tuple[Module, Any]:
        if any(isinstance(x, dict) for x in xs):
            self.problems.append(Problem(at, "does_not_fit", "the graph above has several outputs: it must be the model's last layer"))
            return nn.Identity(), None
        build = {
            "Sequential": self._sequential, "Residual": self._residual, "Parallel": self._parallel, "Graph": self._graph, "Columns": self._columns,
        }  # fmt: skip
        if layer["type"] in build:
            module, y = build[layer["type"]](layer, xs[0], at, name)
        else:
            module, y = self._plain(layer, xs, at, name)
        self.places[module] = at
        return module, y

    def _sequential(self, layer: dict[str, Any], x: Tensor | None, at: str, name: str) -> tuple[Module, Tensor | None]:
        modules, y = self.sequence(layer["layers"], x, pointer(at, "layers"), f"{name}.")
        return Sequential(*modules), y

    def _residual(self, layer: dict[str, Any], x: Tensor | None, at: str, name: str) -> tuple[Module, Tensor | None]:
        modules, y = self.sequence(layer["layers"], x, pointer(at, "layers"), f"{name}.")
        return Residual(*modules), self._merge((x, y), "add", "Residual", at)

    def _parallel(self, layer: dict[str, Any], x: Tensor | None, at: str, name: str) -> tuple[Module, Tensor | None]:
        branches, ends = [], []
        for i, b in enumerate(layer["branches"]):
            modules, end = self.sequence(b, x, pointer(at, "branches", i), f"{name}.{i}.")
            branches.append(Sequential(*modules))
            ends.append(end)
        return Parallel(*branches, merge=layer["merge"]), self._merge(tuple(ends), layer["merge"], "Parallel", at)

    def _graph(self, layer: dict[str, Any], x: Tensor | None, at: str, name: str) -> tuple[Module, Any]:
        values, nodes = {"input": x}, []
        for i, n in enumerate(layer["nodes"]):
            here = pointer(at, "nodes", i)
            taken = tuple(values[k] for k in n["inputs"])
            if n["merge"] is not None:
                taken = (self._merge(taken, n["merge"], f"node {n['name']!r}", here),)
            module, values[n["name"]] = self.layer(n["layer"], taken, pointer(here, "layer"), f"{name}.{n['name']}")
            nodes.append(GraphNode(n["name"], tuple(n["inputs"]), n["merge"], module))
        output = layer["output"]
        if isinstance(output, str):
            return Graph(nodes, output), values[output]
        return Graph(nodes, output), None if None in (ends := [values[n] for n in output]) else dict(zip(output, ends, strict=True))

    def _merge(self, xs: Values, how: Any, who: str, at: str) -> Tensor | None:
        """What several results make together; None where an earlier problem has hidden one of their shapes."""
        if len(xs) == 1:
            return xs[0]
        return self._forward(lambda *known: merged(known, how, who), xs, at)

    def _columns(self, layer: dict[str, Any], x: Tensor | None, at: str, name: str) -> tuple[Module, Tensor | None]:
        """Columns by their names in the dataset, and as indices where all of them are such."""
        features = None if x is None else self.features.get(x)
        names, known = ({}, []) if features is None else (features.names, features.limits)
        chosen: list[int] = []
        for i, c in enumerate(layer["columns"]):
            there = names.get(c, []) if isinstance(c, str) else [c]
            chosen += there
            if x is not None and (not there or (x.ndim == 2 and not 0 <= there[0] < x.shape[1])):
                what = f"of the {x.shape[-1]} that the layer above yields" if x.ndim > 1 else "of the data"
                detail = f"{c!r} is none of the columns {what}{nearest(c, names)}"
                self.problems.append(Problem(pointer(at, "columns", i), "unknown_name", detail, list(names), c))
                return nn.Identity(), None
        layer["columns"] = chosen
        module, y = self._plain(layer, (x,), at, name)
        if y is not None and layer["indices"]:
            limits = [known[c] if c < len(known) else None for c in chosen]
            numbers = [c for c, limit in zip(chosen, limits, strict=True) if limit is None]
            if numbers:
                detail = f"columns {', '.join(map(str, numbers))} of the data are no indices, which are whole numbers from 0 on"
                self.problems.append(Problem(pointer(at, "indices"), "does_not_fit", detail, False, True))
                return module, None
            self.limits[y] = max(limit for limit in limits if limit is not None)
        return module, y

    def _plain(self, layer: dict[str, Any], xs: Values, at: str, name: str) -> tuple[Module, Tensor | None]:
        kind = registry.layers()[layer["type"]]
        misfit = misplaced(kind, xs, at)
        if misfit:
            self.problems += misfit
            return nn.Identity(), None
        mismatch = self._infer(kind, layer, xs, at)
        arguments = {k: v for k, v in layer.items() if k != "type"}
        unknown = [k for k in kind.needed if arguments.get(k, 0) is None]
        if unknown:
            if None not in xs:  # else an earlier problem has been recorded
                self.problems.append(
                    Problem(pointer(at, unknown[0]), "missing", f"{unknown[0]} is missing: it does not follow from the data here")
                )
            return nn.Identity(), None
        too_large = check_arguments(kind.name, arguments, at)
        if too_large:
            self.problems += too_large
            return nn.Identity(), None
        try:
            with device(self.device):
                module: Module = kind.make(**arguments, **({"device": self.device, "dtype": self.dtype} if kind.takes_device else {}))
            if not kind.takes_device:
                module.to(self.device, self.dtype)
        except Exception as error:  # whatever a constructor throws is its word on the arguments
            if not mismatch:  # else what does not go with the right size may go with the given one
                self.problems.append(blame(kind, arguments, error, at))
            return nn.Identity(), None
        with self.table.watching(module, kind.is_architecture):
            y = self._on_samples(module, xs, at)
        if y is not None and not mismatch:
            self.table.add(at, name, kind.name, module, y)
        return module, y

    def _on_samples(self, module: Module, xs: Values, at: str) -> Tensor | None:
        """What a layer yields; None, and a problem, where it does not work on each sample of a batch by itself."""
        y = self._forward(module.forward, xs, at)
        x = xs[0]
        if x is None or y is None:
            return None
        if x in self.limits and not y.is_floating_point():
            self.limits[y] = self.limits[x]
        found = mixes_samples(module, x, y, at) or check_map(tuple(y.shape), at)
        self.problems += found
        return None if found else y

    def _infer(self, kind: registry.Kind, layer: dict[str, Any], xs: Values, at: str) -> bool:
        """Fills in, or checks, the arguments of ``layer`` that follow from its inputs; whether one was wrong."""
        wrong = False
        for key, (i, dim) in {**kind.facts.infers, **kind.facts.covers}.items():
            x = xs[i] if i < len(xs) else None
            found = None if x is None else self._size(x, dim)
            if x is None or found is None:
                continue
            given, covers = layer.get(key), key in kind.facts.covers
            if given is None:
                layer[key] = found
            elif isinstance(given, int) and (given < found if covers else given != found):
                self.problems.append(_mismatch(pointer(at, key), given, found, x, dim, covers))
                layer[key], wrong = found, True
        return wrong

    def _size(self, x: Tensor, dim: int | None) -> int | None:
        """What an argument follows from; None where the tensor has no such dimension."""
        if dim is None:
            return self.limits.get(x)
        return None if x.ndim < 2 or x.ndim <= dim else int(x.shape[dim])

    def _forward(self, function: Callable[..., Tensor], xs: Values, at: str) -> Tensor | None:
        known = [x for x in xs if x is not None]
        if len(known) < len(xs):
            return None
        try:
            with no_grad(), observing(self.table.observe):
                return function(*known)
        except Exception as error:  # whatever it throws: it does not work on this input
            self.problems.append(misfit(error, known, at))
            return None


def _mismatch(at: str, given: int, found: int, x: Tensor, dim: int | None, covers: bool) -> Problem:
    """An argument that is not what its input asks for."""
    reason = f"the layer above yields {above([x])}" if dim is not None else f"the data has indices from 0 to {found - 1}"
    return Problem(at, "mismatch", f"expected {'at least ' if covers else ''}{found} ({reason}), got {given}", found, given)


def misplaced(kind: registry.Kind, xs: Values, at: str) -> list[Problem]:
    """Whether a layer is given too few or too many tensors, or whole numbers where it takes others."""
    facts, known = kind.facts, [x for x in xs if x is not None]
    if not facts.required <= len(xs) <= len(facts.inputs):
        names = ", ".join((*facts.inputs[: facts.required], *(f"{n} (optional)" for n in facts.inputs[facts.required :])))
        detail = f"{kind.name} takes {names}, got {len(xs)} input{'s' * (len(xs) != 1)}: make it a node of a Graph that names its inputs"
        return [Problem(at, "does_not_fit", detail, len(facts.inputs), len(xs))]
    if len(known) < len(xs) or facts.takes == "any":
        return []
    x, indices = known[0], facts.takes == "indices"
    if x.is_floating_point() is not indices:
        return []
    detail = (
        "indices, but the layer above yields numbers"
        if indices
        else "numbers, but the layer above yields indices: is an Embedding missing?"
    )
    return [Problem(at, "does_not_fit", f"{kind.name} takes {detail} ({above(known)})", facts.takes, list(x.shape[1:]))]


def misfit(error: Exception, xs: Sequence[Tensor], at: str) -> Problem:
    """A layer's complaint about what it is given."""
    sizes = [list(x.shape[1:]) for x in xs]
    return Problem(at, "does_not_fit", f"{said(error)} (the layer above yields {above(xs)})", None, sizes[0] if len(sizes) == 1 else sizes)


def above(xs: Sequence[Tensor]) -> str:
    """One sample's shapes, in words."""
    return " and ".join("x".join(map(str, x.shape[1:])) or "a number" for x in xs)


def mixes_samples(module: Module, x: Tensor, y: Any, at: str) -> list[Problem]:
    """Whether a layer changes how many samples there are, or computes along them."""
    if isinstance(y, dict):
        return [p for one in y.values() for p in mixes_samples(module, x, one, at)]
    if y.ndim == 0 or y.shape[0] != x.shape[0]:
        detail = f"a layer must leave the samples of a batch apart, but this one makes {list(y.shape)} of {list(x.shape)} (the first size is the batch's)"
        return [Problem(at, "changes_batch", detail, list(x.shape[:1]), list(y.shape[:1]))]
    if isinstance(module, nn.Softmax | nn.Softmin | nn.LogSoftmax):
        dim = module.dim if module.dim is not None else 0 if x.ndim in (0, 1, 3) else 1
        if dim % x.ndim == 0:
            detail = f"computes along dimension 0, the samples of a batch: set dim to 1 (the layer above yields {above([x])})"
            return [Problem(pointer(at, "dim"), "changes_batch", detail, 1, module.dim)]
    return []


def blame(kind: registry.Kind, arguments: dict[str, Any], error: Exception, at: str) -> Problem:
    """A constructor's complaint at the argument that causes it: the one whose default makes it go away, or the one it names."""
    given = sorted((k for k, v in arguments.items() if kind.defaults.get(k, ...) != v), key=kind.facts.follows.__contains__)
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
