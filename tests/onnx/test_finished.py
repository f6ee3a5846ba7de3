"""Finished models as ONNX: preprocessing, outputs and names in one file, beside the engine, and by onnxruntime alone."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.inference import Model
from tests.inference.finished import finished, uploaded
from tests.inference.test_models import CNN, EXAMPLES, TASKS, UPLOADS

pytest.importorskip("onnx", reason="onnx is not installed; the extra onnx brings it")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed; scripts/test --peers brings it")
from engine.onnx import export_model
from engine.onnx.preprocess import weights
from engine.onnx.verify import TOLERANCE, difference, session


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("digits")
    source = uploaded(folder, "imagefolder", (EXAMPLES / "digits.zip").read_bytes())
    transform = [{"type": "RandomCrop", "size": 8, "padding": 1}, {"type": "Normalize", "mean": [0.3], "std": [0.4]}]
    return finished(source, folder, "CrossEntropyLoss", CNN, epochs=1, data={"transform": transform})[1]


@pytest.mark.parametrize("task", TASKS)
def test_every_kind_of_task_agrees(task: str, tmp_path: Path) -> None:
    dataset, loss, layers, changes = TASKS[task]
    source = uploaded(tmp_path, *UPLOADS[dataset])
    _, model = finished(source, tmp_path, loss, layers, **{**changes, "epochs": 1})
    made = export_model(model)
    facts = {p.key: p.value for p in made.metadata_props}
    assert facts["preprocessing"].startswith("to be done before: encoding rows" if dataset in ("regression", "binary") else "inside")
    for n in (1, 7):
        samples = [source.raw(i).numpy() for i in range(n)]
        same = [x for x in samples if x.shape == samples[0].shape]
        assert difference(made, model, same) <= (3e-2 if task == "bfloat16" else TOLERANCE)


PIPELINES: dict[str, list[dict[str, Any]]] = {
    "resize": [{"type": "Resize", "size": [5, 11]}, {"type": "Normalize", "mean": [0.4], "std": [0.2]}],
    "shorter side": [{"type": "Resize", "size": 12}, {"type": "CenterCrop", "size": 10}],
    "border": [{"type": "Pad", "padding": [1, 2], "fill": 7}, {"type": "CenterCrop", "size": [15, 9]}],
    "numbers": [{"type": "ToTensor"}, {"type": "Normalize", "mean": [0.1, 0.2, 0.3], "std": [1, 2, 3]}, {"type": "CenterCrop", "size": 5}],
    "grey": [{"type": "Grayscale"}, {"type": "RandomHorizontalFlip"}, {"type": "ColorJitter", "brightness": 0.5}],
    "grey colours": [{"type": "Grayscale", "num_output_channels": 3}, {"type": "RandomResizedCrop", "size": 7}],
}


@pytest.mark.parametrize("name", PIPELINES)
def test_pixels_are_prepared_as_in_evaluation(name: str, tmp_path: Path) -> None:
    """The model passes on what it is given: the smallest difference of a pixel, 1/255, would show."""
    source = uploaded(tmp_path, *UPLOADS["colour"])
    layers = [{"type": "Flatten"}, {"type": "Linear", "out_features": 2}]
    _, model = finished(source, tmp_path, "CrossEntropyLoss", layers, epochs=1, data={"transform": PIPELINES[name]})
    assert difference(export_model(model), model, [source.raw(i).numpy() for i in range(5)]) <= TOLERANCE


@pytest.mark.parametrize(("n", "m"), [(9, 5), (5, 9), (64, 28), (7, 7), (3, 1)])
def test_weights_of_a_resize_are_pillows(n: int, m: int) -> None:
    row = np.random.default_rng(0).integers(0, 256, (1, n), np.uint8)
    found = np.clip(np.floor(row @ weights(n, m).T / 2**22 + 0.5), 0, 255)
    assert np.array_equal(found, np.asarray(Image.fromarray(row).resize((m, 1), Image.Resampling.BILINEAR)))


def test_what_cannot_be_inside_is_said(tmp_path: Path) -> None:
    source = uploaded(tmp_path, *UPLOADS["mixed"])
    transform = [{"type": "Resize", "size": 8}, {"type": "CenterCrop", "size": 8}]
    layers = [{"type": "Flatten"}, {"type": "Linear", "out_features": 3}]
    _, model = finished(source, tmp_path, "CrossEntropyLoss", layers, epochs=1, data={"transform": transform})
    made = export_model(model)
    said = next(p.value for p in made.metadata_props if p.key == "preprocessing")
    assert said.startswith("to be done before: decoding, Resize, CenterCrop, ToTensor") and made.graph.input[0].name == "input"
    assert difference(made, model, [source.raw(0).numpy()]) <= TOLERANCE


def test_outputs_have_their_meaning_beside_them(digits: Model) -> None:
    runner = session(export_model(digits))
    assert [(o.name, o.shape) for o in runner.get_outputs()] == [
        ("output", ["batch", 10]),
        ("probabilities", ["batch", 10]),
        ("class", ["batch"]),
    ]
    pixels = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8), np.uint8)
    _, shares, best = runner.run(None, {"pixels": pixels})
    for p, share, label in zip(digits.predict(list(pixels[:, 0])), shares, best, strict=True):
        assert p.label == str(label) and p.probability == pytest.approx(float(share.max()), abs=1e-5)


ALONE = """
import json, sys
import numpy as np, onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession(sys.argv[1])
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
pixels = np.asarray(Image.open(sys.argv[2]))[None, None]
_, probabilities, best = session.run(None, {"pixels": pixels})
assert "engine" not in sys.modules
print(classes[best[0]], float(probabilities[0, best[0]]))
"""


def test_onnxruntime_alone_classifies_an_image(digits: Model, tmp_path: Path) -> None:
    export_model(digits, tmp_path / "model.onnx")
    with zipfile.ZipFile(EXAMPLES / "digits.zip") as archive:
        content = archive.read(next(n for n in archive.namelist() if n.endswith(".png")))
    (tmp_path / "digit.png").write_bytes(content)
    command = [sys.executable, "-c", ALONE, str(tmp_path / "model.onnx"), str(tmp_path / "digit.png")]
    label, probability = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path).stdout.split()
    expected = digits.predict(Image.open(io.BytesIO(content)))
    assert label == expected.label and float(probability) == pytest.approx(expected.probability, abs=1e-5)
    assert json.loads(next(p.value for p in export_model(digits).metadata_props if p.key == "classes")) == digits.classes
