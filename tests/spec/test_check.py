"""What is found of a spec and its dataset together before a job is queued: where, and in which words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.check import check_targets, evaluation_batch, sample_shape, targets_for
from engine.check.loop import Batches
from engine.data.source import Source
from engine.spec import SpecError, check, json_schema, registry
from engine.train.batches import steps_an_epoch
from tests.spec.generator import prepared

LINEAR = [{"type": "Flatten"}, {"type": "Linear", "out_features": 3}]
ONE = [{"type": "Flatten"}, {"type": "Linear", "out_features": 1}]
CONV = {"type": "Conv2d", "out_channels": 2, "kernel_size": 3}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Source]:
    return prepared(tmp_path_factory.mktemp("datasets"))


def spec(model: list[Any], loss: str | dict[str, Any] = "CrossEntropyLoss", **changes: Any) -> dict[str, Any]:
    data = {"dataset": "x", "batch_size": 8, "validation": 0.2, **changes.pop("data", {})}
    named = {"type": loss} if isinstance(loss, str) else loss
    return {"epochs": 3, "model": model, "loss": named, "optimizer": {"type": "SGD", "lr": 0.1}, "data": data, **changes}


def problems(value: dict[str, Any], source: Source) -> dict[str, str]:
    """What is wrong, by pointer."""
    try:
        checked = check(json.loads(json.dumps(value)))
        check_targets(checked, source, sample_shape(source, checked))
    except SpecError as error:
        return {p.pointer: p.detail for p in error.problems}
    return {}


NORM = [{"type": "Linear", "out_features": 4}, {"type": "BatchNorm1d"}, {"type": "Linear", "out_features": 3}]
WRONG: list[tuple[str, str, dict[str, Any], str, str]] = [
    ("one sample left over", "classes", spec(NORM, data={"batch_size": 8, "validation": 0}), "/data/batch_size", "last batch of an epoch has 1 of 33 samples"),
    ("batches of one", "classes", spec(NORM, data={"batch_size": 1}), "/data/batch_size", "batch_size is 1, and /model/1"),
    ("drop_last leaves nothing", "classes", spec(LINEAR, data={"batch_size": 64, "drop_last": True}), "/data/drop_last", "leaves no batch"),
    ("no sample held out", "classes", spec(LINEAR, data={"validation": 0.01}), "/data/validation", "holds out none"),
    ("one value a channel", "grey", spec([{**CONV, "kernel_size": 8}, {"type": "InstanceNorm2d"}, *LINEAR]), "/model/1", "more than 1 spatial element"),
    ("padding of the batch", "classes", spec([{"type": "ZeroPad2d", "padding": 1}, *LINEAR]), "/model/0", "samples of a batch apart"),
    ("Flatten of the batch", "grey", spec([{"type": "Flatten", "start_dim": 0}, *LINEAR]), "/model/0", "samples of a batch apart"),
    ("Unflatten of the batch", "classes", spec([{"type": "Unflatten", "dim": 0, "unflattened_size": [2, -1]}, *LINEAR]), "/model/0", "apart"),
    ("batches of eight only", "classes", spec([{"type": "LayerNorm", "normalized_shape": [8, 7]}, *LINEAR]), "/model/0", "normalized_shape"),
    ("Softmax over the batch", "classes", spec([*LINEAR, {"type": "LogSoftmax", "dim": 0}], "NLLLoss"), "/model/2/dim", "set dim to 1"),
    ("Softmax's implicit dim", "sequences", spec([{"type": "Softmax"}, *LINEAR]), "/model/0/dim", "set dim to 1"),
    ("attention over the batch", "sequences", spec([{"type": "TransformerEncoderLayer", "d_model": 9, "nhead": 3, "batch_first": False}, *LINEAR]), "/model/0/batch_first", "true"),
    ("an assertion", "sequences", spec([{"type": "TransformerEncoderLayer", "d_model": 6, "nhead": 2, "batch_first": True}, *LINEAR]), "/model/0/d_model", "expected 9"),
    ("heads that do not divide", "sequences", spec([{"type": "TransformerEncoderLayer", "nhead": 2}, *LINEAR]), "/model/0", "divisible"),
    ("a forgotten Flatten", "grey", spec([CONV, {"type": "Linear", "out_features": 3}]), "/model/1", "is a Flatten missing"),
    ("maps for class maps", "maps", spec(LINEAR), "/model/1", "outputs of shape Cx6x6"),
    ("too few outputs", "maps", spec([{"type": "Conv2d", "out_channels": 2, "kernel_size": 1}]), "/model/0", "at least 3 outputs"),
    ("an output a class for two", "colour", spec([{"type": "Flatten"}, {"type": "Linear", "out_features": 2}], "BCEWithLogitsLoss"), "/model/1", "CrossEntropyLoss takes"),
    ("numbers for classes", "regression", spec(ONE), "/loss", "needs classes"),
    ("negative classes", "maps-with-ignored", spec([{"type": "Conv2d", "out_channels": 2, "kernel_size": 1}], {"type": "CrossEntropyLoss", "ignore_index": 1}), "/loss", "a target of -100"),
    ("numbers beyond 1", "regression", spec(ONE, "BCEWithLogitsLoss"), "/loss", "numbers from 0 to 1"),
    ("logits as probabilities", "binary", spec(ONE, "BCELoss"), "/model/1", "end the model with a Sigmoid"),
    ("smoothing beyond 1", "two", spec([{"type": "Linear", "out_features": 2}], data={"validation": 0.5}, loss={"type": "CrossEntropyLoss", "label_smoothing": 2.0}), "/loss/label_smoothing", "between 0.0 and 1.0"),
    ("no reduction", "classes", spec(LINEAR, {"type": "CrossEntropyLoss", "reduction": "none"}), "/loss/reduction", "one of 'mean', 'sum'"),
    ("too few weights", "classes", spec(LINEAR, {"type": "CrossEntropyLoss", "weight": [1.0]}), "/loss/weight", "all 3 classes"),
    ("too many weights", "binary", spec(ONE, {"type": "BCEWithLogitsLoss", "pos_weight": [1.0, 2.0]}), "/loss/pos_weight", "one for all"),
    ("a negative delta", "regression", spec(ONE, {"type": "HuberLoss", "delta": -1.0}), "/loss/delta", "non-positive"),
    ("a schedule that ends", "classes", spec(LINEAR, scheduler={"type": "OneCycleLR", "max_lr": 0.1, "total_steps": 2}), "/scheduler/total_steps", "3 epochs"),
    ("a schedule that overflows", "classes", spec(LINEAR, epochs=900_000, scheduler={"type": "CyclicLR", "base_lr": 0.1, "max_lr": 1.0, "mode": "exp_range", "gamma": 1.5, "cycle_momentum": False}), "/scheduler", "epochs"),
    ("accuracy of numbers", "regression", spec(ONE, "MSELoss", metrics=["r2", "accuracy"]), "/metrics/1", "accuracy needs classes"),
    ("weights of numbers", "regression", spec(ONE, "MSELoss", data={"class_weights": "balanced"}), "/data/class_weights", "not for MSELoss"),
    ("a sampler of maps", "maps", spec([{"type": "Conv2d", "out_channels": 3, "kernel_size": 1}], data={"sampler": "balanced"}), "/data/sampler", "one class a sample"),
    ("one sample left over of a step", "classes", spec(NORM, gradient_accumulation=2, data={"validation": 0}), "/data/batch_size", "last batch of an epoch has 1 of 33"),
    ("one sample left over in half precision", "classes", spec(NORM, precision="bfloat16", data={"validation": 0}), "/data/batch_size", "has 1 of 33"),
    ("no sample to monitor", "classes", spec(LINEAR, data={"validation": 0}, early_stopping={}), "/early_stopping/monitor", "held-out"),
    ("several sizes", "mixed", spec(LINEAR), "/data/transform", "several sizes"),
    ("shorter sides alone", "mixed", spec(LINEAR, data={"transform": [{"type": "Resize", "size": 8}]}), "/data/transform", "several sizes"),
    ("a crop too large for some", "mixed", spec(LINEAR, data={"transform": [{"type": "RandomCrop", "size": 8}]}), "/data/transform/0", "larger than input image"),
    ("a crop too large for all", "grey", spec(LINEAR, data={"transform": [{"type": "RandomCrop", "size": 9}]}), "/data/transform/0", "larger than input image"),
    ("rotations that grow", "grey", spec(LINEAR, data={"transform": [{"type": "RandomRotation", "degrees": 40.0, "expand": True}]}), "/data/transform", "several sizes"),
    ("rare transforms", "grey", spec(LINEAR, data={"transform": [{"type": "RandomPosterize", "bits": 99, "p": 0.01}]}), "/data/transform/0", "bits"),
    ("channels of Normalize", "colour", spec(LINEAR, data={"transform": [{"type": "Normalize", "mean": [0.5, 0.5], "std": [1.0, 1.0]}]}), "/data/transform/0", ""),
    ("transforms of no image", "classes", spec(LINEAR, data={"transform": [{"type": "Resize", "size": 8}]}), "/data/transform", "for images"),
    ("nothing to train", "grey", spec([{"type": "Flatten"}]), "/model", "has parameters"),
    ("more memory than there is", "classes", spec([{"type": "Linear", "out_features": 10**12}, *LINEAR]), "/model/0", "more than any machine"),
    ("batches too large", "classes", spec([{"type": "Linear", "out_features": 10**7}, *LINEAR], data={"batch_size": 30_000}), "/data/batch_size", "smaller"),
    ("a huge integer", "classes", spec([{"type": "Linear", "out_features": 10**30}, *LINEAR]), "/model/0/out_features", "at most"),
    ("a huge map", "grey", spec([{"type": "ZeroPad2d", "padding": 60_000}, *LINEAR]), "/model/0", "places a channel"),
    ("a huge grid", "grey", spec([{"type": "AdaptiveMaxPool2d", "output_size": 60_000}, *LINEAR]), "/model/0/output_size", "places a channel"),
    ("no channel", "grey", spec([{"type": "Flatten"}, {"type": "Linear", "out_features": 0}, *LINEAR]), "/model/1", "no number at all"),
    ("a reserved name", "grey", spec([{"type": "Graph", "nodes": [{"name": "train", "layer": {"type": "Flatten"}}]}, *LINEAR]), "/model/0/nodes/0/name", "another name"),
    ("an escape code", "classes", spec(LINEAR, name="\x1b[2J"), "/name", "control characters"),
    ("a path as a variant", "classes", spec(LINEAR, compare=[{"name": "../out"}]), "/compare/0/name", "without slashes"),
    ("a long variant", "classes", spec(LINEAR, compare=[{"name": "é" * 150}]), "/compare/0/name", "at most 200 bytes"),
]  # fmt: skip


@pytest.mark.parametrize(("dataset", "value", "pointer", "text"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_cannot_work_is_found_at_its_place(
    dataset: str, value: dict[str, Any], pointer: str, text: str, sources: dict[str, Source]
) -> None:
    found = problems(value, sources[dataset])
    assert pointer in found and text in found[pointer], found
    assert len(found) == 1, found


RIGHT: list[tuple[str, str, dict[str, Any]]] = [
    ("the small batch dropped", "classes", spec(NORM, data={"validation": 0, "drop_last": True})),
    ("batch norm evaluates one", "classes", spec(NORM, data={"batch_size": 16, "validation": 0.03})),
    ("one-hot numbers for classes", "grey", spec(LINEAR, "MSELoss")),
    ("an output for two classes", "colour", spec(ONE, "BCEWithLogitsLoss")),
    ("probabilities of a branch", "binary", spec([{"type": "Sequential", "layers": [*ONE, {"type": "Sigmoid"}]}, {"type": "Flatten"}], "BCELoss")),
    ("signs of two classes", "colour", spec(ONE, "SoftMarginLoss")),
    ("class maps", "maps", spec([{"type": "Conv2d", "out_channels": 3, "kernel_size": 1}])),
    ("ignored targets", "maps-with-ignored", spec([{"type": "Conv2d", "out_channels": 2, "kernel_size": 1}])),
    ("crops that fit all", "mixed", spec(LINEAR, data={"transform": [{"type": "Resize", "size": 9}, {"type": "CenterCrop", "size": 6}]})),
    ("a schedule to the end", "classes", spec(LINEAR, scheduler={"type": "OneCycleLR", "max_lr": 0.1, "total_steps": 3})),
    ("sequences attend", "sequences", spec([{"type": "TransformerEncoderLayer", "d_model": 9, "nhead": 3, "batch_first": True}, *LINEAR])),
    ("a node named output", "grey", spec([{"type": "Graph", "nodes": [{"name": "output", "layer": {"type": "Flatten"}}]}, *LINEAR[1:]])),
    ("a val split of its own", "splits", spec(LINEAR, data={"validation": 0.01}, early_stopping={"monitor": "val_f1"}, metrics=["f1"])),
    ("a val split and no share", "splits", spec(LINEAR, data={"validation": 0}, early_stopping={})),
    ("steps of several batches", "classes", spec(NORM, gradient_accumulation=3, data={"validation": 0, "drop_last": True})),
    ("a step of more than there is", "classes", spec(NORM, gradient_accumulation=1024, gradient_clip={"norm": 1.0})),
    ("balanced labels", "grey", spec(LINEAR, "BCEWithLogitsLoss", data={"class_weights": "balanced", "sampler": "balanced"})),
    ("half precision", "grey", spec([CONV, *LINEAR], precision="bfloat16", metrics=["accuracy", "auroc"])),
    ("names with marks", "classes", spec(LINEAR, name="lr [0.1] a/b é")),
]  # fmt: skip


@pytest.mark.parametrize(("dataset", "value"), [row[1:] for row in RIGHT], ids=[row[0] for row in RIGHT])
def test_what_works_is_not_refused(dataset: str, value: dict[str, Any], sources: dict[str, Source]) -> None:
    assert problems(value, sources[dataset]) == {}


@pytest.mark.parametrize(
    ("size", "accumulated", "drop_last", "steps"),
    [
        (8, 1, False, ((8,), (1,))), (8, 1, True, ((8,),)), (8, 2, False, ((8, 8), (1,))), (8, 3, False, ((8, 8), (8, 1))),
        (8, 3, True, ((8, 8), (8,))), (4, 1024, False, ((4, 4, 1),)), (64, 2, False, ((33,),)), (64, 2, True, ()), (11, 3, False, ((11, 11),)),
    ],
)  # fmt: skip
def test_steps_are_those_of_the_run(
    size: int, accumulated: int, drop_last: bool, steps: tuple[tuple[int, ...], ...], sources: dict[str, Source]
) -> None:
    """Each kind of step once, equal batches in it twice at most."""
    data = {"batch_size": size, "drop_last": drop_last, "validation": 0.0}
    checked = check(spec(LINEAR, gradient_accumulation=accumulated, data=data))
    assert Batches.of(checked, sources["classes"]).steps == steps
    assert steps_an_epoch(33, checked) == 0 if not steps else steps_an_epoch(33, checked) >= len(steps)


def test_batches_of_evaluation_keep_within_memory(sources: dict[str, Source]) -> None:
    checked = check(spec(LINEAR, data={"validation": 0.5}))
    assert Batches.of(checked, sources["classes"], 1).evaluation_sizes == (16,)
    assert Batches.of(checked, sources["classes"], 6 << 20).evaluation_sizes == (10, 6)
    assert evaluation_batch(checked, 1 << 40) == 8 and evaluation_batch(checked, 1) == 256


def test_a_problem_stands_where_the_variant_wrote_it(sources: dict[str, Source]) -> None:
    """Once where all have it, with the variant's name where one has it, under /compare where its own words cause it."""
    loss = {"type": "HuberLoss", "delta": -1.0}
    found = problems(spec(ONE, "MSELoss", compare=[{"name": "a"}, {"name": "b", "loss": loss}]), sources["regression"])
    assert list(found) == ["/compare/1/loss/delta"]
    found = problems(spec(LINEAR, "MSELoss", compare=[{"name": "a"}, {"name": "b", "model": ONE}]), sources["regression"])
    assert list(found) == ["/model/1"] and "(variant 'a')" in found["/model/1"]
    found = problems(spec(LINEAR, "MSELoss", compare=[{"name": "a"}, {"name": "b", "seed": 1}]), sources["regression"])
    assert list(found) == ["/model/1"] and "variant" not in found["/model/1"]


