"""A finished model, ready to be used."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from engine.backend import CPU, resolve, transfer
from engine.check import evaluation_batch
from engine.data.batches import Pipeline
from engine.dtypes import int64
from engine.inference.given import Reader
from engine.inference.outputs import Outputs
from engine.inference.prediction import Prediction, read
from engine.modes import no_grad
from engine.nn.module import Module
from engine.ops.join import cat
from engine.ops.random import Generator, drawing_from
from engine.spec import build_model, summarize
from engine.spec.build import parameter_dtype
from engine.spec.heads import heads
from engine.spec.inputs import Features, Shape
from engine.state import load

Array = np.ndarray[Any, Any]


class Model:
    """What a job made: ``module`` in evaluation, the names of its ``classes`` (or None), and ``metadata``, all that its file says of it.

    On the CPU its answers are those of the job's own evaluation, bit for bit.
    """

    def __init__(self, module: Module, metadata: dict[str, Any], device: Any = "cpu") -> None:
        self.metadata, self.spec, self.classes = metadata, metadata["spec"], metadata["classes"]
        self.device, self.dtype = resolve(device), parameter_dtype(metadata["spec"])
        self.module = module.eval().to(self.device)
        self.input = input_shape(metadata)
        self.reader = Reader(metadata["dataset"], metadata.get("tokenizer"), metadata.get("audio"))
        self.pipeline = Pipeline(metadata["transform"])
        half = self.device.type if self.spec["precision"] == "bfloat16" else None
        self._outputs = Outputs(self.module, half, dict(metadata.get("plan", {})))
        self._together = evaluation_batch(self.spec, summarize(self.spec, self.input).activation_bytes)

    def predict(self, given: Any) -> Any:
        """The Prediction for a sample; a list of them for a list, or for an array with an axis more.

        Samples: images as a path, as a file's bytes, of Pillow, or as an array ``(H, W)``, ``(H, W, C)`` or ``(C, H, W)`` of uint8; rows of a table as
        dicts of their cells; texts; recordings as the path or the bytes of a wave file; arrays as those that the model was trained on. Raises ValueError for what is none.
        """
        several = self.reader.several(given)
        found = self.predict_samples(map(self.reader.sample, [given] if several is None else several))
        return found[0] if several is None else found

    def predict_samples(self, samples: Iterable[Array]) -> list[Prediction]:
        """The predictions for samples as ``reader.sample`` gives them."""
        held = list(samples)
        if not held:
            return []
        outs, parts = self.outputs_by_name(held), heads(self.spec)
        found = {n: read(out, parts[n]["loss"], None if n else self.classes) for n, out in outs.items()}
        if "" in found:
            return found[""]
        rows = zip(*found.values(), strict=True)
        return [Prediction(row[0].outputs, parts=dict(zip(found, row, strict=True))) for row in rows]

    def outputs(self, samples: list[Array]) -> Array:
        """The outputs ``(N, ..)`` for samples as ``reader.sample`` gives them; of several outputs the first."""
        return next(iter(self.outputs_by_name(samples).values()))

    @no_grad()
    def outputs_by_name(self, samples: list[Array]) -> dict[str, Array]:
        """Each of the model's outputs ``(N, ..)``; one without a name is under ''."""
        source = self.reader.source(samples)
        at = range(0, len(samples), self._together)
        parts = [self._batch(source, np.arange(i, min(i + self._together, len(samples)))) for i in at]
        return {n: np.concatenate(p) for n, p in zip(heads(self.spec), zip(*parts, strict=True), strict=True)}

    def _batch(self, source: Any, indices: Array) -> list[Array]:
        """A batch, filled up to a power of two, so that there are few sizes to be captured."""
        x = source.batch(indices, self.pipeline, None, self.input)
        if tuple(x.shape[1:]) != self.input:
            got, wanted = ("x".join(map(str, s)) for s in (x.shape[1:], self.input))
            raise ValueError(f"expected samples that the transforms bring to {wanted}, got {got}")
        limit = self.input.limit
        if limit is not None and not bool(((x >= 0) & (x < limit) & (x == x.floor())).all()):
            raise ValueError(f"expected indices, whole numbers from 0 to {limit - 1}")
        x = x.to(self.device, self.dtype if self.input.limit is None else int64)
        missing = min(self._together, 1 << (len(indices) - 1).bit_length()) - len(indices)
        x = cat([x, x.new_zeros((missing, *self.input))], 0) if missing else x
        return [transfer(out._data, CPU)[: len(indices)] for out in self._outputs(x)]


def input_shape(metadata: dict[str, Any]) -> Shape:
    """The shape of a sample, as a model's file says it."""
    columns = metadata.get("features")
    return Shape(metadata["input"], metadata.get("indices"), None if columns is None else Features(**columns))


def read_metadata(path: str | Path) -> dict[str, Any]:
    """What a model's file says of it. Raises ValueError for a file that is no safetensors, or says nothing."""
    try:
        with safe_open(path, "numpy") as file:
            known = {k: json.loads(v) for k, v in (file.metadata() or {}).items() if k != "format"}
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file: {error}") from None
    missing = [k for k in ("spec", "input", "classes", "transform", "dataset") if k not in known]
    if missing:
        raise ValueError(f"{path} does not say what model it is: its metadata has no {', '.join(missing)}")
    return known


def load_model(path: str | Path, device: Any = "cpu") -> Model:
    """The model of a job's safetensors file, built from what the file says and loaded.

        model = engine.load_model("model.safetensors")
        model.predict("digit.png").label

    Raises FileNotFoundError; ValueError for a file that does not say what model it is.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"{path} does not exist")
    known = read_metadata(path)
    with drawing_from(Generator()):  # what is drawn is overwritten, and no business of the caller's generator
        module = build_model({**known["spec"], "init": []}, input_shape(known))
        module.load_state_dict(load(path))
        return Model(module, known, device)
