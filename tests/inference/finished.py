"""Jobs that are done, and their models as files hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from engine.data import ingest, open_source
from engine.data.source import Source
from engine.inference import Model, load_model
from engine.modes import no_grad
from engine.state import metadata, save_file
from engine.train import Run
from tests.train.jobs import job


def uploaded(folder: Path, form: str, content: bytes) -> Source:
    """A prepared dataset of an upload."""
    (folder / "upload").write_bytes(content)
    ingest(folder / "upload", folder / "dataset", form)
    return open_source(folder / "dataset")


def saved(run: Run, path: Path) -> Model:
    """A run's last model, written to a file and loaded from it."""
    save_file(run.model.state_dict(), path, metadata(run.metadata()))
    return load_model(path)


def finished(source: Source, folder: Path, loss: Any, model: list[Any], **changes: Any) -> tuple[Run, Model]:
    """A run to its end, and its model."""
    run = job(source, loss, model, **{"epochs": 2, **changes})
    for _ in run:
        pass
    return run, saved(run, folder / "model.safetensors")


@no_grad()
def evaluated(run: Run, indices: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What the loop's evaluation has as outputs of some samples."""
    variant = run._job
    assert variant is not None
    variant.model.eval()
    batches = variant.batches.plain(indices, variant.evaluation._size)
    return np.concatenate([variant.evaluation.measured(x, *ys)[1][0].numpy() for x, ys, _ in batches])
