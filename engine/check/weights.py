"""Weights that a model starts from: which arrays of a file are which of the model's, what is missing, and what has another shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from engine.nn.module import Module
from engine.optim.optimizer import Optimizer
from engine.spec import Problem, SpecError, build_optimizer
from engine.spec.problems import nearest, pointer, said
from engine.state import load, optimizer_slots
from engine.tensor import Tensor

Shape = tuple[int, ...]
FindWeights = Callable[[Mapping[str, Any]], Path]
"""The safetensors file of a spec's section ``init_from`` (``job``, ``checkpoint`` or ``weights``). Raises SpecError where there is none: whoever runs jobs knows
where files are, and the engine does not."""
_LISTED = 20


@dataclass
class Match:
    """How a file's arrays go with a model's: ``matched`` and ``misshapen`` are names in the model by those in the file."""

    matched: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    misshapen: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """What the check tells of it."""
        return {"matched": len(self.matched), "missing": self.missing, "unexpected": self.unexpected, "left_out": self.left_out}


def renamed(name: str, renames: Mapping[str, str | None]) -> str | None:
    """What an array of the file is in the model: by its name, or by the longest beginning that ends in a dot; None where it is left out."""
    if name in renames:
        return renames[name]
    found = max((k for k in renames if k.endswith(".") and name.startswith(k)), key=len, default=None)
    if found is None:
        return name
    new = renames[found]
    return None if new is None else new + name[len(found) :]


def match(model: Module, there: Mapping[str, Shape], renames: Mapping[str, str | None]) -> Match:
    """Compares the shapes of a model's arrays with those of a file, which an earlier version of a layer may have written."""
    own, found, given = {k: tuple(x.shape) for k, x in model.state_dict().items()}, Match(), dict[str, Any]()
    for name in there:
        new = renamed(name, renames)
        if new is None:
            found.left_out.append(name)
        else:
            given.setdefault(new, []).append(name)
    model.upgrade(given)
    kept = [n for n, names in given.items() if not isinstance(names, list)]  # what such a file never has
    for new, name in ((n, name) for n, names in given.items() if n not in kept for name in names):
        if new not in own:
            found.unexpected.append(name)
        elif there[name] != own[new]:
            found.misshapen[name] = new
        else:
            found.matched[name] = new
    reached = {*found.matched.values(), *found.misshapen.values(), *kept}
    found.missing = [n for n in own if n not in reached]
    return found


def _shapes(path: Path, at: str) -> dict[str, Shape]:
    """The shapes of a file's arrays, by its header. Raises SpecError."""
    try:
        with safe_open(path, "numpy") as file:
            return {k: tuple(file.get_slice(k).get_shape()) for k in file.keys()}  # noqa: SIM118 - it is no mapping
    except (OSError, SafetensorError) as error:
        raise SpecError([Problem(at, "unreadable", f"expected a safetensors file: {said(error)}")]) from None


def _source(section: Mapping[str, Any]) -> str:
    """The pointer of what the weights come from."""
    return next(pointer("/init_from", k) for k in ("job", "checkpoint", "weights") if section[k] is not None)


def weight_file(spec: Mapping[str, Any], find: FindWeights | None) -> Path | None:
    """The file that a spec's model starts from; None where it does not. Raises SpecError where it cannot be had."""
    section = spec["init_from"]
    if section is None:
        return None
    if find is None:
        raise SpecError([Problem(_source(section), "not_found", "there are no weights to be found here")])
    return find(section)


def match_weights(spec: dict[str, Any], model: Module, places: Mapping[Module, str], path: Path) -> Match:
    """How a file's arrays go with the model's. Raises SpecError with all that is wrong, a shape that differs at the layer that has it."""
    section = spec["init_from"]
    own = {k: tuple(x.shape) for k, x in model.state_dict().items()}
    there = _shapes(path, _source(section))
    layers = {n: places[m] for n, m in model.named_modules() if m in places}
    found = match(model, there, section["map"])
    problems = _map_problems(section["map"], own, there) + _shape_problems(found, own, there, layers)
    if not problems and not found.matched:
        detail = f"no array of the file is one of the model's: it has {_some(list(there))}, the model {_some(list(own))}"
        problems = [Problem(_source(section), "no_match", detail, list(own)[:_LISTED], list(there)[:_LISTED])]
    if not problems and section["strict"]:
        problems = _strict_problems(found)
    if problems:
        raise SpecError(problems)
    if section["optimizer"]:
        _take_over(build_optimizer(spec, model), _optimizer_state(path))
    return found


def _some(names: list[str]) -> str:
    return f"{', '.join(names[:6])}{f' and {len(names) - 6} more' if len(names) > 6 else ''}" or "none"


