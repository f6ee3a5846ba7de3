"""Reports in the loop: which epochs have one, and that they agree with the metrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client import local
from client.commands.training import TerminalViewer
from client.terminal import Terminal
from engine.reports import Collector
from engine.train import EpochEnd, Metrics, Report
from engine.train.records import Progress
from engine.train.reporting import Costs, Reporting
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


def test_reports_cost_nothing_until_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    plain = Collector.report
    monkeypatch.setattr(Collector, "report", lambda self: made.append(1) or plain(self))
    monkeypatch.setattr("engine.train.reporting.SHARE", 1e9)
    reports = [r for r in job(_source(tmp_path), epochs=4) if isinstance(r, Report)]
    assert [r.epoch for r in reports] == [1, 2, 3, 4] and not made
    assert reports[1].values is reports[1].values and len(made) == 1
    assert sum(map(sum, reports[0].values["confusion_matrix"])) == 30  # outputs were kept, not overwritten


def test_the_last_and_the_best_epoch_have_a_report(tmp_path: Path) -> None:
    records = list(job(_source(tmp_path), epochs=30, optimizer={"type": "SGD", "lr": 3.0}))
    best = [r.epoch for r in records if isinstance(r, EpochEnd) and r.best][-1]
    epochs = [r.epoch for r in records if isinstance(r, Report)]
    assert {best, 30} <= set(epochs) and len(epochs) == len(set(epochs)) < 30


def _due(best: set[int], epochs: int, p: Progress, since: int = 0) -> list[int]:
    """Which epochs have a report, of a second's worth where one has a second."""
    collector, reporting, found = Collector({"type": "MSELoss"}, None), Reporting(None, Costs(1.0, 1.0)), []
    collector.add(np.zeros((1, 1)), np.zeros((1, 1)), np.zeros(1, int))
    p.report_budget = p.report_budget if since else 0.0
    for epoch in range(since + 1, epochs + 1):
        p.epoch = epoch
        found += [r.epoch for r in reporting.epoch(collector, p, epoch in best, epoch == 400)]
    return found


def test_reports_are_as_many_as_a_share_of_the_time_allows() -> None:
    assert _due(set(), 400, Progress()) == [125, 250, 375, 400]
    assert _due({3, 4, 5}, 400, Progress()) == [3, 250, 375, 5, 400]  # the first best one borrows, the last is made up for
    assert len(_due(set(range(1, 401)), 400, Progress())) == 5


def test_short_jobs_report_each_epoch(tmp_path: Path) -> None:
    assert [r.epoch for r in job(_source(tmp_path), epochs=3) if isinstance(r, Report)] == [1, 2, 3]


def test_a_run_that_goes_on_has_the_same_reports() -> None:
    whole, p = _due({3, 270}, 400, Progress()), Progress()
    assert _due({3, 270}, 260, p) + _due({3, 270}, 400, p, 260) == whole


def test_the_test_split_has_a_report(tmp_path: Path) -> None:
    run = job(_source(tmp_path, ["train"] * 80 + ["val"] * 20 + ["test"] * 20), epochs=2)
    assert [r.values["samples"] for r in run if isinstance(r, Report) and r.split == "test"] == [20]


def test_a_local_run_writes_its_reports(tmp_path: Path) -> None:
    spec = {**json.loads((EXAMPLES / "digits-mlp.json").read_text()), "epochs": 2, "compare": []}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    out = local.train(
        tmp_path / "spec.json", local.Setting(EXAMPLES / "digits.zip", tmp_path / "out", "cpu"), TerminalViewer(Terminal(), "spec.json")
    )
    reports = json.loads((out / "report.json").read_text())
    assert [r["split"] for r in reports] == ["val"] * len(reports) and reports[0]["task"] == "classes"
    text = (out / "report.html").read_text()
    assert text.count("data:image/png;base64,") == sum(len(r["worst"]) for r in reports) and "http" not in text
