"""The spec: which keys it has, its check, and its JSON Schema, made from the registered names."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from engine.metrics import METRICS, monitorable
from engine.spec import registry
from engine.spec.heads import Output, check_outputs
from engine.spec.layers import LayerChecker, container_schemas
from engine.spec.names import check_file_name, check_name
from engine.spec.problems import Problem, SpecError, nearest, pointer, shown
from engine.spec.registry import CONTAINERS, Kind, check_model
from engine.spec.samples import STRICT, Audio, Count, Text, Windows
from engine.spec.weights import Freeze, Group, InitFrom, check_freeze, check_groups, check_init_from

MetricName = Literal[tuple(METRICS)]  # type: ignore[valid-type]  # made from the registry
Monitor = Literal[tuple(monitorable(METRICS))]  # type: ignore[valid-type]  # as above


class Data(BaseModel):
    """Which samples, in which batches."""

    model_config = STRICT
    dataset: str | None = Field(None, description="A dataset's id; for a local run, a path relative to the spec's file.")
    batch_size: Count = 32
    shuffle: bool = True
    drop_last: bool = False
    validation: Annotated[float, Field(ge=0, lt=1)] = Field(0.1, description="The share of samples held out; drawn by the seed.")
    class_weights: Literal["balanced"] | None = Field(None, description="The same share of the loss for every class, whatever its size.")
    sampler: Literal["balanced"] | None = Field(
        None, description="The same number of samples of every class in an epoch; small classes are repeated."
    )
    target: Literal["input", "next"] | None = Field(
        None,
        description="Samples that are their own targets: input, of an autoencoder; next, the next element at each place of a sequence.",
    )
    transform: list[Any] = Field([], description="Applied to each training image in order; random ones are left out in validation.")
    text: Any = Field(None, description="How texts become numbers, for a dataset of texts.")
    windows: Any = Field(None, description="How a table becomes the windows of a series.")
    audio: Any = Field(None, description="How recordings become pictures, for a dataset of recordings.")
    mix: list[Any] = Field([], description="Each batch of training is mixed by one of these, drawn by the seed, and so are its targets.")


class Checkpoint(BaseModel):
    """How often the whole state is saved, and how many states are kept."""

    model_config = STRICT
    every_epochs: Count = 1
    keep: Count = 3


class EarlyStopping(BaseModel):
    """Stops once the monitored value has not improved by more than ``min_delta`` for ``patience`` epochs.

    The same value says which epoch is the best, and is what ReduceLROnPlateau looks at.
    """

    model_config = STRICT
    monitor: Monitor = Field("val_loss", description="A loss, or a metric that the spec asks for.")  # type: ignore[valid-type]  # as above
    mode: Literal["min", "max"] | None = Field(None, description="Whether lower or higher is better; by default as the metric has it.")
    patience: Count = 5
    min_delta: Annotated[float, Field(ge=0)] = 0.0


class GradientClip(BaseModel):
    """Keeps gradients small: all together, by their norm, or each element, by its size."""

    model_config = STRICT
    norm: Annotated[float, Field(gt=0)] | None = None
    value: Annotated[float, Field(gt=0)] | None = None


class Spec(BaseModel):
    """A training job: model, loss, optimizer, data, epochs."""

    model_config = STRICT
    name: Annotated[str, Field(max_length=200)] = ""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    epochs: Count = 10
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d{1,2})?)$", examples=["auto", "cpu", "cuda", "cuda:0"])] = "auto"
    precision: Literal["float32", "float64", "bfloat16"] = Field(
        "float32", description="bfloat16: products in half precision, parameters in single."
    )
    model: list[Any] | dict[str, Any] = Field(description="Layers in order, or one layer that is the whole model, such as resnet18.")
    init: list[Any] = []
    init_from: Any = None
    freeze: list[Any] = []
    param_groups: list[Any] = []
    loss: Any = None
    outputs: Any = Field(None, description="Losses and targets of a model with several outputs, by name, instead of a loss.")
    metrics: list[MetricName] = Field([], description="Of the samples held out, at the end of each epoch.")  # type: ignore[valid-type]  # as above
    optimizer: Any
    gradient_clip: Any = None
    gradient_accumulation: Annotated[int, Field(ge=1, le=1024, description="How many batches a step of the optimizer takes.")] = 1
    scheduler: Any = None
    data: Any = Field(default_factory=dict)
    checkpoint: Any = Field(default_factory=dict)
    early_stopping: Any = None
    compare: list[Any] = []


VARIABLE = ("model", "init", "init_from", "freeze", "param_groups", "loss", "outputs", "optimizer", "scheduler", "seed")
"""What a variant under ``compare`` may change."""


class _Checker(LayerChecker):
    """Collects problems while it fills in a spec."""

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
            "model": self.model,
            "init": self.rules,
            "init_from": lambda v, p: check_init_from(v, p, self),
            "freeze": lambda v, p: check_freeze(v, p, self),
            "param_groups": lambda v, p: check_groups(v, p, self),
            "loss": lambda v, p: None if v is None else self.named(v, p, registry.losses(), "a loss"),
            "outputs": lambda v, p: check_outputs(v, p, self),
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
    listed = {k: v for k, v in spec.items() if k in value and (k not in ("init", "freeze", "param_groups") or isinstance(v, list))}
    spec.update(checker.sections(listed))
    if isinstance(value.get("model"), list) and not value["model"]:
        checker.fail("/model", "invalid", "expected at least one layer", "a layer", [])
    _check_objective(checker, spec)
    spec["data"] = checker.part(Data, spec["data"], "/data")
    transforms = spec["data"].get("transform", [])
    spec["data"]["transform"] = [
        checker.named(t, f"/data/transform/{i}", registry.image_transforms(), "a transform") for i, t in enumerate(transforms)
    ]
    spec["data"]["mix"] = [
        checker.named(t, f"/data/mix/{i}", registry.batch_transforms(), "a transform of batches")
        for i, t in enumerate(spec["data"].get("mix", []))
    ]
    if spec["data"].get("text") is not None:
        spec["data"]["text"] = checker.part(Text, spec["data"]["text"], "/data/text")
        _check_text(checker, spec["data"]["text"])
    for key, section in (("windows", Windows), ("audio", Audio)):
        if spec["data"].get(key) is not None:
            spec["data"][key] = checker.part(section, spec["data"][key], f"/data/{key}")
    spec["checkpoint"] = checker.part(Checkpoint, spec["checkpoint"], "/checkpoint")
    if spec["early_stopping"] is not None:
        spec["early_stopping"] = checker.part(EarlyStopping, spec["early_stopping"], "/early_stopping")
        _check_monitor(checker, spec["early_stopping"], spec["metrics"])
    if spec["gradient_clip"] is not None:
        spec["gradient_clip"] = checker.part(GradientClip, spec["gradient_clip"], "/gradient_clip")
        if spec["gradient_clip"] and len([v for v in spec["gradient_clip"].values() if v is not None]) != 1:
            detail = 'expected either {"norm": ...} or {"value": ...}'
            checker.fail("/gradient_clip", "invalid", detail, "norm or value", value["gradient_clip"])
    spec["compare"] = _variants(checker, spec["compare"])
    if isinstance(spec["name"], str):
        checker.problems += check_name(spec["name"], "/name")
    if checker.problems:
        raise SpecError(checker.problems)
    return spec


def _check_objective(checker: _Checker, spec: dict[str, Any]) -> None:
    """One loss, or several outputs with a loss each."""
    if spec["outputs"] is None and spec["loss"] is None and not any(p.pointer.startswith(("/loss", "/outputs")) for p in checker.problems):
        checker.fail("/loss", "missing", "loss is missing: expected an object", "an object")
    elif spec["outputs"] and spec["loss"]:
        checker.fail("/loss", "invalid", "a model with outputs has a loss for each of them, and no other", None, spec["loss"])
    if spec["outputs"] and spec["metrics"]:
        checker.fail("/metrics", "invalid", "a model with outputs has metrics for each of them: name them there", [], spec["metrics"])


def _check_text(checker: _Checker, text: dict[str, Any]) -> None:
    """Settings that a tokenizer does not have."""
    if text.get("tokenizer") in ("byte", "character") and text.get("lowercase"):
        checker.fail("/data/text/lowercase", "invalid", f"lowercase is for words and bpe, not for {text['tokenizer']}", None, True)
    if text.get("tokenizer") == "byte" and text.get("vocab_size"):
        detail = "there are always 259 tokens of bytes: leave vocab_size out"
        checker.fail("/data/text/vocab_size", "invalid", detail, None, text["vocab_size"])


def _check_monitor(checker: _Checker, stopping: dict[str, Any], metrics: Any) -> None:
    """A metric is monitored only if the spec asks for it."""
    monitor = stopping.get("monitor")
    asked = [m for m in metrics if isinstance(m, str) and m in METRICS] if isinstance(metrics, list) else []
    if monitor is not None and monitor not in (known := monitorable(asked)):
        detail = f'{monitor} needs "metrics": ["{monitor.removeprefix("val_")}"]'
        checker.fail("/early_stopping/monitor", "invalid", detail, known, monitor)


def _finite(value: Any) -> None:
    """Refuses NaN and infinity, which JSON does not have, and halves of characters, which no file and no answer can hold."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise SpecError([Problem("", "invalid", "the spec has a lone surrogate, which is half of a character", "Unicode text")]) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise SpecError([Problem("", "invalid", f"the spec is not JSON: {error}", "JSON")]) from None


