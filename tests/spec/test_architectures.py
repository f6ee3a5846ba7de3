"""Ready-made architectures in specs: sizes follow from the dataset, the table goes into their parts, faults stand at their place."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from engine import models
from engine.check import check_targets, outputs_wanted, sample_shape, with_outputs
from engine.data.source import Source
from engine.spec import SpecError, build_model, check, json_schema, resolve_layers, summarize
from engine.spec.inputs import Shape
from engine.train import Run
from tests.data.prepared import prepared
from tests.models.test_architectures import SMALL
from tests.train.jobs import points

RNG = np.random.default_rng(0)
SMALL_SPECS: dict[str, dict[str, Any]] = {
    name: {k: list(v) if isinstance(v, tuple) else v for k, v in options.items() if k not in ("num_embeddings", "context", "image_size")}
    for name, options in SMALL.items()
}


def spec(model: Any, loss: str = "CrossEntropyLoss", **changes: Any) -> dict[str, Any]:
    return {
        "epochs": 1, "model": model, "loss": {"type": loss}, "optimizer": {"type": "Adam"}, "data": {"dataset": "x", "batch_size": 8, "validation": 0.25},
        **changes,
    }  # fmt: skip


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Source]:
    folder = tmp_path_factory.mktemp("datasets")
    images = RNG.normal(size=(24, 1, 32, 32)).astype(np.float32)
    classes = np.arange(24) % 5
    return {
        "images": prepared(folder / "images", images, classes, classes=list("abcde")),
        "two": prepared(folder / "two", images, classes % 2, classes=list("ab")),
        "numbers": prepared(folder / "numbers", images, RNG.normal(size=(24, 3)).astype(np.float32)),
        "maps": prepared(folder / "maps", images, RNG.integers(0, 4, (24, 32, 32))),
        "texts": prepared(folder / "texts", RNG.integers(0, 11, (24, 9)), classes % 3, classes=list("abc")),
        "table": prepared(folder / "table", images[:, 0, 0, :4].copy(), classes, classes=list("abcde")),
    }


def problems(value: dict[str, Any], source: Source) -> dict[str, str]:
    try:
        checked = with_outputs(check(json.loads(json.dumps(value))), source)
        check_targets(checked, source, sample_shape(source, checked))
    except SpecError as error:
        return {p.pointer: p.detail for p in error.problems}
    return {}


@pytest.mark.parametrize(
    ("name", "data", "loss", "outputs"),
    [
        *((n, "images", "CrossEntropyLoss", 5) for n in sorted(SMALL) if n not in ("gpt", "unet", "textcnn", "lstm_classifier")),
        ("resnet18", "two", "BCEWithLogitsLoss", 1), ("resnet18", "two", "CrossEntropyLoss", 2), ("mobilenet_v2", "numbers", "MSELoss", 3),
        ("unet", "maps", "CrossEntropyLoss", 4), ("textcnn", "texts", "CrossEntropyLoss", 3), ("lstm_classifier", "texts", "CrossEntropyLoss", 3),
    ],
)  # fmt: skip
def test_sizes_follow_from_the_dataset(name: str, data: str, loss: str, outputs: int, sources: dict[str, Source]) -> None:
    """Classes, channels, image sizes, tokens; the job's own check, in which steps are made, has nothing against it."""
    source = sources[data]
    value = spec({"type": name, **SMALL_SPECS[name]}, loss)
    assert problems(value, source) == {}
    checked = with_outputs(check(value), source)
    found = resolve_layers(checked, sample_shape(source, checked))
    assert found["num_classes"] == outputs == outputs_wanted(checked, source)
    expected = {"in_channels": 1, "image_size": 32, "num_embeddings": 11}
    assert {k: v for k, v in expected.items() if k in found} == {k: found[k] for k in expected if k in found}
    assert (
        with_outputs(check(json.loads(json.dumps({**checked, "model": found}))), source)["model"]
        == check({**checked, "model": found})["model"]
    )


def test_an_architecture_is_the_whole_model_or_a_layer() -> None:
    """As the whole model its state dict has torchvision's names; in a list, the numbers of a Sequential before them."""
    layer = {"type": "resnet18", "width": 8, "num_classes": 6}
    whole = build_model(check(spec(layer)), (3, 32, 32))
    assert isinstance(whole, models.ResNet)
    assert whole.state_dict().keys() == models.resnet18(6, width=8).state_dict().keys()
    listed = build_model(check(spec([layer, {"type": "ReLU"}, {"type": "Linear", "out_features": 5}])), (3, 32, 32))
    assert [k for k in listed.state_dict() if k.endswith("fc.weight")] == ["0.fc.weight"] and tuple(listed[2].weight.shape) == (5, 6)
    nested = {"type": "Parallel", "branches": [[layer], [{**layer, "type": "resnet34"}]]}
    assert summarize(check(spec([nested])), (3, 32, 32)).output == [12]
    single = build_model(check(spec({"type": "Linear", "out_features": 2})), (3,))
    assert list(single.state_dict()) == ["weight", "bias"]


@pytest.mark.parametrize("name", sorted(SMALL))
def test_the_table_adds_up(name: str) -> None:
    text = name in ("gpt", "textcnn", "lstm_classifier")
    options = SMALL[name] if name == "gpt" else {**SMALL[name], "num_classes": 4}
    value = spec({"type": name, **{k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}})
    table = summarize(check(value), Shape((8,), 11) if text else (3, 32, 32))
    assert len(table.layers) > 3 and table.flops > 0
    assert (
        sum(r.parameters for r in table.layers) == table.parameters == sum(p.numel() for p in getattr(models, name)(**options).parameters())
    )
    assert all(r.pointer == "/model" for r in table.layers)
    assert len({r.name for r in table.layers if r.parameters}) == len([r for r in table.layers if r.parameters])


