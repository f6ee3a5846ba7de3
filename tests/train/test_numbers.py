"""Every number of an epoch is the mean over its samples, weighted as the loss weighs them, however they come in batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import Tensor, from_numpy, nn
from engine.data.balance import balanced, class_weights
from engine.ops.random import Generator
from engine.spec import SpecError, build_loss
from engine.train.scale import Scale
from tests.data.prepared import prepared
from tests.train.jobs import job, points

N = 45
STILL = {"type": "SGD", "lr": 0.0}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 3)).astype(np.float32)
NUMBERS = RNG.normal(size=(N, 2)).astype(np.float32)
SHARES = RNG.dirichlet([1, 1], N).astype(np.float32)
BITS = RNG.integers(0, 2, (N, 2)).astype(np.float32)
CLASSES = RNG.integers(0, 2, N)
IGNORED = np.where(np.arange(N) % 3 == 0, -100, CLASSES)
SIGMOID, LOG = [{"type": "Sigmoid"}], [{"type": "LogSoftmax", "dim": 1}]
LOSSES: list[tuple[dict[str, Any], np.ndarray[Any, Any], list[Any]]] = [
    ({"type": "MSELoss"}, NUMBERS, []),
    ({"type": "L1Loss"}, NUMBERS, []),
    ({"type": "SmoothL1Loss"}, NUMBERS, []),
    ({"type": "HuberLoss", "delta": 0.5}, NUMBERS, []),
    ({"type": "PoissonNLLLoss"}, SHARES, []),
    ({"type": "BCELoss", "weight": [1.0, 3.0]}, BITS, SIGMOID),
    ({"type": "BCEWithLogitsLoss", "pos_weight": [2.0, 0.5]}, BITS, []),
    ({"type": "KLDivLoss"}, SHARES, LOG),
    ({"type": "KLDivLoss", "reduction": "batchmean"}, SHARES, LOG),
    ({"type": "SoftMarginLoss"}, 2 * BITS - 1, []),
    ({"type": "MultiLabelSoftMarginLoss"}, BITS, []),
    ({"type": "CrossEntropyLoss"}, CLASSES, []),
    ({"type": "CrossEntropyLoss", "weight": [1.0, 9.0]}, CLASSES, []),
    ({"type": "CrossEntropyLoss", "weight": [1.0, 9.0], "label_smoothing": 0.2}, IGNORED, []),
    ({"type": "CrossEntropyLoss"}, IGNORED, []),
    ({"type": "NLLLoss", "weight": [2.0, 0.5]}, IGNORED, LOG),
]  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(("loss", "targets", "more"), LOSSES)
def test_an_epochs_loss_is_that_of_all_its_samples(
    tmp_path: Path, loss: dict[str, Any], targets: np.ndarray[Any, Any], more: list[Any], reduction: str
) -> None:
    loss = loss if reduction == "mean" else {**loss, "reduction": reduction}
    source = prepared(tmp_path, X, targets)
    for size in (1, 7, 32, 64):
        model = [{"type": "Linear", "out_features": 2}, *more]
        run = job(source, loss, model, epochs=1, optimizer=STILL, data={"batch_size": size, "validation": 0.4})
        history = points(run)
        assert run._job is not None
        for name, indices in (("train_loss", run._job.train_indices), ("val_loss", run._job.val_indices)):
            x, y = from_numpy(X[indices]), from_numpy(targets[indices])
            whole = build_loss({"loss": loss})(run.model(x), y).item() / (len(x) if reduction == "sum" else 1)
            assert run.finals[0][name] == pytest.approx(whole, rel=1e-5), (name, size)
        steps = [p.values["loss"] for p in history if p.split == "train" and "loss" in p.values]
        assert min(steps) - 1e-6 <= run.finals[0]["train_loss"] <= max(steps) + 1e-6  # steps are on the same scale


def test_maps_count_their_elements(tmp_path: Path) -> None:
    x = RNG.normal(size=(21, 1, 4, 4)).astype(np.float32)
    y = np.where(RNG.uniform(size=(21, 4, 4)) < 0.5, -100, RNG.integers(0, 2, (21, 4, 4)))
    y[:8] = np.where(np.arange(16).reshape(4, 4) == 0, y[:8], -100)  # samples of few elements that count
    loss = {"type": "CrossEntropyLoss", "weight": [1.0, 3.0]}
    run = job(
        prepared(tmp_path, x, y), loss, [{"type": "Conv2d", "out_channels": 2, "kernel_size": 1}], epochs=1, optimizer=STILL,
        data={"batch_size": 4, "validation": 0.0}, metrics=["accuracy", "iou"],
    )  # fmt: skip
    points(run)
    whole = build_loss({"loss": loss})(run.model(from_numpy(x)), from_numpy(y)).item()
    assert run.finals[0]["train_loss"] == pytest.approx(whole, rel=1e-5)


def test_a_batch_without_targets_that_count_has_no_loss(tmp_path: Path) -> None:
    found = list[float]()
    y = np.where(np.arange(32) < 16, -100, 1)
    run = job(prepared(tmp_path, X[:32], y), epochs=1, data={"shuffle": False, "validation": 0.0})
    assert ["loss" in p.values for p in points(run)] == [False, True] and "train_loss" in run.finals[0]
    y = np.where(np.arange(40) // 4 % 2, IGNORED[:40], -100)
    y[:12] = -100  # a whole step, and parts of others
    loss = {"type": "CrossEntropyLoss", "label_smoothing": 0.1}
    for accumulated, size in ((3, 4), (1, 12)):
        run = job(
            prepared(tmp_path, X[:40], y),
            loss,
            data={"shuffle": False, "validation": 0.0, "batch_size": size},
            gradient_accumulation=accumulated,
        )
        points(run)
        found.append(run.finals[0]["train_loss"])
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_the_weight_of_a_batch() -> None:
    y = np.array([0, 1, 1, -100])
    assert Scale({"type": "CrossEntropyLoss"}, y).weight(y) == 3
    assert Scale({"type": "CrossEntropyLoss", "weight": [1, 5]}, y).weight(y) == 11
    assert Scale({"type": "CrossEntropyLoss", "reduction": "sum"}, y).weight(y) == 4
    assert Scale({"type": "CrossEntropyLoss", "ignore_index": 1}, y[:3]).weight(y[:3]) == 1
    assert Scale({"type": "MSELoss"}, y).weight(y[:2]) == 2 and Scale({"type": "MSELoss"}, y).mean(6.0, y) == 6
    assert Scale({"type": "MSELoss", "reduction": "sum"}, y).mean(6.0, y) == 1.5


# -- balance


def test_balanced_weights() -> None:
    y = np.repeat([0, 1, 3], [50, 10, 20])
    assert class_weights({"type": "CrossEntropyLoss"}, y, 5)["weight"] == pytest.approx([80 / 150, 80 / 30, 1, 80 / 60, 1])
    ignored = np.where(np.arange(80) % 2, y, -100)
    assert class_weights({"type": "NLLLoss"}, ignored, 4)["weight"] == pytest.approx([40 / 75, 40 / 15, 1, 40 / 30])
    assert class_weights({"type": "BCEWithLogitsLoss"}, np.array([[1, 0], [0, 0], [0, 1], [0, 1]]), 2)["pos_weight"] == [3, 1]


@pytest.mark.parametrize("counts", [[40, 10, 2], [5, 5, 5], [1, 100]])
def test_a_balanced_epoch_has_the_same_number_of_every_class(counts: list[int]) -> None:
    classes = np.repeat(np.arange(len(counts)), counts)
    indices = np.arange(len(classes)) + 1000
    drawn = balanced(indices, classes, Generator(seed=1))
    assert len(drawn) == len(indices) and np.ptp(np.bincount(classes[drawn - 1000], minlength=len(counts))) <= 1
    for c in range(len(counts)):
        times = np.bincount(drawn - 1000, minlength=len(classes))[classes == c]
        assert np.ptp(times) <= 1  # nobody twice before everybody once
    assert (
        drawn.tolist() == balanced(indices, classes, Generator(seed=1)).tolist() != balanced(indices, classes, Generator(seed=2)).tolist()
    )


def test_balancing_helps_the_small_class(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    y = (np.arange(400) % 20 == 0).astype(np.int64)
    x = (rng.normal(size=(400, 2)) + 1.5 * y[:, None]).astype(np.float32)
    source = prepared(tmp_path, x, y)
    found = {}
    for data in ({}, {"class_weights": "balanced"}, {"sampler": "balanced"}):
        run = job(source, epochs=8, metrics=["balanced_accuracy"], data=data, optimizer={"type": "Adam", "lr": 0.02})
        points(run)
        found[str(data)] = run.finals[0]["val_balanced_accuracy"]
    plain, *others = found.values()
    assert plain < 0.7 < min(others), found


@pytest.mark.parametrize(
    ("loss", "targets", "data", "pointer", "word"),
    [
        ("MSELoss", NUMBERS, {"class_weights": "balanced"}, "/data/class_weights", "not for MSELoss"),
        ({"type": "CrossEntropyLoss", "weight": [1.0, 2.0]}, CLASSES, {"class_weights": "balanced"}, "/data/class_weights", "of its own"),
        ("MSELoss", NUMBERS, {"sampler": "balanced"}, "/data/sampler", "one class a sample"),
        ("CrossEntropyLoss", CLASSES, {"sampler": "balanced", "shuffle": False}, "/data/sampler", "shuffle"),
        ("CrossEntropyLoss", CLASSES, {"drop_last": True, "batch_size": 64}, "/data", "batch"),
    ],
)  # fmt: skip
def test_what_cannot_be_balanced_or_trained_is_refused(
    tmp_path: Path, loss: Any, targets: np.ndarray[Any, Any], data: dict[str, Any], pointer: str, word: str
) -> None:
    with pytest.raises(SpecError, match=word) as error:
        job(prepared(tmp_path, X, targets), loss, data=data)
    assert error.value.problems[0].pointer.startswith(pointer)


def test_metrics_without_samples_held_out_are_told(tmp_path: Path) -> None:
    source = prepared(tmp_path, X, CLASSES)
    assert "no accuracy, f1" in job(source, metrics=["accuracy", "f1"], data={"validation": 0.0}).warnings[0]
    assert not job(source, metrics=["accuracy"]).warnings and not job(source, data={"validation": 0.0}).warnings


@pytest.mark.parametrize(("sample_bytes", "size"), [(1000, 256), (1 << 20, 64), (1 << 30, 16)])
def test_evaluation_takes_little_memory(tmp_path: Path, sample_bytes: int, size: int) -> None:
    run = job(prepared(tmp_path, X, CLASSES))
    run.summaries[0].activation_bytes = sample_bytes
    assert run._made(0).evaluation._size == size


# -- the step


def parameters(run: Any) -> list[np.ndarray[Any, Any]]:
    points(run)
    return [p.detach().numpy() for p in run.model.parameters()]


@pytest.mark.parametrize(
    ("loss", "targets", "more"),
    [LOSSES[0], LOSSES[7], LOSSES[8], LOSSES[12], LOSSES[13], ({"type": "MSELoss", "reduction": "sum"}, NUMBERS, [])],
)
def test_accumulated_batches_train_as_a_large_one(tmp_path: Path, loss: Any, targets: np.ndarray[Any, Any], more: list[Any]) -> None:
    source, model = prepared(tmp_path, X, targets), [{"type": "Linear", "out_features": 2}, *more]
    large = job(source, loss, model, data={"batch_size": 12})
    several = job(source, loss, model, data={"batch_size": 4}, gradient_accumulation=3)
    for a, b in zip(parameters(large), parameters(several), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert large.total_steps == several.total_steps == large.done_steps
    for key in ("train_loss", "val_loss"):
        assert large.finals[0][key] == pytest.approx(several.finals[0][key], rel=1e-5)


def test_clipping_limits_gradients_and_tells_their_norm(tmp_path: Path) -> None:
    source = prepared(tmp_path, X * 100, NUMBERS)
    once = {"epochs": 1, "data": {"batch_size": N, "validation": 0.0, "shuffle": False}, "optimizer": {"type": "SGD", "lr": 1.0}}
    start = job(source, "MSELoss", **{**once, "optimizer": STILL})
    free = parameters(start)
    out = start.model(from_numpy(X * 100))
    start.model.zero_grad()
    nn.MSELoss()(out, from_numpy(NUMBERS)).backward()
    gradients = [p.grad.numpy() for p in start.model.parameters() if p.grad is not None]
    norm = float(np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradients)))
    for clip, wanted in (
        ({"norm": 0.5}, [g * 0.5 / norm for g in gradients]),
        ({"value": 0.1}, [np.clip(g, -0.1, 0.1) for g in gradients]),
    ):
        run = job(source, "MSELoss", **once, gradient_clip=clip)
        [point] = points(run)
        assert point.values["grad_norm"] == pytest.approx(norm, rel=1e-4) and point.values["lr"] == 1.0
        for before, after, g in zip(free, run.model.parameters(), wanted, strict=True):
            np.testing.assert_allclose(before - after.detach().numpy(), g, rtol=1e-4, atol=1e-6)
    with pytest.raises(SpecError, match="either"):
        job(source, "MSELoss", gradient_clip={"norm": 1.0, "value": 1.0})
    with pytest.raises(SpecError, match="/gradient_clip/norm"):
        job(source, "MSELoss", gradient_clip={"norm": 0.0})


def test_half_precision_keeps_parameters_in_single(tmp_path: Path) -> None:
    source = prepared(tmp_path, X, CLASSES)
    model = [{"type": "Linear", "out_features": 16}, {"type": "ReLU"}, {"type": "Linear", "out_features": 2}]
    runs = [job(source, model=model, precision=p, metrics=["accuracy", "auroc"]) for p in ("float32", "bfloat16")]
    single, half = ([p.values["loss"] for p in points(run, "train")] for run in runs)
    assert single != half and np.allclose(single, half, rtol=0.02)
    assert {str(p.dtype) for p in runs[1].model.parameters()} == {str(Tensor([0.0]).dtype)}
    assert runs[1].finals[0]["val_auroc"] == pytest.approx(runs[0].finals[0]["val_auroc"], abs=0.1)


def test_the_history_has_rates_and_speeds(tmp_path: Path) -> None:
    source = prepared(tmp_path, X, CLASSES)
    run = job(source, scheduler={"type": "StepLR", "step_size": 1, "gamma": 0.5})
    history = points(run)
    assert [p.values["lr"] for p in history if p.split == "train"] == [0.05] * 3 + [0.025] * 3 + [0.0125] * 3
    assert [p.split for p in history if p.samples_per_s] == ["val"] * 3 and "samples_per_s" in history[3].as_event()
    history = points(job(source, data={"validation": 0.0}))
    assert [p.step for p in history if p.samples_per_s] == [3, 6, 9] and "samples_per_s" not in history[2].as_dict()