def _variants(checker: _Checker, value: Any) -> list[dict[str, Any]]:
    variants, names = [], set()
    for i, variant in enumerate(value if isinstance(value, list) else []):
        at = pointer("/compare", i)
        if not isinstance(variant, dict) or not isinstance(variant.get("name"), str) or not variant["name"]:
            checker.fail(at, "invalid", f'expected an object with a "name", got {shown(variant)}', "an object", variant)
            continue
        checker.problems += check_file_name(variant["name"], pointer(at, "name"))
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
    d["Layer"] = _choice(registry.layers(), d)
    d.update(container_schemas())
    d["Layer"]["oneOf"] += [{"$ref": f"#/$defs/{n}"} for n in CONTAINERS]
    nested = {"type": "array", "items": {"$ref": "#/$defs/Layer"}}
    for part in (Text, Windows, Audio, Data, Checkpoint, EarlyStopping, GradientClip, Freeze, Group, InitFrom, Output):
        d[part.__name__] = part.model_json_schema()
    d["Data"]["properties"]["transform"]["items"] = _choice(registry.image_transforms(), d)
    for key, name in (("text", "Text"), ("windows", "Windows"), ("audio", "Audio")):
        d["Data"]["properties"][key] = {"anyOf": [{"$ref": f"#/$defs/{name}"}, {"type": "null"}], "default": None}
    d["Data"]["properties"]["mix"]["items"] = _choice(registry.batch_transforms(), d)
    rule = _choice(registry.initializers(), d)
    for name in registry.initializers():
        d[name]["properties"]["match"] = {
            "type": "string",
            "default": "*",
            "description": "A pattern of parameter names, such as *.weight.",
        }
    p = schema["properties"]
    p["model"] = {"anyOf": [{**nested, "minItems": 1}, {"$ref": "#/$defs/Layer"}], "description": Spec.model_fields["model"].description}
    p["init"]["items"] = rule
    p["loss"], p["optimizer"] = _choice(registry.losses(), d), _choice(registry.optimizers(), d)
    p["scheduler"] = {"anyOf": [_choice(registry.schedulers(), d), {"type": "null"}], "default": None}
    d["Output"]["properties"]["loss"] = p["loss"]
    p["outputs"] = {
        "anyOf": [{"type": "object", "additionalProperties": {"$ref": "#/$defs/Output"}, "minProperties": 2}, {"type": "null"}],
        "default": None,
    }
    p["data"], p["checkpoint"] = {"$ref": "#/$defs/Data"}, {"$ref": "#/$defs/Checkpoint"}
    for key, name in (("early_stopping", "EarlyStopping"), ("gradient_clip", "GradientClip"), ("init_from", "InitFrom")):
        p[key] = {"anyOf": [{"$ref": f"#/$defs/{name}"}, {"type": "null"}], "default": None}
    frozen = {"anyOf": [{"$ref": "#/$defs/Freeze"}, {"type": "string"}]}
    p["freeze"]["items"] = d["InitFrom"]["properties"]["freeze"]["items"] = frozen
    p["param_groups"]["items"] = {"$ref": "#/$defs/Group"}
    p["compare"]["items"] = {
        "type": "object", "required": ["name"], "additionalProperties": False,
        "properties": {"name": {"type": "string", "minLength": 1}, **{k: p[k] for k in VARIABLE}},
    }  # fmt: skip
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
