"""Metrics on numbers worked out by hand, and what each loss has of them; scikit-learn judges the rest in test_metrics_reference.py."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest

from engine.metrics import METRICS, READINGS, Meter, higher_is_better, monitorable, reading, unfit
from engine.spec import registry
from tests.train.measuring import CE, LOGITS, measured


def test_classes_by_hand() -> None:
    """Truth a a a b b c, predicted a a b b c c."""
    target, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 2, 2])
    names = ["accuracy", "balanced_accuracy", "precision", "recall", "f1", "iou", "confusion_matrix"]
    found = measured(names, CE, np.eye(4)[predicted], target, 4, ["a", "b", "c"])
    assert found["confusion_matrix"] == [[2, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert found["accuracy"] == pytest.approx(4 / 6) and found["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert found["precision_per_class"] == {"a": 1, "b": 0.5, "c": 0.5} and found["precision"] == pytest.approx(2 / 3)
    assert found["recall_per_class"] == pytest.approx({"a": 2 / 3, "b": 0.5, "c": 1})
    assert found["f1_per_class"] == pytest.approx({"a": 0.8, "b": 0.5, "c": 2 / 3})
    assert found["iou_per_class"] == pytest.approx({"a": 2 / 3, "b": 1 / 3, "c": 0.5})


def test_scores_by_hand() -> None:
    """Of 2 x 3 pairs, 4 are in order and one is a tie."""
    out = np.array([0.9, 0.4, 0.4, 0.2, 0.7])[:, None]
    target = np.array([1, 1, 0, 0, 0])[:, None]
    found = measured(["auroc"], LOGITS, out, target, 2)
    assert found["auroc"] == pytest.approx(4.5 / 6) and found["auroc_per_class"] == pytest.approx({"0": 4.5 / 6, "1": 4.5 / 6})
    top = measured(["top5_accuracy"], CE, np.tile(np.arange(7.0), (4, 1)), np.array([6, 2, 1, 0]), 3)
    assert top == {"top5_accuracy": 0.5}


def test_numbers_by_hand() -> None:
    target, out = np.array([[1.0], [2.0], [3.0], [6.0]]), np.array([[2.0], [2.0], [1.0], [6.0]])
    found = measured(["mae", "rmse", "r2"], {"type": "MSELoss"}, out, target, 3)
    assert found == pytest.approx({"mae": 0.75, "rmse": 1.25**0.5, "r2": 1 - 5 / 14})


def test_numbers_are_those_that_the_loss_means() -> None:
    target = np.array([[1.0], [4.0]])
    assert measured(["mae"], {"type": "PoissonNLLLoss"}, np.log(target), target, 2)["mae"] < 1e-12
    assert measured(["mae"], {"type": "PoissonNLLLoss", "log_input": False}, target, target, 2)["mae"] == 0
    assert measured(["mae"], {"type": "KLDivLoss"}, np.log(target), target, 2)["mae"] < 1e-12
    assert measured(["mae"], {"type": "KLDivLoss", "log_target": True}, target, target, 2)["mae"] == 0


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e7 / 3])
def test_targets_that_do_not_vary(constant: float) -> None:
    target = np.full((50, 1), constant)
    for out, wanted in ((target, 1.0), (target + 1, 0.0)):  # scikit-learn's, where the mean is exact
        assert measured(["r2"], {"type": "L1Loss"}, out, target, 7)["r2"] == wanted


def test_what_is_undefined_is_left_out() -> None:
    one = np.zeros(6, np.int64)
    assert measured(["auroc", "accuracy"], CE, np.eye(6)[:, :3], one, 2).keys() == {"accuracy"}
    assert measured(["r2", "mae"], {"type": "MSELoss"}, np.zeros((1, 1)), np.ones((1, 1)), 1) == {"mae": 1.0}
    ignored = np.full(6, -100)
    assert measured(list(METRICS)[:9], CE, np.eye(6), ignored, 2).keys() <= {"confusion_matrix"}
    assert Meter(METRICS, CE).values() == {}
    huge = measured(["mae", "rmse", "r2"], {"type": "MSELoss"}, np.full((4, 1), 1e195), np.arange(4.0)[:, None], 2)
    assert huge == {"mae": pytest.approx(1e195)}  # squares overflow


def test_every_loss_of_a_spec_has_a_reading() -> None:
    assert set(registry.losses()) == set(READINGS)


def test_what_does_not_fit_is_told() -> None:
    assert all(unfit(n, CE, (), 10) is None for n in METRICS if n not in ("mae", "rmse", "r2"))
    assert "numbers" in str(unfit("mae", CE, (), 10)) and unfit("mae", {"type": "MSELoss"}, (1,), 0) is None
    assert "one class of several" in str(unfit("confusion_matrix", LOGITS, (4,), 4))
    assert unfit("confusion_matrix", LOGITS, (1,), 2) is None
    assert "of a sample" in str(unfit("auroc", CE, (6, 6), 3)) and unfit("iou", CE, (6, 6), 3) is None
    assert "1000" in str(unfit("confusion_matrix", CE, (), 1001))


def test_directions() -> None:
    names = monitorable(METRICS)
    assert "val_confusion_matrix" not in names and {"val_loss", "train_loss", "val_f1", "val_mae"} <= set(names)
    assert [n for n in names if not higher_is_better(n)] == ["val_loss", "train_loss", "val_mae", "val_rmse"]


def test_every_metric_is_documented() -> None:
    assert all(inspect.getdoc(m.value) and inspect.getdoc(m.tally) for m in METRICS.values())
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    assert not [name for name in METRICS if f"`{name}`" not in page]
    assert reading({"type": "SomethingNew"}).kind == "numbers"
