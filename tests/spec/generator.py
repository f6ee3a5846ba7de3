"""Random specs drawn from the JSON schema, most of which fit their dataset, and small datasets of every kind."""

from __future__ import annotations

import contextlib
import io
import zipfile
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from engine.check import as_taken, sample_shape, targets_for
from engine.data import ingest, open_source
from engine.data.balance import unweightable
from engine.data.source import Source
from engine.metrics import METRICS, monitorable, unfit
from engine.spec import SpecError, check, json_schema, registry, summarize

Layers = list[dict[str, Any]]

# -- datasets

_RNG = np.random.default_rng(0)
_MIXED = [(8, 8), (9, 12), (6, 10), (12, 7)]


def _images(channels: int, sizes: list[tuple[int, int]], classes: int, n: int, splits: tuple[str, ...] = ("",)) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for i in range(n):
            height, width = sizes[i % len(sizes)]
            pixels = _RNG.integers(0, 256, (height, width, channels) if channels == 3 else (height, width), np.uint8)
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "PNG")
            archive.writestr(f"{splits[i // classes % len(splits)]}class{i % classes}/{i:03}.png", file.getvalue())
    return out.getvalue()


def _table(n: int, target: str) -> bytes:
    rows = ["a,b,c,target"]
    for i in range(n):
        a, b, c = _RNG.normal(size=3)
        value = {"number": f"{a + 2 * b:.3f}", "text": ("red", "green", "blue")[i % 3], "binary": str(i % 2)}[target]
        rows.append(f"{a:.3f},{b:.3f},{c:.3f},{value}")
    return "\n".join(rows).encode()


def _arrays(x: Any, y: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, x=np.asarray(x), y=np.asarray(y))
    return out.getvalue()


def _normal(*shape: int) -> Any:
    return _RNG.normal(size=shape).astype(np.float32)


def uploads() -> dict[str, tuple[str, bytes]]:
    """The format and the content of an upload of each kind."""
    return {
        "grey": ("imagefolder", _images(1, [(8, 8)], 3, 21)),
        "colour": ("imagefolder", _images(3, [(9, 7)], 2, 17)),
        "mixed": ("imagefolder", _images(1, _MIXED, 3, 22)),
        "mixed-colour": ("imagefolder", _images(3, _MIXED, 2, 15)),
        "splits": ("imagefolder", _images(1, [(8, 8)], 2, 24, ("train/", "train/", "val/", "test/"))),
        "regression": ("csv", _table(25, "number")),
        "words": ("csv", _table(24, "text")),
        "binary": ("csv", _table(23, "binary")),
        "classes": ("npz", _arrays(_normal(33, 7), np.arange(33) % 3)),
        "two": ("npz", _arrays(_normal(2, 4), np.arange(2))),
        "one-feature": ("npz", _arrays(_normal(19), np.arange(19) % 2)),
        "several-numbers": ("npz", _arrays(_normal(20, 5), _normal(20, 3))),
        "shares": ("npz", _arrays(_normal(16, 5), (_normal(16, 2) > 0).astype(np.float32))),
        "maps": ("npz", _arrays(_normal(12, 2, 6, 6), _RNG.integers(0, 3, (12, 6, 6)))),
        "maps-with-ignored": ("npz", _arrays(_normal(12, 1, 6, 6), np.where(_normal(12, 6, 6) > 1, -100, 1))),
        "number-maps": ("npz", _arrays(_normal(10, 2, 6, 6), _normal(10, 1, 6, 6))),
        "sequences": ("npz", _arrays(_normal(20, 4, 9), np.arange(20) % 3)),
        "tokens": ("npz", _arrays(_RNG.integers(0, 11, (24, 7)), np.arange(24) % 3)),
        "signals": ("npz", _arrays(_normal(20, 6), _RNG.integers(-3, 3, 20))),
        "volumes": ("npz", _arrays(_normal(9, 1, 4, 5, 6), np.arange(9) % 2)),
        "pixels": ("npz", _arrays(_RNG.integers(0, 256, (14, 3, 8, 8), np.uint8), np.arange(14) % 4)),
        "hostile": ("npz", _arrays(_normal(15, 3) * np.float32(1e30), np.arange(15) % 2)),
    }


