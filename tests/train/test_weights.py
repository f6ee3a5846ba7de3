"""Models that start from weights, with parameters that are frozen for a time and rates of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine.check import check_targets, sample_shape
from engine.data.source import Source
from engine.data.split import partition
from engine.spec import SpecError, build_model, check
from engine.state import save_file
from engine.tensor import Tensor
from engine.train import EpochEnd, Run
from tests.data.prepared import prepared
from tests.train.jobs import goes_on_exactly, points

NET: list[dict[str, Any]] = [
    {"type": "Linear", "out_features": 6}, {"type": "BatchNorm1d"}, {"type": "ReLU"}, {"type": "Linear", "out_features": 3},
]  # fmt: skip


def source(folder: Path, n: int = 48) -> Source:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(n, 4)).astype(np.float32)
    return prepared(folder / "dataset", x, (x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 0))


def spec(**changes: Any) -> dict[str, Any]:
    data = {"batch_size": 12, "validation": 0.25, "shuffle": False}
    base = {"epochs": 4, "model": NET, "loss": {"type": "CrossEntropyLoss"}, "optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9}}
    return check({**base, "data": data, **changes})


def saved(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    save_file(tensors, path)
    return {"weights": str(path)}


def pretrained(folder: Path) -> dict[str, Tensor]:
    """The state of a model that starts elsewhere."""
    engine.manual_seed(9)
    return {k: x + 0.25 if x.is_floating_point() else x for k, x in build_model(spec(), (4,)).state_dict().items()}


def find(section: Mapping[str, Any]) -> Path:
    return Path(section["weights"])


def problems(value: dict[str, Any], data: Source, finder: Any = find) -> dict[str, str]:
    try:
        check_targets(value, data, sample_shape(data, value), finder)
    except SpecError as error:
        return {p.pointer: p.detail for p in error.problems}
    return {}


def started(run: Run) -> dict[str, np.ndarray[Any, Any]]:
    """The model's state before the first step."""
    before: dict[str, np.ndarray[Any, Any]] = {}
    make = run._made

    def made(index: int, before_step: Any = lambda _: None) -> Any:
        def look(variant: Any) -> None:
            before_step(variant)
            if not before:
                before.update({k: x.numpy().copy() for k, x in variant.model.state_dict().items()})

        return make(index, look)

    run._made = made  # type: ignore[method-assign]  # to look before the first step
    next(iter(run))
    return before


def test_a_model_starts_from_a_file(tmp_path: Path) -> None:
    data, tensors = source(tmp_path), pretrained(tmp_path)
    run = Run(spec(init_from=saved(tmp_path / "w.safetensors", tensors)), data, find_weights=find)
    assert run.summaries[0].weights == {"matched": 9, "missing": [], "unexpected": [], "left_out": []}
    found = started(run)
    assert found.keys() == tensors.keys() and all((found[k] == x.numpy()).all() for k, x in tensors.items())


def test_names_are_mapped_and_left_out(tmp_path: Path) -> None:
    data, tensors = source(tmp_path), pretrained(tmp_path)
    names = {"0.": "module.body.fc.", "1.": "module.body.norm.", "3.": "module.head."}
    there = {f"{names[k[:2]]}{k[2:]}": x for k, x in tensors.items()}
    there["module.head.weight"] = engine.zeros(10, 6)
    section = {
        **saved(tmp_path / "w.safetensors", there), "strict": False,
        "map": {"module.body.fc.": "0.", "module.body.norm.": "1.", "module.head.weight": None, "module.head.bias": "3.bias"},
    }  # fmt: skip
    run = Run(spec(init_from=section), data, find_weights=find)
    assert run.summaries[0].weights == {"matched": 8, "missing": ["3.weight"], "unexpected": [], "left_out": ["module.head.weight"]}
    found = started(run)
    fresh = started(Run(spec(), data))
    for k, x in tensors.items():
        assert (found[k] == (fresh[k] if k == "3.weight" else x.numpy())).all(), k
    section["map"] = {"module.body.": "0."}  # the longest beginning, and no other
    assert "no array" in problems(spec(init_from=section), data)["/init_from/weights"]


