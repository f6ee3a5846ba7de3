"""A process that keeps models warm and answers with their predictions: ``python -m worker.predictor``.

It reads requests from standard input and writes answers to standard output, one at a time. What strangers send is decoded here, so that the
server does not die of it. A request is four bytes with the length of a JSON header, the header, and the samples that are files::

    {"model": "/path/to/model.safetensors", "explain": false, "samples": [{"bytes": 312}, {"value": [1.0, 2.0]}]}

An answer is four bytes with the length of a JSON object: ``{"predictions": [..]}``, in the order of the samples, each a prediction or
``{"error": ".."}``; or ``{"error": ".."}`` where the model cannot be used.
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from engine.inference import Model, Prediction, load_model
from engine.inference.saliency import saliency
from engine.kernels.native import set_num_threads
from worker.logs import configure, logger
from worker.processes import die_with_parent, started_by
from worker.records import JsonObject

MEMORY_BYTES = 1 << 30
"""How much the files of the models that are kept may hold together; the model used longest ago goes first."""
MAX_MODELS = 16
_log = logger("predictor")
Array = np.ndarray[Any, Any]


class Models:
    """The models that are warm, the one used last at the end."""

    def __init__(self, memory_bytes: int = MEMORY_BYTES, count: int = MAX_MODELS) -> None:
        self._memory_bytes, self._count = memory_bytes, count
        self._held: OrderedDict[str, tuple[Model, int]] = OrderedDict()

    def get(self, path: str) -> Model:
        """The model of a file. Raises what ``load_model`` raises."""
        if path not in self._held:
            self._held[path] = load_model(path), Path(path).stat().st_size
            while len(self._held) > 1 and (len(self._held) > self._count or self._size_bytes > self._memory_bytes):
                self._held.popitem(last=False)
        self._held.move_to_end(path)
        return self._held[path][0]

    @property
    def _size_bytes(self) -> int:
        return sum(size for _, size in self._held.values())

    def __len__(self) -> int:
        return len(self._held)


def answer(models: Models, path: str, samples: Sequence[Any], explain: bool) -> JsonObject:
    """The predictions for samples: files as bytes, or rows and arrays as JSON has them."""
    try:
        model = models.get(path)
    except (ValueError, FileNotFoundError, RuntimeError) as error:
        return {"error": str(error)}
    read = [_read(model, sample) for sample in samples]
    good = [r for r in read if not isinstance(r, str)]
    found = iter(_predicted(model, good, explain))
    return {"predictions": [{"error": r} if isinstance(r, str) else next(found) for r in read]}


def _read(model: Model, given: Any) -> Array | str:
    """A sample as the model takes it, or why it is none."""
    try:
        return model.reader.sample(given if isinstance(given, bytes) else _of_json(model, given))
    except Exception as error:  # of any decoder
        return f"{error}" or type(error).__name__


def _of_json(model: Model, given: Any) -> Any:
    """A sample that came as JSON. Text is text, never the path of a file of this machine; an image is an array of pixels."""
    if isinstance(given, str) and not model.reader.reads_text:
        raise ValueError("expected the content of a file, a row or an array, got text: the model was not trained on texts")
    if not model.reader.is_image:
        return given
    pixels = np.asarray(given)
    if pixels.dtype.kind != "i" or pixels.size == 0 or pixels.min() < 0 or pixels.max() > 255:
        raise ValueError("expected an image, or its pixels (H, W, C) as whole numbers from 0 to 255")
    return pixels.astype(np.uint8)


def _predicted(model: Model, samples: list[Array], explain: bool) -> Iterator[JsonObject]:
    try:
        predictions: list[Prediction | str] = list(model.predict_samples(samples))
    except (ValueError, RuntimeError, MemoryError):  # one of them does not fit: each by itself
        predictions = [_alone(model, sample) for sample in samples]
    for sample, found in zip(samples, predictions, strict=True):
        if isinstance(found, str):
            yield {"error": found}
        else:
            heat = {"saliency_png": _png(saliency(model, sample) * 255)} if explain and model.input.limit is None else {}
            yield {**_shown(found), **heat}


def _alone(model: Model, sample: Array) -> Prediction | str:
    try:
        return model.predict_samples([sample])[0]
    except (ValueError, RuntimeError, MemoryError) as error:
        return str(error)


def _shown(found: Prediction) -> JsonObject:
    """A prediction as JSON; the mask as a PNG of class numbers."""
    shown: JsonObject = found.as_dict()
    if found.mask is not None:
        shown.pop("mask")
        shown["mask_png"] = _png(found.mask)
    return shown


def _png(values: Array) -> str | None:
    """A map as a grey PNG, in base64; None for what is no map."""
    if values.ndim != 2:
        return None
    out = io.BytesIO()
    Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def _requests(stream: BinaryIO) -> Iterator[Any]:
    """The headers that come in, each with its samples read."""
    while len(length := stream.read(4)) == 4:
        header = json.loads(stream.read(int.from_bytes(length)))
        header["samples"] = [stream.read(s["bytes"]) if "bytes" in s else s["value"] for s in header["samples"]]
        yield header


def main() -> None:
    """Answers until standard input ends."""
    die_with_parent(started_by())
    configure("predictor")
    set_num_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
    out, sys.stdout = sys.stdout.buffer, sys.stderr  # nothing else may write there
    models = Models()
    for request in _requests(sys.stdin.buffer):
        try:
            found = answer(models, request["model"], request["samples"], request["explain"])
        except Exception as error:
            _log.exception("a prediction failed")
            found = {"error": f"{type(error).__name__}: {error}"}
        data = json.dumps(found).encode()
        out.write(len(data).to_bytes(4) + data)
        out.flush()


if __name__ == "__main__":
    main()