def prepared(folder: Path) -> dict[str, Source]:
    """Every dataset, as a job reads it."""
    found = {}
    for name, (form, content) in uploads().items():
        upload = folder / f"{name}.upload"
        upload.write_bytes(content)
        ingest(upload, folder / name, form)
        found[name] = open_source(folder / name)
    return found


# -- values by their schema

_ODD = [0, -1, 2, 3, 17, 100, 10**9, 2**31, 2**63, 10**30]
_ODD_NUMBERS = [0.0, -1.0, 1.0, 2.0, 1e-300, 1e300, -0.5, 1e9, 5e-324]


def _integer(rng: Random, schema: dict[str, Any], odd: bool) -> int:
    if odd:
        return rng.choice(_ODD)
    default = schema.get("default")
    usual = [default] * 3 if isinstance(default, int) and not isinstance(default, bool) else []
    low = schema.get("minimum", 1)
    return rng.choice([*usual, *range(low, low + 4)])


def _number(rng: Random, schema: dict[str, Any], odd: bool) -> float:
    if odd:
        return rng.choice(_ODD_NUMBERS)
    default = schema.get("default")
    usual = [float(default)] * 3 if isinstance(default, int | float) else []
    return rng.choice([*usual, 0.01, 0.1, 0.25, 0.5, 0.9])