def test_what_does_not_match_is_found_at_its_place(tmp_path: Path) -> None:
    data, tensors = source(tmp_path), pretrained(tmp_path)
    whole = saved(tmp_path / "w.safetensors", tensors)
    (tmp_path / "damaged.safetensors").write_bytes(b"no such file")
    small = saved(tmp_path / "small.safetensors", {**{k: x for k, x in tensors.items() if k != "3.bias"}, "3.weight": engine.zeros(5, 6)})
    other = saved(tmp_path / "other.safetensors", {**{k: x for k, x in tensors.items() if k != "3.bias"}, "extra": engine.zeros(1)})
    cases: list[tuple[dict[str, Any], dict[str, str]]] = [
        ({"init_from": small}, {"/model/3": "'3.weight' of the file is 5 x 6, and '3.weight' of the model 3 x 6"}),
        ({"init_from": {**small, "strict": False}}, {"/model/3": "map it to null"}),
        ({"init_from": other}, {"/init_from/strict": "1 array(s)"}),
        ({"init_from": {**other, "strict": False}}, {}),
        ({"init_from": {**whole, "map": {"9.": "0."}}}, {"/init_from/map/9.": "the file has no '9.'"}),
        ({"init_from": {**whole, "map": {"0.weight": "3.weight"}}}, {"/init_from/map": "would both be", "/model/3": "6 x 4"}),
        ({"init_from": {"weights": str(tmp_path / "damaged.safetensors")}}, {"/init_from/weights": "expected a safetensors file"}),
        ({"init_from": {**whole, "freeze": ["9.*"]}}, {"/init_from/freeze/0/match": "matches no parameter"}),
        ({"freeze": ["0.*", {"match": "2.*", "epochs": 2}]}, {"/freeze/1/match": "there are 0.weight"}),
        ({"freeze": ["*"]}, {"/freeze": "all of the model's parameters are frozen"}),
        ({"freeze": [{"match": "*", "epochs": 1}]}, {"/freeze": "frozen in the first epoch"}),
        ({"param_groups": [{"match": "4.*", "lr": 0.1}]}, {"/param_groups/0/match": "matches no parameter"}),
        ({"param_groups": [{"match": "*.weight"}, {"match": "0.weight"}]}, {"/param_groups/1/match": "put this one first"}),
        ({"param_groups": [{"match": "0.*", "lr": -1.0}]}, {"/param_groups/0/lr": "Invalid learning rate"}),
        ({"param_groups": [{"match": "0.*", "lr": "fast"}]}, {"/param_groups/0/lr": "expected a number"}),
        ({"param_groups": [{"match": "0.*", "beta": 1.0}]}, {"/param_groups/0/beta": "SGD takes lr, momentum"}),
        ({"compare": [{"name": "a"}, {"name": "b", "init_from": small}]}, {"/compare/1/model/3": "5 x 6"}),
    ]  # fmt: skip
    for changes, wanted in cases:
        found = problems(spec(**changes), data)
        assert found.keys() == wanted.keys() or (changes.get("compare") and len(found) == 1), (changes, found)
        for text, detail in zip(wanted.values(), found.values(), strict=True):
            assert text in detail, (changes, found)
    assert "no weights to be found here" in problems(spec(init_from=whole), data, None)["/init_from/weights"]


@pytest.mark.parametrize(
    ("key", "value", "pointer", "text"),
    [
        ("init_from", {}, "/init_from", "expected one of job, checkpoint, weights, got none"),
        ("init_from", {"job": "a", "weights": "b"}, "/init_from", "got job, weights"),
        ("init_from", {"jobs": "a"}, "/init_from/jobs", "did you mean 'job'"),
        ("init_from", {"weights": "b", "optimizer": True}, "/init_from/optimizer", "no optimizer's state"),
        ("init_from", {"weights": "b", "map": {"a": 1}}, "/init_from/map", "expected"),
        ("init_from", {"weights": "b", "freeze": [1]}, "/init_from/freeze/0", "an object"),
        ("freeze", "0.*", "/freeze", "a list"),
        ("freeze", [{"match": "*", "epochs": 0}], "/freeze/0/epochs", "at least 1"),
        ("freeze", [{"epochs": 1}], "/freeze/0/match", "missing"),
        ("param_groups", [{"lr": 1.0}], "/param_groups/0/match", "missing"),
        ("param_groups", {}, "/param_groups", "a list"),
    ],
)
def test_a_fault_in_the_sections_is_found(key: str, value: Any, pointer: str, text: str) -> None:
    with pytest.raises(SpecError) as error:
        spec(**{key: value})
    [problem] = error.value.problems
    assert problem.pointer == pointer and text in problem.detail, problem


def test_the_sections_are_stable() -> None:
    value = spec(
        init_from={"job": "job_a", "freeze": ["0.*"]},
        freeze=["1.*", {"match": "3.*", "epochs": 2}],
        param_groups=[{"match": "0.*", "lr": 1e-3}],
    )
    assert check(value) == value and value["freeze"] == [{"match": "1.*", "epochs": None}, {"match": "3.*", "epochs": 2}]


FINE: dict[str, Any] = {
    "freeze": [{"match": "0.*", "epochs": 2}, "1.weight"], "param_groups": [{"match": "3.*", "lr": 0.05, "weight_decay": 0.01}, {"match": "*.bias", "momentum": 0.0}],
    "scheduler": {"type": "ExponentialLR", "gamma": 0.8},
}  # fmt: skip