def test_the_table_of_a_resnet() -> None:
    rows = {r.name: r for r in summarize(check(spec([{"type": "resnet18", "num_classes": 10}])), (3, 64, 64)).layers}
    conv = rows["0.layer2.0.conv1"]
    assert (conv.type, conv.output, conv.parameters) == ("Conv2d", [128, 8, 8], 128 * 64 * 9)
    assert conv.flops == 2 * 128 * 64 * 64 * 9 and conv.activation_bytes == 4 * 128 * 64
    assert rows["0.layer1.0"].type == "BasicBlock" and rows["0.layer1.0"].parameters == 0  # what adds up
    assert rows["0.fc"].output == [10]
    parts = {r.name: r.parameters for r in summarize(check(spec({"type": "vit_b_16", "num_classes": 10})), (3, 224, 224)).layers}
    assert parts[""] == 768, "the class token is the network's own"


def test_making_an_outline_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check makes no element: networks are built on the meta device, whatever the size."""
    made: list[int] = []
    monkeypatch.setattr("engine.backend.aligned", lambda make, shape, dtype: made.append(math.prod(shape)) or make(shape, dtype))
    assert summarize(check(spec({"type": "vit_b_16", "num_classes": 10, "num_layers": 48})), (3, 224, 224)).parameters > 300_000_000
    assert sum(made) < 1000


WRONG = [
    ({"type": "resnet18", "widht": 8}, "images", "/model/widht", "did you mean 'width'?"),
    ({"type": "resnet81"}, "images", "/model/type", "did you mean 'resnet18'?"),
    ({"type": "resnet18", "width": "8"}, "images", "/model/width", "expected an integer, got '8'"),
    ({"type": "resnet18", "in_channels": 3}, "images", "/model/in_channels", "expected 1 (the layer above yields 1x32x32), got 3"),
    ({"type": "vit_b_16", "image_size": 64}, "images", "/model/image_size", "expected 32"),
    ({"type": "vit_b_16", "patch_size": 10}, "images", "/model/patch_size", "divisible by patch_size"),
    ({"type": "mobilenet_v2", "width_mult": 0.0}, "images", "/model/width_mult", "above 0"),
    ({"type": "resnet18", "num_classes": 4}, "images", "/model", "expected at least 5 outputs"),
    ({"type": "resnet18"}, "table", "/model", "the layer above yields 4"),
    ({"type": "resnet18"}, "maps", "/model", "outputs of shape Cx32x32"),
    ({"type": "textcnn"}, "images", "/model", "takes indices"),
    ({"type": "textcnn", "num_embeddings": 9}, "texts", "/model/num_embeddings", "at least 11"),
    ({"type": "unet", "depth": 9}, "maps", "/model", "at least 512 pixels"),
    ({"type": "vit_b_16", "num_layers": 10**6}, "images", "/model/num_layers", "at most 256"),
    ([{"type": "resnet18", "width": 0}], "images", "/model/0", ""),
    ({}, "images", "/model/type", "type is missing"),
    (5, "images", "/model", ""),
]  # fmt: skip


@pytest.mark.parametrize(("model", "data", "pointer", "text"), WRONG, ids=[f"{m}" for m, *_ in WRONG])
def test_a_fault_is_found_at_its_place(model: Any, data: str, pointer: str, text: str, sources: dict[str, Source]) -> None:
    found = problems(spec(model), sources[data])
    assert list(found) == [pointer] and text in found[pointer], found


def test_without_a_dataset_the_number_of_classes_is_missing() -> None:
    with pytest.raises(SpecError, match="/model/num_classes: num_classes is missing"):
        summarize(check(spec({"type": "resnet18"})), (3, 32, 32))


def test_variants_have_the_outputs_that_their_losses_ask_for(sources: dict[str, Source]) -> None:
    compare = [
        {"name": "a"},
        {"name": "b", "loss": {"type": "BCEWithLogitsLoss"}},
        {"name": "c", "model": [{"type": "resnet34", "width": 8}]},
    ]
    found = with_outputs(check(spec({"type": "resnet18", "width": 8}, compare=compare)), sources["two"])
    assert found["model"]["num_classes"] == 2 and "model" not in found["compare"][0]
    assert found["compare"][1]["model"]["num_classes"] == 1 and found["compare"][2]["model"][0]["num_classes"] == 2
    assert len(check_targets(found, sources["two"], (1, 32, 32))) == 3


def test_the_schema_has_them() -> None:
    schema = json_schema()
    assert {f"#/$defs/{n}" for n in models.ARCHITECTURES} <= {d["$ref"] for d in schema["$defs"]["Layer"]["oneOf"]}
    assert schema["$defs"]["resnet18"]["properties"]["num_classes"]["default"] is None
    assert {"$ref": "#/$defs/Layer"} in schema["properties"]["model"]["anyOf"]


@pytest.mark.parametrize(("name", "data"), [("vit_b_16", "images"), ("unet", "maps"), ("lstm_classifier", "texts")])
def test_a_job_trains_one(name: str, data: str, sources: dict[str, Source], caplog: pytest.LogCaptureFixture) -> None:
    run = Run(check(spec({"type": name, **SMALL_SPECS[name]}, epochs=2)), sources[data])
    losses = [p.values["loss"] for p in points(run, "train")]
    assert len(losses) == 6 and all(map(math.isfinite, losses))
    assert not [r for r in caplog.records if "without capture" in r.getMessage()]
    assert run.spec["model"]["num_classes"] == run.summaries[0].output[0], "what is stored with the model builds it again"
