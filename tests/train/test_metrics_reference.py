"""Metrics are scikit-learn's to 1e-6, however the samples come in batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.data.balance import class_weights
from tests.train.measuring import CE, LOGITS, Array, measured

reference = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed; scripts/test --peers brings it")
softmax = pytest.importorskip("scipy.special", reason="SciPy is not installed; scripts/test --peers brings it").softmax
SIZES = [1, 7, 64, 1000]
CLASSES = ["accuracy", "precision", "recall", "f1", "iou"]


def assert_close(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert {k for k in found if not k.endswith("_per_class")} == set(wanted)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-6, err_msg=name)


def of_classes(actual: Array, predicted: Array) -> dict[str, float]:
    macro: dict[str, Any] = {"average": "macro", "zero_division": 0}
    return {
        "accuracy": reference.accuracy_score(actual, predicted), "precision": reference.precision_score(actual, predicted, **macro),
        "recall": reference.recall_score(actual, predicted, **macro), "f1": reference.f1_score(actual, predicted, **macro),
        "iou": reference.jaccard_score(actual, predicted, **macro),
    }  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("there", [range(7), [0, 1, 2, 5], [3]])
def test_classes(size: int, there: Any) -> None:
    rng = np.random.default_rng(len(there))
    out, target = rng.normal(size=(200, 7)).astype(np.float32), rng.choice(np.array(list(there)), 200)
    out[np.arange(200), target] += 1
    predicted = out.argmax(1)
    found = measured([*CLASSES, "balanced_accuracy", "top5_accuracy", "confusion_matrix"], CE, out, target, size)
    labels = np.arange(7)
    assert_close(
        found,
        of_classes(target, predicted)
        | {
            "balanced_accuracy": reference.recall_score(target, predicted, labels=sorted(there), average="macro"),
            "top5_accuracy": reference.top_k_accuracy_score(target, out, k=5, labels=labels),
            "confusion_matrix": reference.confusion_matrix(target, predicted, labels=labels),
        },
    )


@pytest.mark.parametrize("size", SIZES)
def test_each_class_by_its_name(size: int) -> None:
    rng = np.random.default_rng(0)
    out, target = rng.normal(size=(90, 4)).astype(np.float32), rng.integers(0, 2, 90)
    out[:, 3] = -9  # "yak" is neither there nor predicted
    found = measured(["precision", "recall", "f1", "iou"], CE, out, target, size, ["ant", "bee", "cat", "yak"])
    wanted = reference.precision_recall_fscore_support(target, out.argmax(1), labels=range(3), zero_division=0)
    wanted = dict(zip(("precision", "recall", "f1"), wanted, strict=False)) | {
        "iou": reference.jaccard_score(target, out.argmax(1), labels=range(3), average=None)
    }
    for name, values in wanted.items():
        assert list(found[f"{name}_per_class"]) == ["ant", "bee", "cat"]
        np.testing.assert_allclose(list(found[f"{name}_per_class"].values()), values, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ties", [False, True])
def test_auroc_of_several_classes(size: int, ties: bool) -> None:
    rng = np.random.default_rng(1)
    out, target = rng.normal(size=(150, 5)), rng.integers(0, 5, 150)
    if ties:
        out = np.round(out)
    shares = softmax(out, 1)
    wanted = reference.roc_auc_score(target, shares, multi_class="ovr")
    assert_close(measured(["auroc"], CE, out, target, size), {"auroc": wanted})
    if not ties:
        assert_close(measured(["auroc"], {"type": "NLLLoss"}, np.log(shares), target, size), {"auroc": wanted})


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("loss", "bound"), [("BCEWithLogitsLoss", 0.0), ("BCELoss", 0.5), ("SoftMarginLoss", 0.0)])
@pytest.mark.parametrize("shape", [(120, 1), (120,)])
def test_a_single_output_decides(size: int, loss: str, bound: float, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    out = np.round(rng.normal(size=120) if bound == 0 else rng.uniform(size=120), 1)  # with ties
    target = (out + rng.normal(size=120) > bound).astype(np.float32)
    given = 2 * target - 1 if loss == "SoftMarginLoss" else target
    found = measured([*CLASSES, "auroc", "confusion_matrix"], {"type": loss}, out.reshape(shape), given.reshape(shape), size)
    predicted = out > bound
    wanted = {"auroc": reference.roc_auc_score(target, out), "confusion_matrix": reference.confusion_matrix(target, predicted)}
    assert_close(found, of_classes(target, predicted.astype(np.float32)) | wanted)


@pytest.mark.parametrize("size", SIZES)
def test_several_labels(size: int) -> None:
    rng = np.random.default_rng(3)
    out, target = rng.normal(size=(80, 4)), rng.integers(0, 2, (80, 4)).astype(np.float32)
    found = measured([*CLASSES, "auroc"], LOGITS, out, target, size)
    wanted = of_classes(target, out > 0) | {"accuracy": float(((out > 0) == (target > 0.5)).mean())}
    assert_close(found, wanted | {"auroc": reference.roc_auc_score(target, out, average="macro")})


@pytest.mark.parametrize("size", SIZES)
def test_maps_and_sequences_count_elements(size: int) -> None:
    rng = np.random.default_rng(4)
    for shape in ((6, 5), (11,)):
        out, target = rng.normal(size=(12, 3, *shape)), rng.integers(0, 3, (12, *shape))
        target[0] = -100  # ignored
        kept = target.ravel() != -100
        found = measured([*CLASSES, "balanced_accuracy"], CE, out, target, size)
        actual, predicted = target.ravel()[kept], out.argmax(1).ravel()[kept]
        wanted = {"balanced_accuracy": reference.balanced_accuracy_score(actual, predicted)}
        assert_close(found, of_classes(actual, predicted) | wanted)
    out, target = rng.normal(size=(9, 1, 4, 4)), rng.integers(0, 2, (9, 1, 4, 4)).astype(np.float32)
    assert_close(
        measured(["iou"], LOGITS, out, target, size), {"iou": reference.jaccard_score(target.ravel(), out.ravel() > 0, average="macro")}
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("mean", [0.0, 1e6])
def test_numbers(size: int, columns: int, mean: float) -> None:
    rng = np.random.default_rng(5)
    target = rng.normal(mean, size=(130, columns))
    out = target + rng.normal(size=target.shape)
    wanted = {
        "mae": reference.mean_absolute_error(target, out), "rmse": reference.root_mean_squared_error(target, out),
        "r2": reference.r2_score(target, out),
    }  # fmt: skip
    assert_close(measured(["mae", "rmse", "r2"], {"type": "MSELoss"}, out, target, size), wanted)


def test_balanced_class_weights() -> None:
    y = np.repeat([0, 1, 3], [50, 7, 13])
    wanted = pytest.importorskip(
        "sklearn.utils.class_weight", reason="scikit-learn is not installed; scripts/test --peers brings it"
    ).compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=y)
    np.testing.assert_allclose(np.array(class_weights(CE, y, 5)["weight"])[[0, 1, 3]], wanted)