def test_fine_tuning_goes_on_exactly(tmp_path: Path) -> None:
    section = saved(tmp_path / "w.safetensors", pretrained(tmp_path))
    for more in ({}, {"optimizer": {"type": "Adam", "lr": 0.01}, "param_groups": [{"match": "3.*", "betas": [0.8, 0.9]}]}):
        run = Run(spec(init_from=section, gradient_clip={"norm": 1.0}, **{**FINE, **more}), source(tmp_path), find_weights=find)
        for epoch in (3,) if more else (1, 2):
            goes_on_exactly(run, epoch)


def test_the_optimizer_is_taken_over(tmp_path: Path) -> None:
    """With its state, two epochs of one job and two of the next are four of one."""
    data, adam = source(tmp_path), {"type": "Adam", "lr": 0.01}
    whole = points(Run(spec(optimizer=adam), data), "train")
    first = Run(spec(optimizer=adam, epochs=2), data)
    seen = points(first, "train")
    state = first.state()
    save_file(state.model, tmp_path / "model.safetensors")
    save_file(state.tensors, tmp_path / "state.safetensors", {"state": json.dumps(state.plain)})
    section = {"job": str(tmp_path / "model.safetensors"), "optimizer": True}

    def found(section: Mapping[str, Any]) -> Path:
        return Path(section["job"])

    rest = points(Run(spec(optimizer=adam, init_from=section, epochs=2), data, find_weights=found), "train")
    assert [p.values["loss"] for p in seen + rest] == [p.values["loss"] for p in whole]
    plain = points(Run(spec(optimizer=adam, init_from={**section, "optimizer": False}, epochs=2), data, find_weights=found), "train")
    assert [p.values["loss"] for p in plain] != [p.values["loss"] for p in rest]
    for changes, text in (
        ({"optimizer": {"type": "SGD"}}, "where SGD has"),
        ({"optimizer": adam, "param_groups": [{"match": "0.*"}]}, "other parameters"),
    ):
        assert text in problems(spec(init_from=section, **changes), data, found)["/init_from/optimizer"]
    (tmp_path / "state.safetensors").unlink()
    assert "no optimizer's state" in problems(spec(optimizer=adam, init_from=section), data, found)["/init_from/optimizer"]


def test_frozen_parameters_stay_as_they_are_until_their_epoch(tmp_path: Path) -> None:
    section = saved(tmp_path / "w.safetensors", pretrained(tmp_path))
    run = Run(spec(init_from={**section, "freeze": ["3.bias"]}, optimizer={"type": "AdamW", "weight_decay": 0.1}, **{**FINE, "param_groups": []}),
              source(tmp_path), find_weights=find)  # fmt: skip
    states = [{k: x.numpy().copy() for k, x in run.model.state_dict().items()} for r in run if isinstance(r, EpochEnd)]
    start = {k: x.numpy() for k, x in pretrained(tmp_path).items()}
    unchanged = [{k for k in start if (state[k] == start[k]).all()} for state in states]
    assert unchanged == [{"0.weight", "0.bias", "1.weight", "3.bias"}] * 2 + [{"1.weight", "3.bias"}] * 2


def test_fine_tuning_agrees_with_pytorch(tmp_path: Path) -> None:
    """Frozen features, which are unfrozen on the way, groups with rates of their own, and a schedule."""
    torch = pytest.importorskip("torch")
    data, tensors = source(tmp_path), pretrained(tmp_path)
    run = Run(spec(init_from=saved(tmp_path / "w.safetensors", tensors), **FINE), data, find_weights=find)
    net = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.BatchNorm1d(6), torch.nn.ReLU(), torch.nn.Linear(6, 3))
    net.load_state_dict({k: torch.from_numpy(x.numpy()) for k, x in tensors.items()})
    groups = [
        {"params": [net[0].weight, net[1].weight]}, {"params": [net[3].weight, net[3].bias], "lr": 0.05, "weight_decay": 0.01},
        {"params": [net[0].bias, net[1].bias], "momentum": 0.0},
    ]  # fmt: skip
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.8)
    net[1].weight.requires_grad_(False)
    history = points(run, "train")
    rows = partition(data, run.spec)[0]
    x, y, losses = torch.from_numpy(data.arrays[rows]), torch.from_numpy(data.targets[rows]), []
    for epoch in range(1, 5):
        for p in net[0].parameters():
            p.requires_grad_(epoch > 2)
        for i in range(0, len(rows), 12):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(x[i : i + 12]), y[i : i + 12])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        schedule.step()
    assert np.allclose([p.values["loss"] for p in history], losses, atol=1e-5)
    for name, p in net.state_dict().items():
        assert np.allclose(run.model.state_dict()[name].numpy(), p.numpy(), atol=1e-5), name
