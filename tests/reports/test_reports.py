"""Reports beside numbers worked out by hand and beside scikit-learn's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from engine.reports import Collector, page
from engine.reports.classes import calibration

CE = {"type": "CrossEntropyLoss", "ignore_index": -100}
LOGITS = {"type": "BCEWithLogitsLoss"}


def reported(out: Any, targets: Any, loss: dict[str, Any] = CE, classes: list[str] | None = None, size: int = 7) -> dict[str, Any]:
    """The report of outputs that come in batches; samples are numbered from 1000 on."""
    collector = Collector(loss, classes)
    for i in range(0, len(out), size):
        collector.add(np.asarray(out[i : i + size]), np.asarray(targets[i : i + size]), np.arange(i, min(i + size, len(out))) + 1000)
    found = collector.report()
    assert found is not None
    return found


def drawn(n: int, k: int, sharp: float = 2.0) -> tuple[Any, Any]:
    rng = np.random.default_rng(n * k)
    y = rng.integers(0, k, n)
    out = rng.normal(size=(n, k)).astype(np.float32)
    out[np.arange(n), y] += sharp
    return out, y


def softmax(x: Any) -> Any:
    e = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_classes_are_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed; scripts/test --peers brings it")
    out, y = drawn(300, 7)
    found = reported(out, y, classes=list("abcdefg"))
    assert found["confusion_matrix"] == metrics.confusion_matrix(y, out.argmax(1)).tolist() and found["samples"] == 300
    expected = metrics.precision_recall_fscore_support(y, out.argmax(1), zero_division=0)
    for i, row in enumerate(found["per_class"]):
        assert row["class"] == "abcdefg"[i] and row["support"] == expected[3][i]
        assert [row[k] for k in ("precision", "recall", "f1")] == pytest.approx([column[i] for column in expected[:3]])


def test_calibration_by_hand() -> None:
    found = calibration(np.array([0.1, 0.62, 0.64, 0.65, 1.0, 1.0]), np.array([0, 1, 0, 1, 1, 1]))
    assert [(b["count"], round(b["accuracy"], 3)) for b in found["bins"]] == [(1, 0), (3, 0.667), (2, 1)]
    assert found["bins"][0]["confidence"] == pytest.approx(0.1) and found["bins"][1]["from"] == pytest.approx(9 / 15)
    assert found["ece"] == pytest.approx((0.1 + abs(0.62 + 0.64 + 0.65 - 2)) / 6)


def test_the_most_wrong_samples_are_those_with_the_least_probability() -> None:
    out, y = drawn(500, 4, 0.3)
    found, p = reported(out, y)["worst"], softmax(out)
    wrong = np.flatnonzero(out.argmax(1) != y)
    expected = wrong[np.argsort(p[wrong, y[wrong]], kind="stable")][:64]
    assert len(found) == 64 and [row["id"] - 1000 for row in found] == expected.tolist()
    for row in found[:5]:
        i = row["id"] - 1000
        assert (row["true"], row["predicted"]) == (str(y[i]), str(out[i].argmax()))
        assert (row["probability"], row["confidence"]) == pytest.approx((p[i, y[i]], p[i].max()))


def test_a_report_does_not_depend_on_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    out, y = drawn(300, 5)
    whole = reported(out, y, size=300)
    assert reported(out, y, size=1) == whole
    monkeypatch.setattr("engine.reports.collect._TOGETHER", 64)
    assert reported(out, y, size=7) == whole


def test_what_is_ignored_does_not_count() -> None:
    out, y = drawn(40, 3)
    y[::4] = -100
    found = reported(out, y)
    assert sum(map(sum, found["confusion_matrix"])) == 30 and all((row["id"] - 1000) % 4 for row in found["worst"])


def test_many_classes_have_pairs_instead_of_a_matrix() -> None:
    out, y = drawn(400, 100, 1.0)
    found = reported(out, y)
    assert "confusion_matrix" not in found and len(found["per_class"]) == 100
    wrong = [(t, p) for t, p in zip(y, out.argmax(1)) if t != p]
    first = found["confused"][0]
    assert first["count"] == wrong.count((int(first["true"]), int(first["predicted"]))) == max(map(wrong.count, wrong))


def test_one_output_decides_between_two_classes() -> None:
    out = np.array([[2.0], [-1.0], [0.5], [-3.0]], np.float32)
    found = reported(out, np.array([[1.0], [1.0], [0.0], [0.0]]), LOGITS, ["no", "yes"])
    assert found["confusion_matrix"] == [[1, 1], [1, 1]] and [row["id"] for row in found["worst"]] == [1001, 1002]
    assert found["worst"][0]["probability"] == pytest.approx(1 / (1 + math.e))


def test_labels_each_for_itself() -> None:
    out = np.array([[2.0, -1.0], [-4.0, 1.0], [0.5, 3.0]], np.float32)
    found = reported(out, np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), LOGITS, ["red", "round"])
    assert found["task"] == "labels" and [(r["class"], r["precision"], r["recall"]) for r in found["per_class"]] == [
        ("red", 0.5, 0.5),
        ("round", 1, 1),
    ]
    first = found["worst"][0]
    assert (first["id"], first["label"], first["true"], first["predicted"]) == (1001, "red", "yes", "no")


def test_residuals_and_the_worst_rows() -> None:
    rng = np.random.default_rng(1)
    actual = rng.normal(size=(200, 2)) * [1, 100]
    out = (actual + rng.normal(size=(200, 2)) * [0.1, 1]).astype(np.float32)
    out[17] += [0, 900]
    found = reported(out, actual.astype(np.float32), {"type": "MSELoss"})
    residual = out[:, 0].astype(np.float64) - actual[:, 0].astype(np.float32)
    assert found["outputs"][0]["quantiles"]["0.95"] == pytest.approx(np.quantile(residual, 0.95))
    assert found["outputs"][0]["rmse"] == pytest.approx(np.sqrt((residual**2).mean()))
    assert (
        found["worst"][0]["id"] == 1017 and len(found["worst"]) == 64 and found["worst"][0]["true"] == pytest.approx(actual[17], rel=1e-5)
    )


def test_maps_have_the_iou_of_each_class() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed; scripts/test --peers brings it")
    rng = np.random.default_rng(2)
    out, y = rng.normal(size=(9, 3, 5, 4)).astype(np.float32), rng.integers(0, 3, (9, 5, 4))
    found = reported(out, y)
    expected = metrics.jaccard_score(y.ravel(), out.argmax(1).ravel(), average=None)
    assert found["task"] == "maps" and [row["iou"] for row in found["per_class"]] == pytest.approx(expected)


def test_sequences_have_their_perplexity() -> None:
    rng = np.random.default_rng(3)
    out, y = rng.normal(size=(6, 11, 8)).astype(np.float32), rng.integers(0, 11, (6, 8))
    y[0, 3:] = -100
    counted = y != -100
    p = softmax(out.transpose(0, 2, 1).reshape(-1, 11))[np.arange(48), np.where(counted, y, 0).ravel()][counted.ravel()]
    found = reported(out, y)
    assert found["tokens"] == 43 and found["perplexity"] == pytest.approx(math.exp(-np.log(p).mean()), rel=1e-5)


def test_losses_without_a_reading_have_no_report() -> None:
    collector = Collector({"type": "HingeEmbeddingLoss"}, None)
    collector.add(np.zeros((2, 1)), np.ones((2, 1)), np.arange(2))
    assert collector.report() is None and Collector(CE, None).report() is None


def test_a_page_asks_nobody_and_escapes_what_it_is_given() -> None:
    out, y = drawn(60, 3, 0.5)
    text = page(
        "<b>digits</b>",
        [{"split": "val", "epoch": 3, "variant": "<i>", **reported(out, y, classes=["<a>", "b&c", '"d"'])}],
        lambda i: "data:image/png;base64,AA==",
    )
    assert "<svg" in text and "&lt;b&gt;digits" in text and "<b>" not in text and "<i>" not in text and "<a>" not in text
    assert "http" not in text and "<script" not in text and text.count("<img") == len(reported(out, y)["worst"])
    assert "Residuals" in page("r", [{"split": "val", "epoch": 1, **reported(np.zeros((5, 1)), np.ones((5, 1)), {"type": "MSELoss"})}])