def value(rng: Random, schema: dict[str, Any], odd: bool = False) -> Any:
    """A value that ``schema`` allows (sizes apart); ``odd`` takes those that users would rarely write."""
    if "const" in schema or "enum" in schema:
        return rng.choice(schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        default = {"default": schema["default"]} if "default" in schema else {}
        return value(rng, {**rng.choice(schema["anyOf"]), **default}, odd)
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("prefixItems") or [schema.get("items", {})] * rng.randint(1, 3)
        return [value(rng, s, odd) for s in items]
    if kind == "boolean":
        return rng.random() < 0.5
    if kind == "integer":
        return _integer(rng, schema, odd)
    if kind == "number":
        return _number(rng, schema, odd)
    return "*" if kind == "string" else None


def named(rng: Random, name: str, odds: float = 0.2) -> dict[str, Any]:
    """An object of the schema's definition ``name``: what it must have, and some of what it may have."""
    definition = json_schema()["$defs"][name]
    required, found = set(definition.get("required", ())), {"type": name}
    follows = registry.layers()[name].facts.follows if name in registry.layers() else ()
    for key, schema in definition["properties"].items():
        if key in found or (key not in required and not _rarely(rng, odds)) or key in follows:
            continue
        found[key] = value(rng, schema, _rarely(rng, 0.03))
    return found


def _rarely(rng: Random, share: float) -> bool:
    return rng.random() < share


# -- models

_LAYERS = sorted(n for n, kind in registry.layers().items() if not kind.is_architecture)
_COMMON = {
    2: ["Linear", "Linear", "ReLU", "BatchNorm1d", "Dropout", "LayerNorm", "Tanh", "GELU", "PReLU", "Softplus", "SELU"],
    3: ["Conv1d", "Conv1d", "BatchNorm1d", "MaxPool1d", "ReLU", "Linear", "AvgPool1d", "AdaptiveAvgPool1d", "ConvTranspose1d", "GroupNorm", "SiLU", "LSTM", "GRU", "TransformerEncoderLayer", "MultiheadAttention", "PositionalEncoding", "SequencePool", "Permute"],
    4: ["Conv2d", "Conv2d", "BatchNorm2d", "MaxPool2d", "ReLU", "AvgPool2d", "AdaptiveAvgPool2d", "Dropout2d", "InstanceNorm2d", "Upsample", "ZeroPad2d"],
    5: ["Conv3d", "BatchNorm3d", "MaxPool3d", "ReLU", "AdaptiveAvgPool3d"],
}  # fmt: skip


def _layer(rng: Random, rank: int, depth: int) -> dict[str, Any]:
    if depth < 2 and _rarely(rng, 0.12):
        return _container(rng, rank, depth)
    name = rng.choice(_COMMON[rank] if rank in _COMMON and not _rarely(rng, 0.5) else _LAYERS)
    return named(rng, name)


def _container(rng: Random, rank: int, depth: int) -> dict[str, Any]:
    kind = rng.choice(["Sequential", "Residual", "Parallel", "Graph"])
    some = [_layer(rng, rank, depth + 1) for _ in range(rng.randint(1, 2))]
    if kind == "Parallel":
        return {"type": kind, "branches": [some, []][: rng.randint(1, 2)], "merge": rng.choice(["concat", "add"])}
    if kind == "Graph":
        names = rng.choice([["n0", "n1"], ["output", "layer"], ["a", "b"], ["train", "c"]])
        nodes = [{"name": name, "layer": layer} for name, layer in zip(names, some)]
        return {
            "type": kind,
            "nodes": [*nodes, {"name": "end", "inputs": ["input", nodes[-1]["name"]], "merge": rng.choice(["concat", "add"])}],
        }
    return {"type": kind, "layers": some}


def _output(spec: dict[str, Any], source: Source, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """What the model yields for a sample; None where its layers do not fit."""
    try:
        checked = check(spec)
        return tuple(summarize(checked, as_taken(checked, source, shape)).output)
    except SpecError:
        return None


def _body(rng: Random, base: dict[str, Any], source: Source, shape: tuple[int, ...]) -> tuple[Layers, tuple[int, ...]]:
    """Layers on samples of ``shape``; those that do not fit are mostly drawn again."""
    layers: Layers = []
    rank = len(shape) + 1
    if source.index_limit == 11 and not _rarely(rng, 0.2):
        layers, rank = [{"type": "Embedding", "embedding_dim": rng.choice([4, 6])}], rank + 1
    for _ in range(rng.randint(0, 7)):
        layer = _layer(rng, rank, 0)
        found = _output({**base, "model": [*layers, layer], "init": [], "scheduler": None, "optimizer": {"type": "SGD"}}, source, shape)
        if found is None and not _rarely(rng, 0.03):
            continue
        layers.append(layer)
        if found is None:
            return layers, shape
        rank = len(found) + 1
    found = _output(
        {**base, "model": layers or [{"type": "Identity"}], "init": [], "scheduler": None, "optimizer": {"type": "SGD"}}, source, shape
    )
    return layers, found or shape


def _head(spec: dict[str, Any], source: Source, shape: tuple[int, ...], ends: tuple[int, ...]) -> Layers:
    """Layers from ``ends`` to the outputs that loss and targets ask for."""
    targets = targets_for({"loss": check({**spec, "model": [{"type": "Identity"}]})["loss"]}, source)
    takes_classes = getattr(registry.losses()[spec["loss"]["type"]].make, "targets", None) == "classes"
    classes = max(len(source.report.classes or ()), int(targets.max()) + 1, 1)
    wanted = (classes, *targets.shape[1:]) if takes_classes else targets.shape[1:]
    end: Layers = [{"type": "Sigmoid"}] if spec["loss"]["type"] == "BCELoss" else []
    if len(wanted) == 3 and len(ends) == 3 and ends[1:] == wanted[1:]:
        return [{"type": "Conv2d", "out_channels": wanted[0], "kernel_size": 1}, *end]
    if len(wanted) == 1:
        return [*([{"type": "Flatten"}] if len(ends) > 1 else []), {"type": "Linear", "out_features": wanted[0]}, *end]
    size = int(np.prod(wanted))
    return [
        {"type": "Flatten"},
        {"type": "Linear", "out_features": size},
        {"type": "Unflatten", "dim": 1, "unflattened_size": list(wanted)},
        *end,
    ]


# -- specs


def _transforms(rng: Random, name: str) -> Layers:
    size = rng.choice([6, 8, [6, 7], [8, 8]])
    first = [{"type": "Resize", "size": [8, 8]}] if name.startswith("mixed") and not _rarely(rng, 0.15) else []
    common = [{"type": "RandomCrop", "size": size, "padding": 1}, {"type": "CenterCrop", "size": size}, {"type": "RandomHorizontalFlip"}]
    kinds = sorted(registry.image_transforms())
    some = [rng.choice(common) if _rarely(rng, 0.5) else named(rng, rng.choice(kinds)) for _ in range(rng.randint(0, 2))]
    return first + some


def _data(rng: Random, name: str, source: Source, loss: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = {
        "dataset": name, "batch_size": rng.choice([2, 3, 4, 5, 8, 8, 16, 32, 64, 1]), "validation": rng.choice([0.0, 0.2, 0.2, 0.25, 0.5, 0.5, 0.2, 0.25, 0.3, 0.01]),
        "drop_last": _rarely(rng, 0.2), "shuffle": rng.random() < 0.5,
    }  # fmt: skip
    classes = source.targets_as("classes")
    weightable = unweightable(loss, source.targets) is None
    one_class = classes is not None and classes.ndim == 1
    for key, share in (("class_weights", 0.2 if weightable else 0.01), ("sampler", 0.15 if one_class else 0.01)):
        if _rarely(rng, share):
            data[key] = "balanced"
    if _rarely(rng, 0.03):
        data["target"] = rng.choice(["input", "next"])
    if data.get("sampler"):
        data["shuffle"] = not _rarely(rng, 0.05)
    if _rarely(rng, 0.1 if loss["type"] == "CrossEntropyLoss" and one_class else 0.01):
        kinds = ["MixUp", "CutMix"] if source.is_image else ["MixUp"]
        data["mix"] = [{"type": rng.choice(kinds), "alpha": 0.4} for _ in range(rng.randint(1, 2))]
    if source.is_image or _rarely(rng, 0.02):
        data["transform"] = _transforms(rng, name)
    return data


def _losses(source: Source) -> list[str]:
    """The losses that take what the dataset has as targets, the usual ones twice."""
    classes, numbers = source.targets_as("classes"), source.targets_as("numbers")
    fitting = {
        "classes": classes is not None and classes.min() >= 0,
        "numbers": True,
        "shares": classes is not None or (numbers is not None and 0 <= numbers.min() <= numbers.max() <= 1),
        "counts": classes is not None or (numbers is not None and numbers.min() >= 0),
        "signs": classes is not None,
        "nothing": False,
    }
    found = [n for n, kind in registry.losses().items() if fitting[getattr(kind.make, "targets", "numbers")]]
    return sorted(found) + [n for n in ("CrossEntropyLoss", "MSELoss", "BCEWithLogitsLoss") if n in found] * 2


def _metrics(rng: Random, loss: dict[str, Any], source: Source) -> list[str]:
    """Metrics that the loss mostly has."""
    checked = check({"model": [{"type": "Identity"}], "loss": loss, "optimizer": {"type": "SGD"}})["loss"]
    shape = targets_for({"loss": checked}, source).shape[1:]
    known = [n for n in METRICS if _rarely(rng, 0.01) or unfit(n, checked, shape, 2) is None]
    return rng.sample(known, rng.randint(0, min(3, len(known))))


def _training(rng: Random, spec: dict[str, Any], source: Source) -> dict[str, Any]:
    """How the steps are made, and what is looked at after each epoch."""
    found: dict[str, Any] = {}
    if _rarely(rng, 0.2):
        found["gradient_accumulation"] = rng.choice([2, 2, 3, 4, 7, 1024])
    if _rarely(rng, 0.2):
        found["gradient_clip"] = {rng.choice(["norm", "value"]): rng.choice([1.0, 0.1, 5.0, 1e-300, 1e300])}
    if _rarely(rng, 0.15):
        found["freeze"] = [rng.choice(["0.*", "*.bias", "*.weight", "*", {"match": "*.weight", "epochs": 1}])]
    if _rarely(rng, 0.15):
        found["param_groups"] = [
            {"match": rng.choice(["*.bias", "*.bias", "0.*"]), rng.choice(["lr", "lr", "weight_decay", "eps"]): rng.choice([0.0, 1e-3])}
        ]
    if _rarely(rng, 0.3):
        found["scheduler"] = named(rng, rng.choice(sorted(registry.schedulers())), 0.4)
    if _rarely(rng, 0.4):
        with contextlib.suppress(SpecError):  # a loss that is refused
            found["metrics"] = _metrics(rng, spec["loss"], source)
    if _rarely(rng, 0.2):
        known = json_schema()["$defs"]["EarlyStopping"]["properties"]
        found["early_stopping"] = {k: value(rng, s) for k, s in known.items() if _rarely(rng, 0.5)}
        if not _rarely(rng, 0.05):
            found["early_stopping"]["monitor"] = rng.choice(monitorable(found.get("metrics", ())))
    return found


_SMALL: Layers = [
    {"type": "unet", "width": 4, "depth": 1}, {"type": "vit_b_16", "patch_size": 4, "num_layers": 1, "num_heads": 2, "hidden_dim": 8, "mlp_dim": 8},
    {"type": "textcnn", "hidden_dim": 6, "filters": 4}, {"type": "lstm_classifier", "embedding_dim": 4, "hidden_dim": 6},
]  # fmt: skip


def random_spec(rng: Random, sources: dict[str, Source]) -> tuple[str, dict[str, Any]]:
    """A dataset's name and a spec for it."""
    name = rng.choice(sorted(sources))
    source = sources[name]
    loss = named(rng, rng.choice(sorted(registry.losses()) if _rarely(rng, 0.05) else _losses(source)), 0.1)
    spec: dict[str, Any] = {
        "name": rng.choice(["", "run", "lr [0.1]", "a/b", "é" * 9]), "seed": rng.choice([0, 1, 2**53 + 1, 2**63 - 1]),
        "epochs": rng.choice([1, 2, 3, 1000]), "precision": rng.choice(["float32", "float32", "float64", "bfloat16"]),
        "loss": loss, "optimizer": named(rng, rng.choice(sorted(registry.optimizers())), 0.15),
        "data": _data(rng, name, source, loss),
    }  # fmt: skip
    spec |= _training(rng, spec, source)
    try:
        shape = sample_shape(source, check({**spec, "model": [{"type": "Identity"}], "metrics": [], "early_stopping": None}))
    except SpecError:
        return name, {**spec, "model": [{"type": "Identity"}]}
    body, ends = _body(rng, spec, source, shape)
    try:
        head = _head(spec, source, shape, ends)
    except SpecError:
        head = []
    spec["model"] = [*body, *([] if _rarely(rng, 0.06) else head)] or [{"type": "Flatten"}]
    if _rarely(rng, 0.04):
        spec["model"] = rng.choice(_SMALL)
    if _rarely(rng, 0.12):
        spec["init"] = [
            {**named(rng, rng.choice(sorted(registry.initializers()))), "match": rng.choice(["*", "*.weight", "*.weight", "0.*"])}
        ]
    if _rarely(rng, 0.1):
        spec["compare"] = [{"name": "a"}, {"name": "b", "seed": 3, "optimizer": named(rng, "SGD")}]
    return name, spec


# -- specs that are wrong

_JUNK = [
    None, True, -1, 0, 0.5, 1e300, 10**400, "", "x" * 3000, "é\x00\x1b[2J", "../../etc/passwd", [], {}, [[]], {"type": []}, {"type": "Linear"}, [None], {"": {}}, "Infinity",
    [1, "a", {"b": [2]}], {"type": "Sequential", "layers": {}}, {"a/b~c": 1},
]  # fmt: skip


def damaged(rng: Random, value: Any) -> Any:
    """The spec with something in it replaced, taken away or added."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value))
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: damaged(rng, value[key]), **({"extra": rng.choice(_JUNK)} if rng.random() < 0.05 else {})}
    if isinstance(value, list) and value and rng.random() < 0.9:
        i = rng.randrange(len(value))
        return [*value[:i], damaged(rng, value[i]), *value[i + 1 :]]
    return rng.choice(_JUNK)
