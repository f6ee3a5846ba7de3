"""Which part of a job's time its reports take: in the loop itself, on jobs from the smallest there are."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from engine.data import ingest, open_source
from engine.data.source import Source
from engine.reports import Collector
from engine.spec import check
from engine.train import Report, Run

EXAMPLES = Path(__file__).parents[1] / "examples"
REACH = 1.0
_EPOCHS = 20


def _digits(folder: Path) -> Path:
    return EXAMPLES / "digits.zip"


def _table(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 12))
    np.savez(folder / "table.npz", x=x.astype(np.float32), y=(x @ rng.normal(size=12) + rng.normal(size=20_000)).astype(np.float32))
    return folder / "table.npz"


def _many_classes(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 200, 20_000)
    np.savez(folder / "classes.npz", x=(rng.normal(size=(20_000, 64)) + rng.normal(size=(200, 64))[y]).astype(np.float32), y=y)
    return folder / "classes.npz"


def _network(*widths: int) -> list[dict[str, Any]]:
    layers = [[{"type": "Linear", "out_features": n}, {"type": "ReLU"}] for n in widths]
    return [layer for pair in layers for layer in pair][:-1]


JOBS: dict[str, tuple[Callable[[Path], Path], Any]] = {
    "digits-cnn": (_digits, EXAMPLES / "digits-cnn.json"),
    "digits-mlp": (_digits, EXAMPLES / "digits-mlp.json"),
    "regression": (_table, {"model": _network(64, 64, 1), "loss": {"type": "MSELoss"}}),
    "200 classes": (_many_classes, {"model": _network(256, 200), "loss": {"type": "CrossEntropyLoss"}}),
}


def measure(name: str) -> dict[str, Any]:
    """A row: milliseconds of an epoch and of its report, and the part that reports take in percent."""
    make, given = JOBS[name]
    spec = (
        json.loads(given.read_text()) if isinstance(given, Path) else {"optimizer": {"type": "Adam"}, "data": {"batch_size": 64}, **given}
    )
    with tempfile.TemporaryDirectory() as folder:
        upload = make(Path(folder))
        form = {".zip": "imagefolder", ".npz": "npz"}[upload.suffix]
        ingest(upload, Path(folder) / "dataset", form)
        return {"id": name, **_timed(check({**spec, "epochs": _EPOCHS}), open_source(Path(folder) / "dataset")), "reach": REACH}


def _timed(spec: dict[str, Any], source: Source) -> dict[str, Any]:
    spent, reports, total, began, epochs = [0.0], 0, 0.0, 0.0, 0
    plain = Collector.add, Collector.report

    def counting(function: Any) -> Any:
        def run(*given: Any) -> Any:
            start = time.perf_counter()
            result = function(*given)
            spent[0] += time.perf_counter() - start
            return result

        return run

    Collector.add, Collector.report = map(counting, plain)  # type: ignore[method-assign]
    try:
        for record in Run(spec, source):
            if began and isinstance(record, Report):
                reports += 1
            if getattr(record, "last", None) is not None:
                epochs += 1
                if epochs == 2:  # what is made once is made
                    began, spent[0] = time.perf_counter(), 0.0
        total = time.perf_counter() - began
    finally:
        Collector.add, Collector.report = plain  # type: ignore[method-assign]
    counted = epochs - 2
    return {"epoch_ms": round(total / counted * 1e3, 2), "report_ms": round(spent[0] / max(1, reports) * 1e3, 2), "reports": reports, "epochs": counted,
            "percent": round(100 * spent[0] / total, 2)}  # fmt: skip


def run() -> list[dict[str, Any]]:
    """All rows, printed as they come."""
    console, rows = Console(), []
    for name in JOBS:
        rows.append(measure(name))
        row = rows[-1]
        console.print(
            f"{name}: an epoch {row['epoch_ms']} ms, a report {row['report_ms']} ms, {row['reports']} in {row['epochs']} epochs: {row['percent']}% (at most {REACH}%)"
        )
    return rows
