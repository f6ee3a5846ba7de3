"""The names a spec may use: what the engine exports, and the arguments that each takes, read off the signatures."""

from __future__ import annotations

import functools
import inspect
import json
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from engine import nn, optim
from engine.models import ARCHITECTURES
from engine.nn import init
from engine.nn.facts import Facts
from engine.nn.module import Module
from engine.optim import lr_scheduler
from engine.spec.problems import Problem, nearest, pointer, shown
from engine.vision import transforms

_NOT_JSON = (
    "self",
    "params",
    "optimizer",
    "tensor",
    "device",
    "dtype",
    "last_epoch",
    "generator",
    "return_indices",
    "size_average",
    "reduce",
    "scale_fn",
    "scale_mode",
)


def _parameters(make: Callable[..., Any]) -> dict[str, tuple[inspect.Parameter, Any]]:
    """The parameters of a function or a constructor with their types; of a constructor that passes options on, those of the class above it too."""
    found: dict[str, tuple[inspect.Parameter, Any]] = {}
    for function in [vars(c)["__init__"] for c in make.__mro__ if "__init__" in vars(c)] if inspect.isclass(make) else [make]:
        parameters, hints = inspect.signature(function).parameters.values(), typing.get_type_hints(function)
        own = {p.name: (p, hints.get(p.name, Any)) for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        found = {**own, **found}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found


class Kind:
    """One name: what it makes, and the check of its arguments."""

    def __init__(self, name: str, make: Callable[..., Any], more: Mapping[str, Any] | None = None, left_out: tuple[str, ...] = ()) -> None:
        self.name, self.make = name, make
        self.facts: Facts = getattr(make, "spec_facts", Facts())
        fields: dict[str, Any] = {"type": (Literal[name], ...)}
        for p, hint in _parameters(make).values():
            if p.name in (*_NOT_JSON, *left_out) or p.name in self.facts.hides:
                continue
            annotation = _reduced(hint) if p.name == "reduction" else hint
            if p.name in self.facts.follows:
                fields[p.name] = (annotation | None, None)
            else:
                fields[p.name] = (annotation, ... if p.default is p.empty else p.default)
        fields.update(more or {})
        self.is_architecture = not inspect.isclass(make)
        self.takes_device = "device" in _parameters(make)
        self.needed = tuple(n for n, (p, _) in _parameters(make).items() if n in self.facts.follows and p.default is not None)
        """What has to be known to make one: those left out that follow from the inputs."""
        self.defaults = {n: d for n, (_, d) in fields.items() if d is not ...}
        self.model: type[BaseModel] = create_model(name, __config__=ConfigDict(extra="forbid", strict=True), **fields)
        self.model.__doc__ = inspect.getdoc(make)

    def check(self, value: dict[str, Any], at: str, problems: list[Problem]) -> dict[str, Any]:
        """The arguments as Python values, defaults filled in; what is wrong goes to ``problems``."""
        checked = check_model(self.model, value, at, problems, f"{self.name} takes")
        return {} if checked is None else {k: v for k, v in checked.items() if k != "type"}


def _reduced(annotation: Any) -> Any:
    """The reductions of a loss that leave one number to train on."""
    return Literal[tuple(r for r in typing.get_args(annotation) if r != "none")]


_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minLength": "of at least {} characters",
    "maxLength": "of at most {} characters",
}


def _written(value: Any) -> str:
    """A constant: names in quotes, others as in JSON."""
    return repr(value) if isinstance(value, str) else json.dumps(value)


