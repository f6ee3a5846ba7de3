"""Targets that follow from the samples: the input itself, the next element; and classes whose scores stand last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.check import check_targets, sample_shape, takes_classes
from engine.data.source import Source
from engine.inference import load_model
from engine.modes import no_grad
from engine.spec import SpecError, check
from engine.state import metadata, save_file
from tests.data.prepared import prepared
from tests.train.jobs import goes_on_exactly, job, points

RNG = np.random.default_rng(4)


def problems(source: Source, **changes: Any) -> dict[str, str]:
    try:
        job(source, **changes)
    except SpecError as error:
        return {p.pointer: p.detail for p in error.problems}
    return {}


def cyclic(folder: Path) -> Source:
    """Sequences in which each token follows from the one before, mostly."""
    x = (RNG.integers(0, 7, (60, 1)) + np.arange(9) * 3) % 7
    return prepared(folder, np.where(RNG.random(x.shape) < 0.03, 0, x), np.zeros(60, np.int64))


LANGUAGE = [
    {"type": "Embedding", "embedding_dim": 8},
    {"type": "GRU", "hidden_size": 16, "pool": "none"},
    {"type": "Linear", "out_features": 7},
]
LAST = [*LANGUAGE, {"type": "Permute", "dims": [0, 2, 1]}]


def test_a_language_model_learns_what_comes_next(tmp_path: Path) -> None:
    source = cyclic(tmp_path / "d")
    changes: dict[str, Any] = {
        "model": LANGUAGE, "epochs": 8, "optimizer": {"type": "Adam", "lr": 0.03}, "metrics": ["accuracy"], "data": {"target": "next"},
    }  # fmt: skip
    run = job(source, **changes)
    assert run.shape == (8,) and run.variants[0][1]["loss"]["class_dim"] == -1
    history = goes_on_exactly(run, 4)
    last = [p for p in history if p.split == "val"][-1].values
    assert last["accuracy"] > 0.85 and last["loss"] < 0.7
    # the same numbers where the scores of classes come second, as PyTorch has them
    second = points(job(source, **{**changes, "model": LAST}))
    assert np.allclose([p.values["loss"] for p in second], [p.values["loss"] for p in history], atol=1e-5)
    assert [p for p in second if p.split == "val"][-1].values["accuracy"] == last["accuracy"]


def test_the_loss_of_next_tokens_is_pytorchs(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    source = cyclic(tmp_path / "d")
    model: list[Any] = [{"type": "Embedding", "embedding_dim": 5}, {"type": "Linear", "out_features": 7}]
    run = job(
        source,
        model=model,
        epochs=1,
        optimizer={"type": "SGD", "lr": 0.0},
        metrics=["accuracy"],
        data={"target": "next", "validation": 0.5},
    )
    [point] = points(run, "val")
    assert run._job is not None and source.arrays is not None
    weight, w, b = (torch.from_numpy(x.detach().numpy()) for x in run.model.parameters())
    x = torch.from_numpy(source.arrays[run._job.val_indices])
    scores = torch.nn.functional.linear(torch.nn.functional.embedding(x[:, :-1], weight), w, b)
    assert np.isclose(point.values["loss"], torch.nn.functional.cross_entropy(scores.movedim(-1, 1), x[:, 1:]).item(), atol=1e-6)
    assert np.isclose(point.values["accuracy"], (scores.argmax(-1) == x[:, 1:]).float().mean().item())


def test_a_model_of_tokens_predicts_from_its_file(tmp_path: Path) -> None:
    source = cyclic(tmp_path / "d")
    run = job(source, model=LANGUAGE, data={"target": "next"})
    points(run)
    save_file(run.model.state_dict(), tmp_path / "m.safetensors", metadata(run.metadata()))
    assert run._job is not None and source.arrays is not None
    rows = source.arrays[:3, :-1]
    model = load_model(tmp_path / "m.safetensors")
    found = model.predict(list(rows))
    [(x, ys, _)] = run._job.batches.plain(np.arange(3), 3)
    with no_grad():
        outputs = run._job.evaluation.measured(x, *ys)[1][0].numpy()
    assert [f.mask.tolist() for f in found] == outputs.argmax(-1).tolist()
    assert all((f.outputs == out).all() for f, out in zip(found, outputs, strict=True))
    for bad in (7, -1, 0.5):
        with pytest.raises(ValueError, match="whole numbers from 0 to 6"):
            model.predict(np.full(8, bad))


def test_which_dimension_is_the_classes(tmp_path: Path) -> None:
    source = cyclic(tmp_path / "d")
    square = [*LANGUAGE[:2], {"type": "Linear", "out_features": 8}]
    loss: dict[str, Any] = {"type": "CrossEntropyLoss"}
    assert problems(source, model=square, data={"target": "next"}) == {
        "/loss/class_dim": "either of the model's outputs' dimensions, 8 by 8, could be the classes': set class_dim to 1 or -1"
    }
    for dim in (1, -1):
        assert problems(source, model=square, loss={**loss, "class_dim": dim}, data={"target": "next"}) == {}
    assert (
        "expected at least 7 outputs"
        in problems(source, model=[*LANGUAGE[:2], {"type": "Linear", "out_features": 6}], data={"target": "next"})["/model/2"]
    )
    assert "/model/2" in problems(source, model=LANGUAGE, loss={**loss, "class_dim": 1}, data={"target": "next"})


CODE: list[dict[str, Any]] = [
    {"type": "Flatten"}, {"type": "Linear", "out_features": 6}, {"type": "Tanh"}, {"type": "Linear", "out_features": 16},
    {"type": "Unflatten", "dim": 1, "unflattened_size": [1, 4, 4]},
]  # fmt: skip


def pictures(folder: Path) -> Source:
    """Images of two patterns, of any brightness."""
    patterns = RNG.random((2, 1, 4, 4))
    x = (patterns[RNG.integers(0, 2, 60)] * RNG.random((60, 1, 1, 1)) * 255).astype(np.uint8)
    return prepared(folder, x, np.arange(60) % 2)


def test_an_autoencoder_learns_its_input(tmp_path: Path) -> None:
    source = pictures(tmp_path)
    changes: dict[str, Any] = {
        "model": CODE, "loss": "MSELoss", "epochs": 40, "optimizer": {"type": "Adam", "lr": 0.02}, "metrics": ["r2"], "data": {"target": "input"}
    }  # fmt: skip
    run = job(source, **changes)
    history = goes_on_exactly(run, 3)
    last = [p for p in history if p.split == "val"][-1].values
    assert run._job is None and source.arrays is not None
    assert last["loss"] < 0.3 * np.var(source.arrays / 255) and last["r2"] > 0.5
    shifted = {**changes, "epochs": 2, "data": {"target": "input", "transform": [{"type": "Normalize", "mean": [0.5], "std": [0.5]}]}}
    goes_on_exactly(job(source, **shifted), 1)


def test_what_has_no_such_targets_is_refused(tmp_path: Path) -> None:
    images, tokens = pictures(tmp_path / "a"), cyclic(tmp_path / "b")
    normalized = [{"type": "Normalize", "mean": [0.5], "std": [0.5]}]
    assert (
        "needs outputs of the targets' shape (1, 4, 4)"
        in problems(images, loss="MSELoss", model=CODE[:4], data={"target": "input"})["/model/3"]
    )
    assert (
        "numbers from 0 to 1"
        in problems(images, loss="BCEWithLogitsLoss", model=CODE, data={"target": "input", "transform": normalized})["/loss"]
    )
    assert problems(images, loss="BCEWithLogitsLoss", model=CODE, data={"target": "input"}) == {}
    assert "is for sequences" in problems(images, loss="MSELoss", model=CODE, data={"target": "next"})["/data/target"]
    assert "needs classes" in problems(images, model=CODE, data={"target": "input"})["/loss"]
    assert problems(tokens, model=[*LANGUAGE], data={"target": "input"}) == {}


def test_the_next_numbers_of_a_series(tmp_path: Path) -> None:
    time = np.arange(12)[None, :, None] + RNG.random((80, 1, 2)) * 6
    source = prepared(tmp_path, np.sin(time).astype(np.float32), np.zeros(80, np.int64))
    model = [{"type": "LSTM", "hidden_size": 12, "pool": "none"}, {"type": "Linear", "out_features": 2}]
    run = job(source, "MSELoss", model, epochs=15, optimizer={"type": "Adam", "lr": 0.03}, metrics=["r2"], data={"target": "next"})
    assert run.shape == (11, 2) and points(run, "val")[-1].values["r2"] > 0.8
    spec = check({**run.spec})
    assert not takes_classes(spec) and check_targets(spec, source, sample_shape(source, spec))[0].output == [11, 2]
