"""Finished models as ONNX files: what is done to a sample before, the model, what its outputs mean, and the names of the classes, in one file."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import IO, Any

import numpy as np
import onnx

from engine.inference import Model
from engine.metrics import reading
from engine.onnx.convert import convert
from engine.onnx.export import write
from engine.onnx.graph import Graph, axes
from engine.onnx.preprocess import Images, evaluation_steps, preprocessed
from engine.onnx.trace import NotExportable, Program, trace
from engine.version import __version__


def export_model(model: Model, f: str | Path | IO[bytes] | None = None) -> onnx.ModelProto:
    """The ONNX model of a finished one, in single precision, for batches of any size; written to ``f`` where that is given.

    Inputs: ``pixels``, uint8 ``(batch, C, H, W)``, of a model of images, before any transform; else ``input``, float32. Outputs: ``output``, the model's own;
    beside it ``probabilities`` and ``class`` (its number), ``mask``, or ``numbers``, by the task. The metadata has ``classes``, ``transform``, ``columns``
    (the features of a table), ``metrics`` and ``preprocessing``, which says what is not inside, and so has to be done before. Raises NotExportable.
    """
    single = copy.deepcopy(model.module).float()
    program = trace(single, [np.zeros((2, *model.input), np.float32)])
    g, outside = Graph(), ""
    try:
        given = _images(g, model) if model.reader.is_image else _arrays(g, model)
    except NotExportable as reason:
        steps = ", ".join(type(t).__name__ for t in evaluation_steps(model.metadata["transform"]))
        g, outside = Graph(), f"to be done before: decoding, {steps}, ToTensor ({reason})"
        given = g.input("input", np.float32, ["batch", *model.input])
    (out,) = convert(g, program, [given])
    g.output(out, "output", np.float32, axes(program.outputs[0].shape))
    _meaning(g, out, program, model.spec["loss"])
    made = g.model(model.spec["name"] or "model", _facts(model, outside), f"epochline {__version__}")
    if f is not None:
        write(made, f)
    return made


def _images(g: Graph, model: Model) -> str:
    """The input for images of the dataset's size, or of any where those had several."""
    known = model.metadata["dataset"]
    _, height, width = known["shape"] or (None, None, None)
    channels = known["channels"]
    name = g.input("pixels", np.uint8, ["batch", channels, height or "height", width or "width"])
    found = preprocessed(g, Images(name, channels, height, width), model.metadata["transform"])
    return found.name


def _arrays(g: Graph, model: Model) -> str:
    known, steps = model.metadata["dataset"], evaluation_steps(model.metadata["transform"])
    if known["scale"]:
        name = g.input("pixels", np.uint8, ["batch", *model.input])
        numbers = g.node("Div", g.node("Cast", name, to=1), g.constant(known["scale"], np.float32))
    else:
        numbers = g.input("input", np.float32, ["batch", *model.input])
    if not steps:
        return numbers
    channels, height, width = model.input
    return preprocessed(g, Images(numbers, channels, height, width, numbers=True), model.metadata["transform"]).name


def _meaning(g: Graph, out: str, program: Program, loss: dict[str, Any]) -> None:
    """The outputs beside the model's own."""
    kind, dims = reading(loss).kind, program.outputs[0].shape
    if kind == "choice":
        best = g.node("ArgMax", out, axis=1, keepdims=0)
        if len(dims) > 2:
            return g.output(best, "mask", np.int64, axes((dims[0], *dims[2:])))
        g.output(g.node("Softmax", out, axis=1), "probabilities", np.float32, axes(dims))
        return g.output(best, "class", np.int64, axes(dims[:1]))
    if kind == "decisions":
        shares = out if loss["type"] == "BCELoss" else g.node("Sigmoid", out)
        return g.output(shares, "probabilities", np.float32, axes(dims))
    logarithms = (loss["type"] == "PoissonNLLLoss" and loss.get("log_input", True)) or loss["type"] == "KLDivLoss"
    return g.output(g.node("Exp", out) if logarithms else out, "numbers", np.float32, axes(dims))


def _facts(model: Model, outside: str) -> dict[str, str]:
    """The metadata, each as JSON but ``preprocessing``."""
    known = model.metadata
    features = [name for c in known["dataset"].get("columns", ()) if c.get("role", "feature") == "feature" for name in c.get("outputs", ())]
    facts = {k: known[k] for k in ("classes", "transform", "metrics", "spec", "dataset", "engine") if k in known}
    inside = "inside: give samples as they are" if not features else "to be done before: encoding rows as the features that columns names"
    return {**{k: json.dumps(v) for k, v in facts.items()}, "columns": json.dumps(features), "preprocessing": outside or inside}
