"""A model card (Mitchell et al., 2019) in Markdown: what a model is for, what it was made of, how good it is, how it is used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engine.metrics import reading

_TASKS = {"choice": "one class of several", "decisions": "yes or no", "numbers": "numbers", "none": "distances"}
_LISTED = 20


def model_card(metadata: Mapping[str, Any], file: str = "model.safetensors") -> str:
    """The card of a model by its file's metadata (``engine.inference.read_metadata``), for a file of that name."""
    parts = [_head(metadata), _data(metadata), _metrics(metadata), _network(metadata), _use(metadata, file)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _plain(text: Any) -> str:
    """Text without what Markdown or HTML would take for its own."""
    cleaned = str(text).replace("\\", "\\\\")
    for mark in "`*_[]<>|#":
        cleaned = cleaned.replace(mark, f"\\{mark}")
    return " ".join(cleaned.split())


def _named(names: list[str]) -> str:
    return ", ".join(map(_plain, names[:_LISTED])) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def _table(rows: list[tuple[str, ...]], head: tuple[str, ...]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows))


def _task(metadata: Mapping[str, Any]) -> str:
    kind = reading(metadata["spec"]["loss"]).kind
    found = _TASKS[kind]
    if kind == "choice" and metadata["classes"]:
        found = f"one of {len(metadata['classes'])} classes"
    return f"{found}, trained with {metadata['spec']['loss']['type']}"


def _head(metadata: Mapping[str, Any]) -> str:
    spec, shape = metadata["spec"], " x ".join(map(str, metadata["input"]))
    lines = [f"# {_plain(spec['name'] or 'model')}", f"It predicts {_task(metadata)}, from samples of {shape or 'one number'}."]
    if metadata["classes"]:
        lines.append(f"Classes, in the order of the outputs: {_named(metadata['classes'])}.")
    return "\n\n".join(lines)


def _data(metadata: Mapping[str, Any]) -> str:
    known, data = metadata["dataset"], metadata["spec"]["data"]
    rows: list[tuple[str, ...]] = [
        ("Dataset", _plain(known.get("name") or "-")),
        ("Format", _plain(known["format"])),
        ("Samples", f"{known['samples']:,}"),
    ]
    if known.get("target"):
        rows.append(("Target", f"{_plain(known['target'].get('name'))} ({_plain(known['target'].get('chosen'))})"))
    if known.get("sha256"):
        rows.append(("SHA-256 of the upload", f"`{known['sha256']}`"))
    steps = [t["type"] for t in metadata["transform"]]
    rows += [
        ("Held out", f"{data['validation']:.0%}, unless the dataset has a split of its own"),
        ("Transforms", ", ".join(steps) or "none"),
    ]
    features = [c["name"] for c in known.get("columns", ()) if c.get("role", "feature") == "feature"]
    if features:
        rows.append(("Columns", _named(features)))
    return "## Data\n\n" + _table(rows, ("", ""))


def _metrics(metadata: Mapping[str, Any]) -> str:
    known = metadata.get("metrics", {})
    numbers: list[tuple[str, ...]] = [
        (f"`{k}`", f"{v:.4g}") for k, v in known.items() if isinstance(v, int | float) and k not in ("epochs", "steps")
    ]
    if not numbers:
        return ""
    when = f"After {known.get('epochs')} epochs and {known.get('steps')} steps. `val_` is of samples that it was not trained on, but that its best state was chosen by."
    return f"## Metrics\n\n{when}\n\n{_table(numbers, ('metric', 'value'))}"


def _layers(layers: list[Any], depth: int = 0) -> list[str]:
    lines = []
    for layer in layers:
        own = {k: v for k, v in layer.items() if k not in ("type", "layers", "branches", "nodes") and v is not None}
        inside = [
            *layer.get("layers", ()),
            *(x for b in layer.get("branches", ()) for x in b),
            *(n["layer"] for n in layer.get("nodes", ())),
        ]
        lines.append("  " * depth + f"{layer['type']}({', '.join(f'{k}={v}' for k, v in own.items())})")
        lines += _layers(inside, depth + 1)
    return lines


def _network(metadata: Mapping[str, Any]) -> str:
    spec = metadata["spec"]
    optimizer = ", ".join(f"{k}={v}" for k, v in spec["optimizer"].items() if k != "type" and v is not None)
    text = "\n".join(_layers(spec["model"]))
    said = f"Trained with {spec['optimizer']['type']}({optimizer}), batches of {spec['data']['batch_size']}, seed {spec['seed']}, in {spec['precision']}, by Epochline {metadata.get('engine', '')}."
    return f"## Network\n\n```\n{text}\n```\n\n{_plain(said)}"


def _use(metadata: Mapping[str, Any], file: str) -> str:
    name = json.dumps(file)
    is_image = metadata["dataset"]["format"] == "imagefolder"
    sample = '"image.png"' if is_image else "{...}" if metadata["dataset"].get("columns") else "array"
    given = "an image as it is: uint8 (N, C, H, W)" if is_image else "float32 (N, ..)"
    return f"""## Use

With Epochline's engine, which reads samples as the job did:

```python
import engine

model = engine.load_model({name})
print(model.predict({sample}))
```

With PyTorch, where `net` is the same network as a `torch.nn.Sequential`:

```python
import json, torch
from safetensors import safe_open

with safe_open({name}, "pt") as file:
    known = {{k: json.loads(v) for k, v in file.metadata().items() if k != "format"}}
    net.load_state_dict({{k: file.get_tensor(k) for k in file.keys()}})
net.eval()  # known["classes"] names the outputs, known["transform"] is what is done to samples before
```

With onnxruntime, from the file that `engine.onnx.export_model(model, "model.onnx")` writes, which takes {given}:

```python
import json, onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
facts = session.get_modelmeta().custom_metadata_map  # classes, transform, preprocessing
outputs = session.run(None, {{session.get_inputs()[0].name: samples}})
```"""