def describe(schema: dict[str, Any]) -> str:
    """A JSON Schema in a few words."""
    if "const" in schema:
        return _written(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(map(_written, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(describe(s) for s in schema["anyOf"]))
    if schema.get("type") == "array":
        if "prefixItems" in schema:
            return "[" + ", ".join(describe(s).removeprefix("an ").removeprefix("a ") for s in schema["prefixItems"]) + "]"
        items = describe(schema.get("items", {}))
        return f"a list, each {items}" if items.startswith("one of") else "a list of " + items.removeprefix("an ").removeprefix("a ") + "s"
    words = {
        "integer": "an integer",
        "number": "a number",
        "boolean": "true or false",
        "string": "a string",
        "null": "null",
        "object": "an object",
    }
    text = words.get(schema.get("type", ""), "a value")
    if "pattern" in schema and "examples" in schema:
        text = f"{text} such as {', '.join(map(repr, schema['examples']))}"
    bounds = [word.format(schema[key]) for key, word in _BOUNDS.items() if key in schema]
    return f"{text} {' and '.join(bounds)}" if bounds else text


def check_model(model: type[BaseModel], value: Any, at: str, problems: list[Problem], takes: str) -> dict[str, Any] | None:
    """Validates one object against a pydantic model; one problem a field, however many ways there are to be wrong."""
    try:
        # from JSON, so that lists become tuples but no string becomes a number
        return model.model_validate_json(_json(value)).model_dump()
    except ValidationError as error:
        schema = model.model_json_schema()
        seen: set[tuple[int | str, ...]] = set()
        for e in error.errors(include_url=False):
            field = str(e["loc"][0]) if e["loc"] else ""
            place = _place(e["loc"], schema)
            if place in seen:
                continue
            seen.add(place)
            where = pointer(at, *place)
            properties = schema.get("properties", {})
            if e["type"] == "missing" and len(e["loc"]) == 1:
                expected = describe(properties[field])
                problems.append(Problem(where, "missing", f"{field} is missing: expected {expected}", expected))
            elif e["type"] == "extra_forbidden":
                known = [n for n in properties if n != "type"]
                problems.append(
                    Problem(
                        where,
                        "unknown_key",
                        f"unknown key '{field}'{nearest(field, known)} ({takes} {', '.join(known) or 'no arguments'})",
                        known,
                        value[field],
                    )
                )
            else:
                problems.append(_broken_rule(where, place, e["type"], properties, value))
        return None


def _place(loc: tuple[int | str, ...], schema: dict[str, Any]) -> tuple[int | str, ...]:
    """What of a field an error is about: the element of a list of things of one kind, else the field as a whole."""
    listed = len(loc) > 1 and isinstance(loc[1], int) and "items" in schema["properties"].get(loc[0], {})
    return loc[: 2 if listed else 1]


def _broken_rule(where: str, place: tuple[int | str, ...], rule: str, properties: dict[str, Any], value: Any) -> Problem:
    """The problem of a value that is there, but not as it should be."""
    if not place or place[0] not in properties:
        return Problem(where, "invalid", f"expected an object, got {shown(value)}", "an object", value)
    schema, got = properties[place[0]], value.get(place[0])
    if len(place) > 1:
        schema, got = schema["items"], got[place[1]]
    expected = describe(schema)
    if rule == "string_too_long":
        return Problem(where, "too_long", f"expected {expected}, got {len(got)} characters", expected, len(got))
    near = nearest(got, schema["enum"]) if "enum" in schema else ""
    return Problem(where, "invalid", f"expected {expected}, got {shown(got)}{near}", expected, got)


def _json(value: Any) -> str:
    return json.dumps(value)


def _modules(role: str) -> dict[str, type[Module]]:
    """The classes of ``engine.nn`` that specs have in a role, by their own word (``spec_facts``)."""
    classes = [c for c in map(nn.__dict__.get, nn.__all__) if inspect.isclass(c) and issubclass(c, Module) and c is not Module]
    return {c.spec_facts.name or c.__name__: c for c in classes if c.spec_facts.role == role and c.spec_facts.excluded is None}


CONTAINERS: dict[str, type[Module]] = _modules("container")


@functools.cache
def layers() -> dict[str, Kind]:
    made: dict[str, Callable[..., Any]] = {**_modules("layer"), **ARCHITECTURES}
    return {n: Kind(n, make) for n, make in made.items()}


_CLASS_DIM = {
    "class_dim": (
        Annotated[
            Literal[1, -1] | None,
            Field(description="Which dimension of the outputs is the classes': by default the one that the targets do not have."),
        ],
        None,
    )
}


@functools.cache
def losses() -> dict[str, Kind]:
    """Those of one input and one target, of a kind that a dataset can have."""
    return {n: Kind(n, c, _CLASS_DIM if getattr(c, "targets", None) == "classes" else None) for n, c in _modules("loss").items()}


@functools.cache
def optimizers() -> dict[str, Kind]:
    """Those that take one gradient a step: LBFGS asks for the loss several times."""
    return {n: Kind(n, getattr(optim, n)) for n in optim.__all__ if inspect.isclass(getattr(optim, n)) and n not in ("Optimizer", "LBFGS")}


@functools.cache
def schedulers() -> dict[str, Kind]:
    taking_objects = ("ChainedScheduler", "LRScheduler", "LambdaLR", "MultiplicativeLR", "SequentialLR")
    return {n: Kind(n, getattr(lr_scheduler, n)) for n in lr_scheduler.__all__ if n not in taking_objects}


@functools.cache
def initializers() -> dict[str, Kind]:
    return {n: Kind(n, f) for n, f in vars(init).items() if inspect.isfunction(f) and n.endswith("_") and not n.startswith("_")}


_NO_SPEC = ("Transform", "Compose", "Lambda", "RandomApply", "RandomChoice", "ToPILImage")
"""Transforms that take functions, or leave the tensors that jobs work on."""


@functools.cache
def image_transforms() -> dict[str, Kind]:
    classes = {n: c for n, c in vars(transforms).items() if inspect.isclass(c) and issubclass(c, transforms.Transform)}
    return {n: Kind(n, c) for n, c in classes.items() if n not in _NO_SPEC and not n.startswith("_")}


@functools.cache
def batch_transforms() -> dict[str, Kind]:
    """Those that mix whole batches; of how many classes follows from the model."""
    classes = {n: c for n, c in vars(transforms).items() if inspect.isclass(c) and issubclass(c, transforms.BatchTransform)}
    return {n: Kind(n, c, left_out=("num_classes",)) for n, c in classes.items() if c is not transforms.BatchTransform}
