"""Specs: what is filled in, what is found wrong, where, and all at once."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from engine import cat, nn, optim, randn
from engine.spec import SpecError, build_model, check, json_schema, registry, resolve_layers, summarize, variants

EXAMPLES = Path(__file__).parents[2] / "examples"
BASE: dict[str, Any] = {
    "model": [
        {"type": "Conv2d", "out_channels": 4, "kernel_size": 3, "padding": 1}, {"type": "BatchNorm2d"}, {"type": "ReLU"}, {"type": "MaxPool2d", "kernel_size": 2},
        {"type": "Flatten"}, {"type": "Linear", "out_features": 10},
    ],
    "loss": {"type": "CrossEntropyLoss"}, "optimizer": {"type": "Adam"}, "data": {"dataset": "x"},
}  # fmt: skip
SHAPE = (1, 8, 8)


def changed(path: str, value: Any) -> dict[str, Any]:
    """The base with the value at a JSON pointer replaced."""
    spec = copy.deepcopy(BASE)
    at: Any = spec
    *parents, last = path.strip("/").split("/")
    for p in parents:
        at = at[int(p)] if isinstance(at, list) else at.setdefault(p, {})
    at[int(last) if isinstance(at, list) else last] = value
    return spec


def problems(spec: Any, shape: tuple[int, ...] = SHAPE) -> dict[str, str]:
    with pytest.raises(SpecError) as error:
        summarize(check(spec), shape)
    return {p.pointer: p.detail for p in error.value.problems}


def test_sizes_follow_from_the_data() -> None:
    spec = check(BASE)
    layers = resolve_layers(spec, SHAPE)
    assert (layers[0]["in_channels"], layers[1]["num_features"], layers[5]["in_features"]) == (1, 4, 64)
    model = build_model(spec, SHAPE)
    table = summarize(spec, SHAPE)
    assert table.parameters == sum(p.numel() for p in model.parameters()) == 4 * 9 + 4 + 8 + 650
    conv = table.layers[0]
    assert conv.output == [4, 8, 8] and conv.flops == 2 * 4 * 64 * 9 + 4 * 64 and table.output == [10]
    assert table.largest_batch(table.peak_bytes) == table.batch_size


WRONG = [
    ("/model/0/kernel_size", 0, "/model/0/kernel_size", "at least 1"),
    ("/model/0/kernel_size", [3, 3, 3], "/model/0/kernel_size", "[integer, integer]"),
    ("/model/0/kernel_size", 11, "/model/0", "can't be greater than actual input size"),
    ("/model/0/in_channels", 3, "/model/0/in_channels", "expected 1 (the layer above yields 1x8x8), got 3"),
    ("/model/0/groups", 3, "/model/0/groups", "divisible by groups"),
    ("/model/0/padding_mode", "mirror", "/model/0/padding_mode", "one of 'zeros', 'reflect'"),
    ("/model/0/out_channels", "4", "/model/0/out_channels", "expected an integer, got '4'"),
    ("/model/0/out_channels", True, "/model/0/out_channels", "expected an integer"),
    ("/model/2/type", "Relu", "/model/2/type", "did you mean 'ReLU'?"),
    ("/model/2", {"type": "ReLU", "inplce": True}, "/model/2/inplce", "did you mean 'inplace'?"),
    ("/model/2", {"type": "os.system"}, "/model/2/type", "unknown layer 'os.system'"),
    ("/model/2", {"typ": "ReLU"}, "/model/2/type", "type is missing"),
    ("/model/5/in_features", 63, "/model/5/in_features", "expected 64"),
    ("/model/5", {"type": "Linear"}, "/model/5/out_features", "missing"),
    ("/optimizer/lr", -0.1, "/optimizer/lr", "Invalid learning rate"),
    ("/optimizer/betas", [0.9, 1.5], "/optimizer/betas", "beta parameter at index 1"),
    ("/optimizer/betas", [0.9], "/optimizer/betas", "[number, number]"),
    ("/scheduler", {"type": "StepLR", "step_size": 0}, "/scheduler/step_size", "at least 1"),
    ("/init", [{"match": "9.*", "type": "zeros_"}], "/init/0/match", "matches no parameter"),
    ("/init", [{"match": "*.bias", "type": "xavier_uniform_"}], "/init/0", "cannot fill 0.bias"),
    ("/init", [{"type": "xavier_unifrom_"}], "/init/0/type", "did you mean 'xavier_uniform_'"),
    ("/epochs", 0, "/epochs", "at least 1"),
    ("/seed", 1.5, "/seed", "integer"),
    ("/data/batch_size", 0, "/data/batch_size", "at least 1"),
    ("/data/transform", [{"type": "RandomCrop"}], "/data/transform/0/size", "missing"),
    ("/early_stopping", {"patience": "x"}, "/early_stopping/patience", "integer"),
    ("/early_stopping", {"monitor": "val_f1"}, "/early_stopping/monitor", '"metrics": ["f1"]'),
    ("/early_stopping", {"monitor": "f1"}, "/early_stopping/monitor", "'val_f1'"),
    ("/early_stopping", {"mode": "up"}, "/early_stopping/mode", "'min'"),
    ("/gradient_clip", 1.0, "/gradient_clip", "an object"),
    ("/gradient_clip", {}, "/gradient_clip", "either"),
    ("/gradient_clip", {"norm": 1.0, "value": 1.0}, "/gradient_clip", "either"),
    ("/gradient_clip", {"norm": 0.0}, "/gradient_clip/norm", "above 0"),
    ("/gradient_accumulation", 0, "/gradient_accumulation", "at least 1"),
    ("/precision", "float16", "/precision", "'bfloat16'"),
    ("/precision", "flot32", "/precision", "did you mean 'float32'?"),
    ("/name", "n" * 201, "/name", "of at most 200 characters, got 201"),
    ("/device", "gpu", "/device", "such as 'auto', 'cpu', 'cuda', 'cuda:0', got 'gpu'"),
    ("/metrics", ["f1", "acuracy"], "/metrics/1", "did you mean 'accuracy'?"),
    ("/metrics", "accuracy", "/metrics", "a list, each one of"),
    ("/optimizer", {"type": "Adam", "betas": [0.9]}, "/optimizer/betas", "expected [number, number], got [0.9]"),
    ("/data/class_weights", "even", "/data/class_weights", "'balanced'"),
    ("/data/sampler", "even", "/data/sampler", "'balanced'"),
    ("/compare", [{"name": "a"}, {"name": "a"}], "/compare/1/name", "another variant"),
    ("/compare", [{"name": "a", "optimizer": {"type": "SGD", "lr": "x"}}], "/compare/0/optimizer/lr", "a number"),
    ("/compare", [{"name": "a", "epochs": 3}], "/compare/0/epochs", "a variant may change"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "pointer", "text"), WRONG, ids=[f"{p}={v}" for p, v, _, _ in WRONG])
def test_a_fault_is_found_at_its_place(path: str, value: Any, pointer: str, text: str) -> None:
    found = problems(changed(path, value))
    assert pointer in found and text in found[pointer], found
    assert len(found) == 1, found


def test_all_faults_at_once() -> None:
    spec = changed("/model/0/kernel_size", "x")
    spec.update(epochs=-1, loss={"type": "CrossEntropy"}, metrics=["f2"])
    assert set(problems(spec)) == {"/model/0/kernel_size", "/epochs", "/loss/type", "/metrics/0"}


def test_branches() -> None:
    branch = [{"type": "Conv2d", "out_channels": 2, "kernel_size": 1}]
    model = [
        {"type": "Parallel", "branches": [branch, [*branch, {"type": "ReLU"}], []]}, {"type": "Residual", "layers": [{"type": "Conv2d", "out_channels": 5, "kernel_size": 3, "padding": 1}]},
        {"type": "Sequential", "layers": [{"type": "Flatten"}, {"type": "Linear", "out_features": 10}]},
    ]  # fmt: skip
    spec = check({**BASE, "model": model})
    built = build_model(spec, SHAPE)
    assert list(built.state_dict()) == [
        "0.0.0.weight", "0.0.0.bias", "0.1.0.weight", "0.1.0.bias", "1.0.weight", "1.0.bias", "2.1.weight", "2.1.bias",
    ]  # fmt: skip
    assert [r.pointer for r in summarize(spec, SHAPE).layers][:2] == ["/model/0/branches/0/0", "/model/0/branches/1/0"]
    found = problems({**BASE, "model": [{"type": "Residual", "layers": branch}]})
    assert "different shapes" in found["/model/0"]
    assert "/model/0/layers/0/kernel_size" in problems(
        {**BASE, "model": [{"type": "Residual", "layers": [{"type": "Conv2d", "out_channels": 1, "kernel_size": {}}]}]}
    )


def test_a_graph_of_named_nodes() -> None:
    conv = {"type": "Conv2d", "out_channels": 3, "kernel_size": 3, "padding": 1}
    nodes: list[dict[str, Any]] = [
        {"name": "stem", "layer": conv}, {"name": "left", "layer": conv}, {"name": "right", "inputs": ["stem"], "layer": {"type": "ReLU"}},
        {"name": "sum", "inputs": ["left", "right"], "merge": "add"}, {"name": "all", "inputs": ["sum", "input"], "layer": {"type": "Flatten"}},
        {"name": "head", "layer": {"type": "Linear", "out_features": 10}},
    ]  # fmt: skip
    graph = {"type": "Graph", "nodes": nodes}
    spec = check({**BASE, "model": [graph]})
    net = build_model(spec, SHAPE)
    assert list(net.state_dict())[::2] == ["0.stem.weight", "0.left.weight", "0.head.weight"]
    x = randn(2, *SHAPE)
    stem = net[0].stem(x)
    expected = net[0].head(cat([net[0].left(stem) + stem.relu(), x], 1).flatten(1))
    assert net(x).tolist() == expected.tolist() and net(x).shape == (2, 10)
    assert [r.name for r in summarize(spec, SHAPE).layers][-1] == "0.head" and resolve_layers(spec, SHAPE)[0]["nodes"][5]["layer"][
        "in_features"
    ] == 256
    nodes[2]["inputs"], nodes[3]["merge"], nodes[4]["name"] = ["stme"], "sum", "left"
    found = problems({**BASE, "model": [{**graph, "output": "tail"}]})
    assert set(found) == {"/model/0/nodes/2/inputs/0", "/model/0/nodes/3/merge", "/model/0/nodes/4/name", "/model/0/output"}
    assert "did you mean 'stem'" in found["/model/0/nodes/2/inputs/0"]
    nodes[2]["inputs"], nodes[3]["merge"], nodes[4]["name"], nodes[1]["layer"] = ["stem"], "add", "all", {**conv, "padding": 0}
    assert "different shapes" in problems({**BASE, "model": [graph]})["/model/0/nodes/3"]


def test_variants_change_only_what_they_say() -> None:
    spec = check(json.loads((EXAMPLES / "optimizers.json").read_text()))
    runs = variants(spec)
    assert [n for n, _ in runs] == ["SGD", "Momentum", "RMSprop", "Adam"]
    assert runs[3][1]["optimizer"]["betas"] == (0.9, 0.99) and runs[3][1]["model"] == spec["model"]


def test_the_check_is_stable() -> None:
    """A checked spec, through JSON, checks to itself: what is stored with a job runs as it was submitted."""
    for example in EXAMPLES.glob("*.json"):
        spec = check(json.loads(example.read_text()))
        assert check(json.loads(json.dumps(spec))) == spec


def test_the_schema_is_complete() -> None:
    """Whatever the engine registers is in the schema at once."""
    definitions = json_schema()["$defs"]
    for name in (
        *registry.layers(),
        *registry.CONTAINERS,
        *registry.losses(),
        *registry.optimizers(),
        *registry.schedulers(),
        *registry.initializers(),
        *registry.image_transforms(),
        *registry.batch_transforms(),
    ):
        assert name in definitions, name
    assert {"Conv2d", "Linear", "BatchNorm2d", "Dropout"} <= set(registry.layers()) and "Module" not in registry.layers()
    assert {"SGD", "RMSprop", "Adam"} <= set(registry.optimizers()) and "LRScheduler" not in registry.schedulers()
    for module in (nn, optim):
        assert all(hasattr(module, n) for n in module.__all__)


def test_huge_models_are_described_without_being_made() -> None:
    spec = changed("/model/5/out_features", 10**9)
    assert summarize(check(spec), SHAPE).peak_bytes > 10**11
