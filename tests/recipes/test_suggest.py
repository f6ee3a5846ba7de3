"""Specs made for a dataset: every one passes the check, and fits what there is to learn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.check import check_targets, sample_shape, with_outputs
from engine.data import ingest, open_source
from engine.data.source import Source
from engine.recipes import TASKS, possible_tasks, suggest
from engine.spec import check
from engine.train import Run
from tests.data.prepared import prepared
from tests.spec.generator import prepared as all_kinds
from tests.train.jobs import points

RNG = np.random.default_rng(0)
DIGITS = Path(__file__).parents[2] / "examples" / "digits.zip"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Source]:
    return all_kinds(tmp_path_factory.mktemp("datasets"))


def checked(spec: dict[str, Any], source: Source) -> dict[str, Any]:
    """The spec after the check that submitting it would make."""
    found = with_outputs(check(json.loads(json.dumps(spec))), source)
    check_targets(found, source, sample_shape(source, found))
    return found


def types(spec: dict[str, Any]) -> list[str]:
    return [layer["type"] for layer in ([spec["model"]] if isinstance(spec["model"], dict) else spec["model"])]


def test_every_suggestion_passes_the_check(sources: dict[str, Source]) -> None:
    """For each kind of dataset, and each task that it allows."""
    seen = set()
    for name, source in sources.items():
        tasks = possible_tasks(source)
        assert tasks, name
        for task in tasks:
            spec = suggest(source, task)
            assert spec["data"].get("dataset") is None and spec["epochs"] >= 5
            checked(spec, source)
            seen.add(task)
        assert suggest(source) == suggest(source, tasks[0])
    assert seen == set(TASKS)


@pytest.mark.parametrize("n", [2, 3, 5, 9, 17, 33, 129, 1001])
@pytest.mark.parametrize("kind", ["row", "image", "number", "map"])
def test_whatever_the_number_of_samples(kind: str, n: int, tmp_path: Path) -> None:
    shape = (3,) if kind in ("row", "number") else (1, 9, 7)
    x = RNG.normal(size=(n, *shape)).astype(np.float32)
    y = {"number": RNG.normal(size=(n, 1)).astype(np.float32), "map": RNG.integers(0, 3, (n, 9, 7))}.get(kind, np.arange(n) % 2)
    source = prepared(tmp_path, x, y, classes=None if kind in ("number", "map") else ["a", "b"])
    checked(suggest(source), source)


@pytest.mark.parametrize(
    ("name", "task", "expected"),
    [
        ("grey", "classification", "Conv2d"), ("mixed", "classification", "Conv2d"), ("maps", "segmentation", "unet"), ("number-maps", "regression", "unet"),
        ("sequences", "classification", "LSTM"), ("words", "classification", "BatchNorm1d"), ("shares", "labels", "Linear"), ("volumes", "classification", "Conv3d"),
        ("tokens", "text_classification", "textcnn"),
    ],
)  # fmt: skip
def test_the_network_is_that_of_the_kind(name: str, task: Any, expected: str, sources: dict[str, Source]) -> None:
    assert expected in types(suggest(sources[name], task))


def test_many_large_images_get_a_residual_network(tmp_path: Path) -> None:
    x = np.zeros((3000, 1, 48, 48), np.uint8)
    source = prepared(tmp_path, x, np.arange(3000) % 3, classes=["a", "b", "c"])
    spec = suggest(source)
    assert spec["model"] == {"type": "resnet18", "num_classes": 3, "width": 32}
    assert spec["epochs"] * (2400 // spec["data"]["batch_size"]) <= 4000


def test_images_of_several_sizes_are_brought_to_one(sources: dict[str, Source]) -> None:
    transforms = suggest(sources["mixed-colour"])["data"]["transform"]
    assert [t["type"] for t in transforms] == ["Resize", "RandomCrop", "RandomHorizontalFlip", "Normalize"]
    assert "RandomHorizontalFlip" not in [t["type"] for t in suggest(sources["grey"])["data"]["transform"]]


def test_rare_classes_weigh_as_much(tmp_path: Path) -> None:
    y = (np.arange(100) < 10).astype(np.int64)
    source = prepared(tmp_path, RNG.normal(size=(100, 4)).astype(np.float32), y, classes=["a", "b"])
    source.report.counts = {"a": 90, "b": 10}
    spec = suggest(source)
    assert spec["data"]["class_weights"] == "balanced" and "balanced_accuracy" in spec["metrics"]
    source.report.counts = {"a": 50, "b": 50}
    assert "class_weights" not in suggest(source)["data"]


def test_a_language_model_predicts_the_token_that_comes_next(tmp_path: Path) -> None:
    tokens = RNG.integers(0, 9, (40, 13))
    source = prepared(tmp_path, tokens[:, :-1], tokens[:, 1:])
    assert possible_tasks(source)[0] == "language_model"
    spec = suggest(source)
    assert types(spec) == ["gpt"] and "target" not in spec["data"]
    checked(spec, source)
    labelled = prepared(tmp_path / "labelled", tokens, np.arange(40) % 2, classes=["a", "b"])
    assert possible_tasks(labelled) == ["classification", "text_classification", "regression", "language_model"]
    assert suggest(labelled, "language_model")["data"]["target"] == "next"


def test_a_task_that_the_dataset_does_not_allow_is_refused(sources: dict[str, Source]) -> None:
    with pytest.raises(ValueError, match=r"expected a task that the dataset's targets allow \(classification\), got 'segmentation'"):
        suggest(sources["words"], "segmentation")


def test_numbers_of_any_scale_are_learned(tmp_path: Path) -> None:
    """Prices around 200,000: a model that begins at 0 and learns as slowly as usual would take days."""
    x = RNG.normal(size=(600, 4)).astype(np.float32)
    y = (200_000 + 50_000 * (x[:, :1] - 0.5 * x[:, 1:2])).astype(np.float32)
    source = prepared(tmp_path, x, y)
    spec = {**suggest(source), "epochs": 12, "scheduler": None, "early_stopping": None}
    r2 = [p.values["r2"] for p in points(Run(check(spec), source), "val")]
    assert r2[-1] > 0.9, r2


def test_digits_are_learned(tmp_path: Path) -> None:
    ingest(DIGITS, tmp_path / "digits", "imagefolder")
    source = open_source(tmp_path / "digits")
    spec = suggest(source)
    accuracy = [p.values["accuracy"] for p in points(Run(check({**spec, "epochs": 3, "scheduler": None}), source), "val")]
    assert max(accuracy) > 0.95, accuracy
