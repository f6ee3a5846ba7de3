"""Reports in the loop: which epochs have one, and that they agree with the metrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client import local
from engine.train import EpochEnd, Metrics, Report
from engine.train.reporting import Reporting
from tests.data.prepared import prepared
from tests.inference.test_models import EXAMPLES
from tests.train.jobs import job


def _source(folder: Path, splits: list[str] | None = None) -> Any:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 120)
    x = (rng.normal(size=(120, 5)) + y[:, None] * 0.4).astype(np.float32)
    return prepared(folder, x, y, splits, classes=["a", "b"])


def test_reports_agree_with_metrics_and_name_samples_of_the_dataset(tmp_path: Path) -> None:
    source = _source(tmp_path)
    run = job(source, metrics=["accuracy", "confusion_matrix"], epochs=1)
    [values] = [r.values for r in run if isinstance(r, Metrics) and r.split == "val"]
    [report] = [r for r in job(source, epochs=1) if isinstance(r, Report)]
    assert report.values["confusion_matrix"] == values["confusion_matrix"] and report.values["samples"] == 30
    held_out = run._job.val_indices.tolist() if run._job else []
    assert all(row["id"] in held_out and "ab"[source.targets[row["id"]]] == row["true"] for row in report.values["worst"])
    json.dumps(report.as_dict(), allow_nan=False)


def test_the_last_and_the_best_epoch_have_a_report(tmp_path: Path) -> None:
    records = list(job(_source(tmp_path), epochs=12, optimizer={"type": "SGD", "lr": 3.0}))
    best = [r.epoch for r in records if isinstance(r, EpochEnd) and r.best][-1]
    epochs = [r.epoch for r in records if isinstance(r, Report)]
    assert {best, 12} <= set(epochs) and len(epochs) == len(set(epochs))


def test_the_test_split_has_a_report(tmp_path: Path) -> None:
    run = job(_source(tmp_path, ["train"] * 80 + ["val"] * 20 + ["test"] * 20), epochs=2)
    assert [r.values["samples"] for r in run if isinstance(r, Report) and r.split == "test"] == [20]


class _Costly:
    """Takes a second for a report of an epoch that took none."""

    def __init__(self, clock: list[float]) -> None:
        self.clock = clock

    def report(self) -> dict[str, Any]:
        self.clock[0] += 1.0
        return {"samples": 1}


def test_epochs_whose_report_would_take_more_than_half_a_percent_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("engine.train.reporting.time.perf_counter", lambda: clock[0])
    reporting, found = Reporting(None), []
    for epoch in range(1, 301):
        clock[0] += 1.0
        found += [r.epoch for r in reporting.epoch(_Costly(clock), epoch, epoch, epoch == 150, epoch == 300)]  # type: ignore[arg-type]
    assert found == [1, 201, 300, 150]


def test_a_local_run_writes_its_reports(tmp_path: Path) -> None:
    spec = {**json.loads((EXAMPLES / "digits-mlp.json").read_text()), "epochs": 2, "compare": []}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    out = local.train(tmp_path / "spec.json", EXAMPLES / "digits.zip", tmp_path / "out", "cpu")
    reports = json.loads((out / "report.json").read_text())
    assert [r["split"] for r in reports] == ["val"] * len(reports) and reports[0]["task"] == "classes"
    text = (out / "report.html").read_text()
    assert text.count("data:image/png;base64,") == sum(len(r["worst"]) for r in reports) and "http" not in text