def test_targets_are_read_as_the_loss_wants_them(sources: dict[str, Source]) -> None:
    def targets(loss: str, dataset: str) -> np.ndarray[Any, Any]:
        return targets_for(check(spec(LINEAR, loss)), sources[dataset])

    classes = np.arange(33) % 3
    assert targets("CrossEntropyLoss", "classes").tolist() == classes.tolist()
    assert targets("BCEWithLogitsLoss", "classes").tolist() == np.eye(3)[classes].tolist()
    two = sources["colour"].targets
    assert targets("BCELoss", "colour").tolist() == two[:, None].tolist()
    assert targets("HingeEmbeddingLoss", "colour").tolist() == (two[:, None] * 2 - 1).tolist()
    assert targets("MSELoss", "regression").shape == (25, 1) and targets("MSELoss", "number-maps").shape == (10, 1, 6, 6)
    maps = targets("BCELoss", "maps")
    assert maps.shape == (12, 3, 6, 6) and (maps.argmax(1) == sources["maps"].targets).all() and (maps.sum(1) == 1).all()


def test_every_loss_says_what_it_takes() -> None:
    """Or is in no spec; and none in the schema leaves more than a number to train on."""
    assert "MultiLabelMarginLoss" not in registry.losses() and "CTCLoss" not in registry.losses()
    for name, kind in registry.losses().items():
        assert getattr(kind.make, "targets", None) in ("classes", "numbers", "shares", "counts", "signs", "nothing"), name
        assert "none" not in json_schema()["$defs"][name]["properties"]["reduction"]["enum"], name


def test_sizes_of_images_are_read_from_their_headers_once(sources: dict[str, Source], tmp_path: Path) -> None:
    source = sources["mixed"]
    assert source.image_sizes == sorted([(8, 8), (9, 12), (6, 10), (12, 7)])
    assert json.loads(next(tmp_path.parent.glob("datasets*/mixed/sizes.json")).read_text()) == [list(s) for s in source.image_sizes]
