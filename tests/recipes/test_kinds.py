"""A spec is suggested for every kind of dataset, as it was uploaded, and trains on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.check import with_outputs
from engine.data import Options, Source, ingest, open_source
from engine.recipes import suggest
from engine.spec import check
from engine.train import Metrics, Run
from tests.data.test_audio import recordings
from tests.data.test_masks import files, squares
from tests.data.texts import reviews, table
from tests.service.deployment import zipped


def read(content: bytes, form: str, folder: Path, options: Options = Options()) -> Source:
    (folder / "upload").write_bytes(content)
    ingest(folder / "upload", folder / "prepared", form, options=options)
    return open_source(folder / "prepared")


POEM = b"".join(b"the %d cats sat on the %d mats, and then they slept.\n" % (i, i % 7) for i in range(300))
KINDS: list[tuple[str, bytes, str, str]] = [
    ("texts with labels", table(reviews(60), "text,label"), "csv", "text_classification"),
    ("plain text", POEM, "text", "language_model"),
    ("masks", zipped(files(squares(20))), "imagefolder", "segmentation"),
    ("recordings", zipped(recordings(16)), "imagefolder", "classification"),
    ("numbers", b"a,b,y\n" + b"".join(b"%d,%d,%.2f\n" % (i, i % 5, i * 0.37) for i in range(60)), "csv", "regression"),
]


@pytest.mark.parametrize(("content", "form", "task"), [k[1:] for k in KINDS], ids=[k[0] for k in KINDS])
def test_a_suggestion_trains(content: bytes, form: str, task: str, tmp_path: Path) -> None:
    source = read(content, form, tmp_path)
    spec: dict[str, Any] = suggest(source)
    assert spec["name"] == f"suggested-{task}"
    run = Run(with_outputs(check({**spec, "epochs": 1, "data": {**spec["data"], "dataset": "ds_x"}}), source), source)
    points = [r for r in run if isinstance(r, Metrics)]
    assert points and all("loss" in p.values for p in points)
