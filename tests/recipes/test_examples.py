"""Example specs: each passes the check on a dataset of its kind, and trains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.check import check_targets, sample_shape, with_outputs
from engine.data import ingest, open_source
from engine.data.source import Source
from engine.models import resnet18
from engine.recipes import EXAMPLES, examples
from engine.spec import check, variants
from engine.state import save_file
from engine.train import Run
from tests.data.prepared import prepared
from tests.train.jobs import points

RNG = np.random.default_rng(0)
DIGITS = Path(__file__).parents[2] / "examples" / "digits.zip"
X = RNG.normal(size=(40, 5)).astype(np.float32)
IMAGES = RNG.integers(0, 255, (40, 3, 64, 64), np.uint8)


def _texts(folder: Path) -> Source:
    return prepared(folder, RNG.integers(0, 20, (40, 9)), np.arange(40) % 3, classes=["a", "b", "c"])


def _digits(folder: Path) -> Source:
    ingest(DIGITS, folder, "imagefolder")
    return open_source(folder)


def _photos(folder: Path) -> Source:
    source = prepared(folder, IMAGES, np.arange(40) % 4, classes=["a", "b", "c", "d"])
    source.report.format = "imagefolder"
    return source


def _table(folder: Path) -> Source:
    return prepared(folder, X, np.arange(40) % 3, classes=["a", "b", "c"])


DATASETS: dict[str, Any] = {
    "digits-cnn": _digits, "resnet18": _photos, "fine-tuning": _photos, "table-classes": _table, "compare": _table, "text-cnn": _texts, "text-transformer": _texts,
    "language-model": _texts, "autoencoder": _digits,
    "segmentation": lambda folder: prepared(folder, RNG.normal(size=(20, 2, 16, 16)).astype(np.float32), RNG.integers(0, 3, (20, 16, 16))),
    "table-numbers": lambda folder: prepared(folder, X, X[:, :1] * 2), "labels": lambda folder: prepared(folder, X, (X[:, :2] > 0).astype(np.float32)),
    "series": lambda folder: prepared(folder, RNG.normal(size=(40, 12, 3)).astype(np.float32), np.arange(40) % 3, classes=["a", "b", "c"]),
}  # fmt: skip


def weights(folder: Path) -> Path:
    """What an uploaded file of a ResNet-18 for 1000 classes is."""
    path = folder / "resnet18.safetensors"
    save_file(resnet18().state_dict(), path)
    return path


@pytest.mark.parametrize("name", [e.name for e in EXAMPLES])
def test_an_example_passes_the_check(name: str, tmp_path: Path) -> None:
    example = next(e for e in examples() if e["name"] == name)
    source = DATASETS[name](tmp_path / "dataset")
    spec = with_outputs(check(json.loads(json.dumps(example["spec"]))), source)
    find = (lambda _: weights(tmp_path)) if spec["init_from"] else None
    summaries = check_targets(spec, source, sample_shape(source, spec), find)
    assert len(summaries) == len(variants(spec))
    assert example["title"] and len(example["description"]) > 40 and spec["data"]["dataset"] is None


@pytest.mark.parametrize("name", ["autoencoder", "language-model", "series", "segmentation"])
def test_an_example_trains(name: str, tmp_path: Path) -> None:
    example = next(e for e in examples() if e["name"] == name)
    run = Run(check({**example["spec"], "epochs": 2, "scheduler": None}), DATASETS[name](tmp_path / "dataset"))
    assert len(points(run, "val")) == 2


def test_examples_are_copies_and_have_names_of_their_own() -> None:
    examples()[0]["spec"]["model"].clear()
    assert examples()[0]["spec"]["model"]
    assert len({e.name for e in EXAMPLES}) == len(EXAMPLES) == len(DATASETS)
