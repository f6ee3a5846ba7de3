"""Models with several outputs, each with a loss, targets and metrics of its own; a variational autoencoder among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine import nn
from engine.data.source import Source
from engine.data.split import partition
from engine.inference import load_model
from engine.spec import SpecError, check
from engine.state import metadata, save_file
from engine.train import Metrics, Report, Run
from tests.data.prepared import prepared
from tests.train.jobs import goes_on_exactly, points

RNG = np.random.default_rng(6)
X = RNG.normal(size=(64, 5)).astype(np.float32)
Y = np.stack([(X[:, 0] > 0) + (X[:, 1] > 0), X[:, 2] * 2, X[:, 3] - X[:, 4]], 1).astype(np.float32)
NODES: list[dict[str, Any]] = [
    {"name": "body", "layer": {"type": "Linear", "out_features": 12}}, {"name": "shared", "layer": {"type": "Tanh"}},
    {"name": "kind", "layer": {"type": "Linear", "out_features": 3}}, {"name": "sizes", "inputs": ["shared"], "layer": {"type": "Linear", "out_features": 2}},
]  # fmt: skip
MODEL = [{"type": "Graph", "nodes": NODES, "output": ["kind", "sizes"]}]
OUTPUTS: dict[str, Any] = {
    "kind": {"loss": {"type": "CrossEntropyLoss"}, "columns": [0], "metrics": ["accuracy", "f1"]},
    "sizes": {"loss": {"type": "MSELoss"}, "columns": [1, 2], "weight": 0.5, "metrics": ["r2"]},
}


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return prepared(tmp_path / "d", X, Y)


def spec(**changes: Any) -> dict[str, Any]:
    data = {"batch_size": 16, "validation": 0.25, "shuffle": False}
    return check(
        {
            "epochs": 4,
            "model": MODEL,
            "outputs": OUTPUTS,
            "optimizer": {"type": "Adam", "lr": 0.02},
            **changes,
            "data": {**data, **changes.get("data", {})},
        }
    )


def problems(source: Source, **changes: Any) -> dict[str, str]:
    try:
        Run(spec(**changes), source)
    except SpecError as error:
        return {p.pointer: p.detail for p in error.problems}
    return {}


def test_several_outputs_are_learned_each_with_its_metrics(source: Source) -> None:
    run = Run(spec(epochs=40), source)
    assert run.summaries[0].outputs == {"kind": [3], "sizes": [2]} and check(run.spec) == run.spec
    records = list(run)
    last = [r for r in records if isinstance(r, Metrics) and r.split == "val"][-1].values
    parts = [r.values["parts"] for r in records if isinstance(r, Report)][-1]
    assert {n: (r["task"], r["samples"]) for n, r in parts.items()} == {"kind": ("classes", 16), "sizes": ("numbers", 16)}
    assert set(last) == {"loss", "kind_accuracy", "kind_f1", "kind_f1_per_class", "sizes_r2"}
    assert last["kind_accuracy"] > 0.7 and last["sizes_r2"] > 0.7


def test_a_model_with_several_outputs_answers_from_its_file(source: Source, tmp_path: Path) -> None:
    run = Run(spec(epochs=2), source)
    points(run)
    save_file(run.model.state_dict(), tmp_path / "m.safetensors", metadata(run.metadata()))
    found = load_model(tmp_path / "m.safetensors").predict(list(X[:5]))
    outs = run.model.eval()(engine.tensor(X[:5]))
    for i, p in enumerate(found):
        assert p.parts is not None and np.allclose(p.parts["sizes"].numbers, outs["sizes"][i].tolist(), atol=1e-6)
        assert p.as_dict()["kind"]["label"] == str(int(outs["kind"][i].argmax()))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gradient_accumulation": 2, "gradient_clip": {"norm": 1.0}},
        {"precision": "bfloat16"},
        {"freeze": [{"match": "0.kind.*", "epochs": 2}]},
    ],
)
def test_a_run_with_several_outputs_goes_on_exactly(source: Source, changes: dict[str, Any]) -> None:
    goes_on_exactly(Run(spec(**changes), source), 2)


def test_the_sum_of_losses_is_pytorchs(source: Source) -> None:
    torch = pytest.importorskip("torch")
    run = Run(spec(epochs=3, optimizer={"type": "SGD", "lr": 0.1}), source)
    engine.manual_seed(run.spec["seed"])
    history = points(run)
    assert run._job is not None
    fresh = run._made(0)
    body, kind, sizes = (torch.nn.Linear(*n) for n in ((5, 12), (12, 3), (12, 2)))
    for layer, name in ((body, "0.body"), (kind, "0.kind"), (sizes, "0.sizes")):
        layer.load_state_dict({k: torch.from_numpy(fresh.model.state_dict()[f"{name}.{k}"].numpy().copy()) for k in ("weight", "bias")})
    optimizer = torch.optim.SGD([*body.parameters(), *kind.parameters(), *sizes.parameters()], lr=0.1)
    train, held = partition(source, run.spec)

    def loss(rows: Any) -> Any:
        h = torch.tanh(body(torch.from_numpy(X[rows])))
        y = torch.from_numpy(Y[rows])
        f = torch.nn.functional
        return f.cross_entropy(kind(h), y[:, 0].long()) + 0.5 * f.mse_loss(sizes(h), y[:, 1:])

    wanted = []
    for _ in range(3):
        for i in range(0, len(train), 16):
            optimizer.zero_grad()
            value = loss(train[i : i + 16])
            value.backward()
            optimizer.step()
            wanted.append(value.item())
        wanted.append(loss(held).item())
    assert np.allclose([p.values["loss"] for p in history], wanted, atol=1e-5)


def test_what_is_wrong_with_outputs_is_found_at_its_place(source: Source) -> None:
    def outputs(**changes: Any) -> dict[str, Any]:
        return {"outputs": {n: {**o, **changes.get(n, {})} for n, o in OUTPUTS.items()}}

    one = [{"type": "Linear", "out_features": 3}]
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"outputs": {"kind": OUTPUTS["kind"], "size": OUTPUTS["sizes"]}}, "/outputs/size", "did you mean 'sizes'"),
        ({"outputs": None, "loss": {"type": "MSELoss"}}, "/loss", "kind, sizes"),
        ({"model": one}, "/outputs/kind", "one without a name"),
        (outputs(kind={"columns": [3]}), "/outputs/kind/columns", "there are 3, from 0 on"),
        (outputs(kind={"columns": [1]}), "/outputs/kind/loss", "needs classes"),
        (outputs(sizes={"columns": [1]}), "/model/0", "needs outputs of the targets' shape (1,)"),
        (outputs(sizes={"metrics": ["accuracy"]}), "/outputs/sizes/metrics/0", "accuracy needs classes"),
        (outputs(kind={"loss": {"type": "CrossEntropyLoss", "weight": [1.0]}}), "/outputs/kind/loss/weight", "all 3 classes"),
        (outputs(sizes={"loss": {"type": "HuberLoss", "delta": -1.0}}), "/outputs/sizes/loss/delta", "positive"),
        ({"data": {"class_weights": "balanced"}}, "/data/class_weights", "for one output"),
        ({"model": [*MODEL, *one]}, "/model/1", "must be the model's last layer"),
    ]  # fmt: skip
    for changes, pointer, text in cases:
        found = problems(source, **changes)
        assert pointer in found and text in found[pointer], (changes, found)


@pytest.mark.parametrize(
    ("changes", "pointer", "text"),
    [
        ({"outputs": None}, "/loss", "loss is missing"),
        ({"loss": {"type": "MSELoss"}}, "/loss", "and no other"),
        ({"metrics": ["accuracy"]}, "/metrics", "name them there"),
        ({"outputs": {"kind": OUTPUTS["kind"]}}, "/outputs", "two outputs or more"),
        ({"outputs": {**OUTPUTS, "sizes": {"loss": {"type": "MSELos"}}}}, "/outputs/sizes/loss/type", "did you mean 'MSELoss'"),
        ({"outputs": {**OUTPUTS, "sizes": {"loss": {"type": "MSELoss"}, "weight": 0.0}}}, "/outputs/sizes/weight", "above 0"),
        ({"outputs": {**OUTPUTS, "sizes": {"loss": {"type": "MSELoss", "reduction": "sum"}}}}, "/outputs/sizes/loss/reduction", "means"),
        (
            {"outputs": {**OUTPUTS, "sizes": {"loss": {"type": "MSELoss"}, "target": "input", "columns": [1]}}},
            "/outputs/sizes/columns",
            "the target is the input",
        ),
        ({"model": [{"type": "Graph", "nodes": NODES, "output": ["kind", "size"]}]}, "/model/0/output/1", "did you mean 'sizes'"),
        ({"model": [{"type": "Graph", "nodes": NODES, "output": ["kind", "kind"]}]}, "/model/0/output/1", "named twice"),
        ({"model": [{"type": "Graph", "nodes": NODES, "output": []}]}, "/model/0/output", "a node"),
    ],
)
def test_a_fault_in_outputs_is_found(changes: dict[str, Any], pointer: str, text: str) -> None:
    with pytest.raises(SpecError) as error:
        spec(**changes)
    [problem] = error.value.problems
    assert problem.pointer == pointer and text in problem.detail, problem


# -- a variational autoencoder

VAE = [{"type": "Graph", "output": ["picture", "latent"], "nodes": [
    {"name": "hidden", "inputs": ["input"], "layer": {"type": "Sequential", "layers": [{"type": "Flatten"}, {"type": "Linear", "out_features": 16}, {"type": "Tanh"}]}},
    {"name": "latent", "layer": {"type": "Linear", "out_features": 4}},
    {"name": "drawn", "layer": {"type": "Reparametrize"}},
    {"name": "picture", "layer": {"type": "Sequential", "layers": [
        {"type": "Linear", "out_features": 16}, {"type": "Unflatten", "dim": 1, "unflattened_size": [1, 4, 4]}]}},
]}]  # fmt: skip
ELBO: dict[str, Any] = {
    "picture": {"loss": {"type": "BCEWithLogitsLoss"}, "target": "input"}, "latent": {"loss": {"type": "GaussianKLLoss"}, "weight": 0.01},
}  # fmt: skip


def test_a_variational_autoencoder(tmp_path: Path) -> None:
    patterns = RNG.random((2, 1, 4, 4)) > 0.5
    x = (np.where(RNG.random((80, 1, 4, 4)) < 0.05, 0.5, patterns[RNG.integers(0, 2, 80)]) * 255).astype(np.uint8)
    source = prepared(tmp_path, x, np.zeros(80, np.int64))
    run = Run(spec(model=VAE, outputs=ELBO, epochs=25), source)
    values = [p.values["loss"] for p in goes_on_exactly(run, 3) if p.split == "val"]
    mean = (x / 255).mean(0)
    trivial = float(-(x / 255 * np.log(mean + 1e-9) + (1 - x / 255) * np.log(1 - mean + 1e-9)).mean())
    assert values[-1] < 0.8 * trivial  # the best that one picture for all could do
    assert (
        "GaussianKLLoss has no targets"
        in problems(source, model=VAE[0]["nodes"][0]["layer"]["layers"], outputs=None, loss={"type": "GaussianKLLoss"})["/loss"]
    )


def test_the_divergence_of_a_gaussian() -> None:
    torch = pytest.importorskip("torch")
    x = RNG.normal(size=(6, 8)).astype(np.float32)
    mean, spread = torch.from_numpy(x[:, :4]), torch.from_numpy(x[:, 4:]).div(2).exp()
    normal = torch.distributions.Normal
    wanted = torch.distributions.kl_divergence(normal(mean, spread), normal(0.0, 1.0)).sum(1)
    assert np.isclose(nn.GaussianKLLoss()(engine.tensor(x)).item(), wanted.mean().item(), rtol=1e-5)
    assert np.isclose(nn.GaussianKLLoss("sum")(engine.tensor(x)).item(), wanted.sum().item(), rtol=1e-5)
    draw = nn.Reparametrize()
    many = draw(engine.tensor(np.repeat(x, 20000, 0))).numpy().reshape(6, 20000, 4)
    assert np.allclose(many.mean(1), x[:, :4], atol=0.08) and np.allclose(many.std(1), spread.numpy(), rtol=0.05)
    assert draw.eval()(engine.tensor(x)).tolist() == x[:, :4].tolist()
    with pytest.raises(ValueError, match="means and logarithms"):
        draw(engine.tensor(x[:, :3]))
