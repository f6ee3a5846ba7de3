"""Models from their files: the same bits as the loop's evaluation, whatever a sample is given as."""

from __future__ import annotations

import csv
import datetime
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import engine
from engine.data.source import Source
from engine.inference import Model
from engine.inference.model import read_metadata
from engine.state import metadata, save_file
from engine.train import Run
from tests.inference.finished import evaluated, finished, uploaded
from tests.spec.generator import uploads

EXAMPLES = Path(__file__).parents[2] / "examples"
CNN: list[dict[str, Any]] = [
    {"type": "Conv2d", "out_channels": 16, "kernel_size": 3, "padding": 1}, {"type": "BatchNorm2d"}, {"type": "ReLU"},
    {"type": "Conv2d", "out_channels": 32, "kernel_size": 3, "padding": 1}, {"type": "ReLU"}, {"type": "Flatten"}, {"type": "Linear", "out_features": 10},
]  # fmt: skip
Digits = tuple[Source, Run, Model]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    folder = tmp_path_factory.mktemp("digits")
    source = uploaded(folder, "imagefolder", (EXAMPLES / "digits.zip").read_bytes())
    transform = [{"type": "RandomCrop", "size": 8, "padding": 1}, {"type": "Normalize", "mean": [0.3], "std": [0.4]}]
    return source, *finished(source, folder, "CrossEntropyLoss", CNN, epochs=1, data={"transform": transform, "validation": 0.2})


def test_images_have_the_bits_of_evaluation_however_many_come_together(digits: Digits) -> None:
    source, run, model = digits
    indices = np.arange(1100, 1400)  # a whole batch of evaluation, and a part
    expected = evaluated(run, indices)
    given = [source.raw(int(i)).numpy() for i in indices]
    assert np.array_equal(np.stack([p.outputs for p in model.predict(given)]), expected)
    assert np.array_equal(np.stack([model.predict(x).outputs for x in given[:5]]), expected[:5])
    assert np.array_equal(np.stack([p.outputs for p in model.predict(given[:37])]), expected[:37])


def test_an_image_is_the_same_as_a_file_its_bytes_and_its_pixels(digits: Digits, tmp_path: Path) -> None:
    _, _, model = digits
    with zipfile.ZipFile(EXAMPLES / "digits.zip") as archive:
        content = archive.read(next(n for n in archive.namelist() if n.endswith(".png")))
    (tmp_path / "digit.png").write_bytes(content)
    image = Image.open(io.BytesIO(content))
    forms = [
        tmp_path / "digit.png",
        str(tmp_path / "digit.png"),
        content,
        image,
        image.convert("RGB"),
        np.asarray(image),
        np.asarray(image)[None],
    ]
    found = [model.predict(form) for form in forms]
    assert all(np.array_equal(p.outputs, found[0].outputs) for p in found)
    assert found[0].probabilities is not None and found[0].label == next(iter(found[0].probabilities))
    assert sum(found[0].probabilities.values()) == pytest.approx(1) and model.classes == [str(i) for i in range(10)]
    assert json.loads(json.dumps(found[0].as_dict()))["probability"] == found[0].probability


def test_what_is_no_image_is_told(digits: Digits, tmp_path: Path) -> None:
    model = digits[2]
    assert model.predict([]) == []
    with pytest.raises(ValueError, match="expected an image"):
        model.predict({"area": 3})
    with pytest.raises(ValueError, match="transforms bring to 1x8x8, got 1x5x5"):
        finished(digits[0], tmp_path, "CrossEntropyLoss", CNN, epochs=1)[1].predict(np.zeros((5, 5), np.uint8))


TABLE = """id;when;colour;area;rooms;paid;kind
1;03.01.2024;red;70,5;3;true;flat
2;04.01.2024;;81,0;;false;house
3;05.01.2024;blue;64,5;2;true;flat
4;08.01.2024;red;92,0;4;true;house
"""


