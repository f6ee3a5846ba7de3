"""The spec: which keys it has, its check, and its JSON Schema, made from the registered names."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.spec import registry
from engine.spec.problems import Problem, SpecError, nearest, pointer, shown
from engine.spec.registry import CONTAINERS, Kind, check_model

MAX_DEPTH, MAX_LAYERS = 30, 2000
_STRICT = ConfigDict(extra="forbid", strict=True)
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class Data(BaseModel):
    """Which samples, in which batches."""

    model_config = _STRICT
    dataset: str | None = Field(None, description="A dataset's id; for a local run, a path relative to the spec's file.")
    batch_size: Count = 32
    shuffle: bool = True
    drop_last: bool = False
    validation: Annotated[float, Field(ge=0, lt=1)] = Field(0.1, description="The share of samples held out; drawn by the seed.")
    transform: list[Any] = Field([], description="Applied to each training image in order; random ones are left out in validation.")


class Checkpoint(BaseModel):
    """How often the whole state is saved, and how many states are kept."""

    model_config = _STRICT
    every_epochs: Count = 1
    keep: Count = 3


class EarlyStopping(BaseModel):
    """Stops once the monitored value has not improved for ``patience`` epochs."""

    model_config = _STRICT
    monitor: Literal["val_loss", "val_accuracy", "train_loss"] = "val_loss"
    patience: Count = 5
    min_delta: Annotated[float, Field(ge=0)] = 0.0


class Spec(BaseModel):
    """A training job: model, loss, optimizer, data, epochs."""

    model_config = _STRICT
    name: Annotated[str, Field(max_length=200)] = ""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    epochs: Count = 10
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d{1,2})?)$")] = "auto"
    precision: Literal["float32", "float64"] = "float32"
    model: list[Any] = Field(description="Layers in order.")
    init: list[Any] = []
    loss: Any
    metrics: list[Literal["accuracy"]] = []
    optimizer: Any
    scheduler: Any = None
    data: Any = Field(default_factory=dict)
    checkpoint: Any = Field(default_factory=dict)
    early_stopping: Any = None
    compare: list[Any] = []


VARIABLE = ("model", "init", "loss", "optimizer", "scheduler", "seed")
"""What a variant under ``compare`` may change."""


class _Checker:
    """Collects problems while it fills in a spec."""

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
        known = ("type", "branches", "merge") if name == "Parallel" else ("type", "layers")
        for key in value:
            if key not in known:
                self.fail(
                    pointer(at, key),
                    "unknown_key",
                    f"unknown key '{key}'{nearest(key, known)} ({name} takes {', '.join(known[1:])})",
                    known,
                    value[key],
                )
        if name != "Parallel":
            return {"type": name, "layers": self.layers(value.get("layers"), pointer(at, "layers"), depth + 1)}
        branches, merge = value.get("branches"), value.get("merge", "concat")
        if merge not in ("concat", "add"):
            self.fail(pointer(at, "merge"), "invalid", f"expected one of 'concat', 'add', got {shown(merge)}", ["concat", "add"], merge)
        if not isinstance(branches, list) or not branches:
            self.fail(
                pointer(at, "branches"),
                "invalid",
                f"expected a list of lists of layers, got {shown(branches)}",
                "a list of lists",
                branches,
            )
            return None
        return {
            "type": name,
            "branches": [self.layers(b, pointer(at, "branches", i), depth + 1) for i, b in enumerate(branches)],
            "merge": merge,
        }

    def rules(self, value: list[Any], at: str) -> list[Any]:
        """The ``init`` section: initializers with the parameters they match."""
        found = []
        for i, rule in enumerate(value):
            here = pointer(at, i)
            if isinstance(rule, dict) and not isinstance(rule.get("match", "*"), str):
                self.fail(
                    pointer(here, "match"),
                    "invalid",
                    f"expected a pattern such as '*.weight', got {shown(rule['match'])}",
                    "a string",
                    rule["match"],
                )
                continue
            plain = {k: v for k, v in rule.items() if k != "match"} if isinstance(rule, dict) else rule
            checked = self.named(plain, here, registry.initializers(), "an initializer")
            if checked is not None:
                found.append({"match": rule.get("match", "*"), **checked})
        return found

    def part(self, model: type[BaseModel], value: Any, at: str) -> dict[str, Any]:
        return check_model(model, value, at, self.problems, f"{at[1:]} takes") or {}

    def sections(self, spec: dict[str, Any], at: str = "") -> dict[str, Any]:
        """Checks those of the variable sections that are there."""
        checks: dict[str, Callable[[Any, str], Any]] = {
            "model": self.layers,
            "init": self.rules,
            "loss": lambda v, p: self.named(v, p, registry.losses(), "a loss"),
            "optimizer": lambda v, p: self.named(v, p, registry.optimizers(), "an optimizer"),
            "scheduler": lambda v, p: None if v is None else self.named(v, p, registry.schedulers(), "a scheduler"),
        }
        return {key: check(spec[key], pointer(at, key)) for key, check in checks.items() if key in spec}


def check(value: Any) -> dict[str, Any]:
    """The spec with every default filled in. Raises SpecError with all problems that need no data to be seen."""
    checker = _Checker()
    if not isinstance(value, dict):
        raise SpecError([Problem("", "invalid", f"expected a JSON object, got {shown(value)}", "an object", value)])
    _finite(value)
    top = check_model(Spec, value, "", checker.problems, "a spec takes")
    spec = (
        top
        if top is not None
        else {
            **Spec.model_construct(loss=None, optimizer=None, model=[]).model_dump(),
            **{k: v for k, v in value.items() if k in Spec.model_fields},
        }
    )
    listed = {k: v for k, v in spec.items() if k in value and (k not in ("init",) or isinstance(v, list))}
    spec.update(checker.sections(listed))
    if isinstance(value.get("model"), list) and not value["model"]:
        checker.fail("/model", "invalid", "expected at least one layer", "a layer", [])
    spec["data"] = checker.part(Data, spec["data"], "/data")
    transforms = spec["data"].get("transform", [])
    spec["data"]["transform"] = [
        checker.named(t, f"/data/transform/{i}", registry.image_transforms(), "a transform") for i, t in enumerate(transforms)
    ]
    spec["checkpoint"] = checker.part(Checkpoint, spec["checkpoint"], "/checkpoint")
    if spec["early_stopping"] is not None:
        spec["early_stopping"] = checker.part(EarlyStopping, spec["early_stopping"], "/early_stopping")
    spec["compare"] = _variants(checker, spec["compare"])
    if checker.problems:
        raise SpecError(checker.problems)
    return spec


def _finite(value: Any) -> None:
    """Refuses NaN and infinity, which JSON does not have."""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise SpecError([Problem("", "invalid", f"the spec is not JSON: {error}", "JSON")]) from None


def _variants(checker: _Checker, value: Any) -> list[dict[str, Any]]:
    variants, names = [], set()
    for i, variant in enumerate(value if isinstance(value, list) else []):
        at = pointer("/compare", i)
        if not isinstance(variant, dict) or not isinstance(variant.get("name"), str) or not variant["name"]:
            checker.fail(at, "invalid", f'expected an object with a "name", got {shown(variant)}', "an object", variant)
            continue
        if variant["name"] in names:
            checker.fail(
                pointer(at, "name"), "duplicate", f"another variant is named {variant['name']!r} too", "a name of its own", variant["name"]
            )
        names.add(variant["name"])
        for key in variant:
            if key not in ("name", *VARIABLE):
                checker.fail(
                    pointer(at, key),
                    "unknown_key",
                    f"unknown key '{key}'{nearest(key, VARIABLE)} (a variant may change {', '.join(VARIABLE)})",
                    list(VARIABLE),
                    variant[key],
                )
        if "seed" in variant and (
            not isinstance(variant["seed"], int) or isinstance(variant["seed"], bool) or not 0 <= variant["seed"] < 2**63
        ):
            checker.fail(
                pointer(at, "seed"),
                "invalid",
                f"expected an integer at least 0, got {shown(variant['seed'])}",
                "an integer",
                variant["seed"],
            )
        variants.append({**{k: variant[k] for k in ("name", "seed") if k in variant}, **checker.sections(variant, at)})
    return variants


def variants(spec: dict[str, Any]) -> list[tuple[str | None, dict[str, Any]]]:
    """The specs to run: those under ``compare`` by name, or the one itself without a name."""
    if not spec["compare"]:
        return [(None, spec)]
    return [(v["name"], {**spec, **{k: x for k, x in v.items() if k != "name"}, "compare": []}) for v in spec["compare"]]


def _choice(kinds: dict[str, Kind], definitions: dict[str, Any]) -> dict[str, Any]:
    for name, kind in kinds.items():
        definition = kind.model.model_json_schema()
        definitions.update(definition.pop("$defs", {}))
        definitions[name] = definition
    return {"oneOf": [{"$ref": f"#/$defs/{n}"} for n in kinds], "discriminator": {"propertyName": "type"}}


@functools.cache
def json_schema() -> dict[str, Any]:
    """The JSON Schema of a spec (draft 2020-12)."""
    schema = Spec.model_json_schema()
    d: dict[str, Any] = schema.setdefault("$defs", {})
    layer = {"$ref": "#/$defs/Layer"}
    d["Layer"] = _choice(registry.layers(), d)
    nested = {"type": "array", "items": layer}
    for name in ("Sequential", "Residual"):
        d[name] = {
            "type": "object",
            "properties": {"type": {"const": name}, "layers": nested},
            "required": ["type", "layers"],
            "additionalProperties": False,
        }
    d["Parallel"] = {
        "type": "object",
        "properties": {
            "type": {"const": "Parallel"},
            "branches": {"type": "array", "items": nested, "minItems": 1},
            "merge": {"enum": ["concat", "add"], "default": "concat"},
        },
        "required": ["type", "branches"],
        "additionalProperties": False,
    }
    d["Layer"]["oneOf"] += [{"$ref": f"#/$defs/{n}"} for n in CONTAINERS]
    d["Data"], d["Checkpoint"], d["EarlyStopping"] = (m.model_json_schema() for m in (Data, Checkpoint, EarlyStopping))
    d["Data"]["properties"]["transform"]["items"] = _choice(registry.image_transforms(), d)
    rule = _choice(registry.initializers(), d)
    for name in registry.initializers():
        d[name]["properties"]["match"] = {
            "type": "string",
            "default": "*",
            "description": "A pattern of parameter names, such as *.weight.",
        }
    p = schema["properties"]
    p["model"] = {**nested, "minItems": 1}
    p["init"]["items"] = rule
    p["loss"], p["optimizer"] = _choice(registry.losses(), d), _choice(registry.optimizers(), d)
    p["scheduler"] = {"anyOf": [_choice(registry.schedulers(), d), {"type": "null"}], "default": None}
    p["data"], p["checkpoint"] = {"$ref": "#/$defs/Data"}, {"$ref": "#/$defs/Checkpoint"}
    p["early_stopping"] = {"anyOf": [{"$ref": "#/$defs/EarlyStopping"}, {"type": "null"}], "default": None}
    p["compare"]["items"] = {
        "type": "object", "required": ["name"], "additionalProperties": False,
        "properties": {"name": {"type": "string", "minLength": 1}, **{k: p[k] for k in VARIABLE}},
    }  # fmt: skip
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