def _map_problems(renames: Mapping[str, str | None], own: Mapping[str, Shape], there: Mapping[str, Shape]) -> list[Problem]:
    """Entries of ``map`` that are of no array, and arrays that would be the same one."""
    problems, seen = [], dict[str, str]()
    for key in renames:
        if key not in there and not (key.endswith(".") and any(n.startswith(key) for n in there)):
            detail = f"the file has no {key!r}{nearest(key, there)} (it has {_some(list(there))})"
            problems.append(Problem(pointer("/init_from/map", key), "no_match", detail, list(there)[:_LISTED], key))
    for name in there:
        new = renamed(name, renames)
        if new is None or new not in own:
            continue
        if new in seen:
            detail = f"{seen[new]!r} and {name!r} of the file would both be the model's {new!r}"
            problems.append(Problem("/init_from/map", "duplicate", detail, None, [seen[new], name]))
        seen[new] = name
    return problems


def _shape_problems(found: Match, own: Mapping[str, Shape], there: Mapping[str, Shape], layers: Mapping[str, str]) -> list[Problem]:
    """Arrays of another shape, each at the layer that has it."""
    problems = []
    for name, new in list(found.misshapen.items())[:_LISTED]:
        sizes = [" x ".join(map(str, shape)) or "one number" for shape in (there[name], own[new])]
        detail = f"{name!r} of the file is {sizes[0]}, and {new!r} of the model {sizes[1]}; to start without it, map it to null and set strict to false"
        at = max((n for n in layers if new.startswith(f"{n}.")), key=len, default="")
        problems.append(Problem(layers.get(at, "/model"), "mismatch", detail, list(own[new]), list(there[name])))
    return problems


def _strict_problems(found: Match) -> list[Problem]:
    problems = []
    for names, words in ((found.missing, "the file lacks of the model's"), (found.unexpected, "the model lacks of the file's")):
        if names:
            detail = f"{len(names)} array(s) {words}: {_some(names)}; name them in map, or set strict to false"
            problems.append(
                Problem("/init_from/strict", "missing" if names is found.missing else "unexpected", detail, None, names[:_LISTED])
            )
    return problems


def load_weights(spec: dict[str, Any], model: Module, optimizer: Optimizer, path: Path) -> None:
    """Copies a file's arrays into a model that they match, and the optimizer's state beside them where the spec asks for it."""
    there: dict[str, Tensor] = load(path)
    found = match(model, {k: tuple(x.shape) for k, x in there.items()}, spec["init_from"]["map"])
    model.load_state_dict({new: there[name] for name, new in found.matched.items()}, strict=False)
    if spec["init_from"]["optimizer"]:
        _take_over(optimizer, _optimizer_state(path))


STATE = "state.safetensors"
"""Beside the model of a checkpoint: all else that training goes on from."""


def _optimizer_state(path: Path) -> tuple[dict[int, dict[str, Any]], list[int]]:
    """The optimizer's state beside a model's file: of each parameter by its number, and how many there are in each group."""
    at = path.with_name(STATE)
    try:
        with safe_open(at, "numpy") as file:
            plain = json.loads(file.metadata()["state"])
        named = {**load(at), **plain["scalars"]}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        detail = f"there is no optimizer's state beside these weights: {said(error)}"
        raise SpecError([Problem("/init_from/optimizer", "not_found", detail, False, True)]) from None
    return optimizer_slots(named), [len(g["params"]) for g in plain["groups"]]


def _take_over(optimizer: Optimizer, held: tuple[dict[int, dict[str, Any]], list[int]]) -> None:
    """State, not settings. Raises SpecError for that of another optimizer, or of other parameters."""
    slots, sizes = held
    own, known = (
        optimizer.state_dict()["param_groups"],
        {*optimizer.numbers, *(s for g in optimizer.param_groups for s in optimizer.active_slots(g))},
    )
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    there = {name for state in slots.values() for name in state}
    wrong = sizes != [len(g["params"]) for g in own] or any(
        isinstance(x, Tensor) and x.shape != parameters[n].shape for n, state in slots.items() for x in state.values()
    )
    if wrong or not there <= known:
        what = (
            "of other parameters"
            if wrong
            else f"with {', '.join(sorted(there))} where {type(optimizer).__name__} has {', '.join(sorted(known)) or 'nothing'}"
        )
        detail = f"the optimizer's state beside these weights is {what}: set optimizer to false"
        raise SpecError([Problem("/init_from/optimizer", "mismatch", detail, False, True)])
    optimizer.load_state_dict({"state": slots, "param_groups": own})
