"""Which part of a job's time its reports take, on jobs from the smallest there are."""

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
from engine.train import EpochEnd, Report, Run
from worker import checkpoints

EXAMPLES = Path(__file__).parents[1] / "examples"
REACH = 1.0
_EPOCHS = 40


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
        source = open_source(Path(folder) / "dataset")
        return {"id": name, **_timed(check({**spec, "epochs": _EPOCHS}), source, Path(folder)), "reach": REACH}


def _timed(spec: dict[str, Any], source: Source, folder: Path) -> dict[str, Any]:
    """A job as its worker runs it: a report as JSON and a checkpoint after every epoch."""
    spent, epochs, began = 0.0, 0, time.perf_counter()
    plain = Collector.add

    def add(*given: Any) -> None:
        nonlocal spent
        start = time.perf_counter()
        plain(*given)
        spent += time.perf_counter() - start

    Collector.add = add  # type: ignore[method-assign, assignment]
    try:
        run = Run(spec, source)
        for record in run:
            if isinstance(record, Report):
                start = time.perf_counter()
                json.dumps(record.values)
                spent += time.perf_counter() - start
            if isinstance(record, EpochEnd):
                facts = {"step": record.step, "epoch": record.epoch, "best": None, "variant": None}
                checkpoints.save(folder / "job", record.step, run.state(), facts, run.metadata())
                epochs += 1
        total = time.perf_counter() - began
    finally:
        Collector.add = plain  # type: ignore[method-assign]
    return {
        "epoch_ms": round(total / epochs * 1e3, 2),
        "report_ms": round(spent / epochs * 1e3, 2),
        "percent": round(100 * spent / total, 2),
    }


def run() -> list[dict[str, Any]]:
    """All rows, printed as they come."""
    console, rows = Console(width=120), []
    for name in JOBS:
        rows.append(measure(name))
        row = rows[-1]
        console.print(f"{name}: an epoch {row['epoch_ms']} ms, its report {row['report_ms']} ms: {row['percent']}% (at most {REACH}%)")
    return rows