def _table(rows: int) -> bytes:
    """More rows of the table, in other combinations."""
    head, *lines = TABLE.splitlines()
    cells = [line.split(";") for line in lines]
    made = [";".join([str(i + 1), *(cells[(i * (j + 1) + i // 4) % 4][j] for j in range(1, 7))]) for i in range(rows)]
    return "\n".join([head, *made]).encode()


def test_a_row_of_a_table_is_encoded_as_the_table_was(tmp_path: Path) -> None:
    content = _table(64)
    source = uploaded(tmp_path, "csv", content)
    layers = [{"type": "Linear", "out_features": 16}, {"type": "ReLU"}, {"type": "Linear", "out_features": 2}]
    run, model = finished(source, tmp_path, "CrossEntropyLoss", layers)
    rows = list(csv.DictReader(io.StringIO(content.decode()), delimiter=";"))
    expected = evaluated(run, np.arange(64))
    assert np.array_equal(np.stack([p.outputs for p in model.predict(rows)]), expected)
    assert np.array_equal(model.predict(source.raw(7).numpy()).outputs, expected[7])
    assert np.array_equal(model.predict(source.raw(7).tolist()).outputs, expected[7])
    typed = {"when": datetime.date(2024, 1, 3), "colour": "red", "area": 70.5, "rooms": 3, "paid": True}
    texts = {"when": "03.01.2024", "colour": "red", "area": "70,5", "rooms": "3", "paid": "true"}
    assert np.array_equal(model.predict(typed).outputs, model.predict(texts).outputs)
    missing = {"when": datetime.datetime(2024, 1, 4), "area": 81, "rooms": None, "colour": float("nan"), "paid": False}
    assert np.array_equal(model.predict(missing).outputs, model.predict({"when": "04.01.2024", "area": "81", "paid": "false"}).outputs)
    assert model.predict(typed).label in ("flat", "house")
    with pytest.raises(ValueError, match="'colour': expected one of blue, red, got 'green'"):
        model.predict({**typed, "colour": "green"})
    with pytest.raises(ValueError, match=r"expected columns among 'when'.*got 'size'"):
        model.predict({"size": 3})
    with pytest.raises(ValueError, match=r"expected numbers of shape \(8,\), got .* of shape \(2,\)"):
        model.predict(np.zeros(2))


TASKS: dict[str, tuple[str, str, list[dict[str, Any]], dict[str, Any]]] = {
    "regression": ("regression", "MSELoss", [{"type": "Linear", "out_features": 1}], {}),
    "counts": ("regression", "HuberLoss", [{"type": "Linear", "out_features": 300}, {"type": "Tanh"}, {"type": "Linear", "out_features": 1}], {}),
    "several numbers": ("several-numbers", "L1Loss", [{"type": "Linear", "out_features": 3}], {}),
    "labels": ("shares", "BCEWithLogitsLoss", [{"type": "Linear", "out_features": 2}], {}),
    "binary": ("binary", "BCELoss", [{"type": "Linear", "out_features": 1}, {"type": "Sigmoid"}], {}),
    "maps": ("maps", "CrossEntropyLoss", [{"type": "Conv2d", "out_channels": 3, "kernel_size": 3, "padding": 1}], {}),
    "pixels": ("pixels", "CrossEntropyLoss", [*CNN[:-1], {"type": "Linear", "out_features": 4}], {}),
    "files": ("mixed-colour", "CrossEntropyLoss", [*CNN[:-1], {"type": "Linear", "out_features": 2}], {"data": {"transform": [{"type": "Resize", "size": [8, 8]}]}}),
    "sequences": ("sequences", "CrossEntropyLoss", [{"type": "TransformerEncoderLayer", "d_model": 9, "nhead": 3, "dim_feedforward": 40, "batch_first": True},
                                                    {"type": "Flatten"}, {"type": "Linear", "out_features": 3}], {}),
    "float64": ("classes", "CrossEntropyLoss", [{"type": "Linear", "out_features": 40}, {"type": "Tanh"}, {"type": "Linear", "out_features": 3}], {"precision": "float64"}),
    "bfloat16": ("classes", "CrossEntropyLoss", [{"type": "Linear", "out_features": 40}, {"type": "Tanh"}, {"type": "Linear", "out_features": 3}], {"precision": "bfloat16"}),
}  # fmt: skip
UPLOADS = uploads()


@pytest.mark.parametrize("task", TASKS)
def test_every_kind_of_task_has_the_bits_of_evaluation(task: str, tmp_path: Path) -> None:
    dataset, loss, layers, changes = TASKS[task]
    source = uploaded(tmp_path, *UPLOADS[dataset])
    run, model = finished(source, tmp_path, loss, layers, **changes)
    indices = np.arange(len(source))
    expected = evaluated(run, indices)
    given = [source.raw(int(i)).numpy() for i in indices]
    assert np.array_equal(np.stack([p.outputs for p in model.predict(given)]), expected)
    one = model.predict(given[3])
    assert np.array_equal(one.outputs, expected[3])
    kinds = {"regression": "numbers", "counts": "numbers", "several numbers": "numbers", "labels": "labels", "maps": "mask"}
    assert getattr(one, kinds.get(task, "label")) is not None
    json.dumps(one.as_dict())


def test_answers_mean_what_evaluation_counts(tmp_path: Path) -> None:
    source = uploaded(tmp_path, *UPLOADS["maps"])
    run, model = finished(source, tmp_path, "CrossEntropyLoss", TASKS["maps"][2], metrics=["accuracy"])
    variant = run._job
    assert variant is not None
    masks = [p.mask for p in model.predict([source.raw(int(i)).numpy() for i in variant.val_indices])]
    assert (np.stack(masks) == source.targets[variant.val_indices]).mean() == pytest.approx(run.finals[0]["val_accuracy"])


def test_a_file_carries_all_that_is_known(digits: Digits, tmp_path: Path) -> None:
    _, run, model = digits
    known = model.metadata
    assert known["engine"] == engine.__version__ and known["spec"]["model"][0]["type"] == "Conv2d" and known["input"] == [1, 8, 8]
    assert known["metrics"]["val_loss"] == run.finals[0]["val_loss"] and len(known["dataset"]["sha256"]) == 64
    assert engine.load_model is type(model).__init__.__globals__["load_model"]


def test_files_that_say_nothing_are_refused(tmp_path: Path) -> None:
    save_file({"w": engine.zeros(2)}, tmp_path / "bare.safetensors")
    with pytest.raises(ValueError, match="does not say what model it is: its metadata has no spec"):
        engine.load_model(tmp_path / "bare.safetensors")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ValueError, match="is not a safetensors file"):
        read_metadata(tmp_path / "text")
    with pytest.raises(FileNotFoundError):
        engine.load_model(tmp_path / "nothing")


def test_loading_draws_nothing_from_the_callers_generator(digits: Digits, tmp_path: Path) -> None:
    before = engine.get_rng_state()
    finished_file = tmp_path / "m.safetensors"
    save_file(digits[1].model.state_dict(), finished_file, metadata(digits[1].metadata()))
    engine.load_model(finished_file)
    assert engine.get_rng_state() == before
