"""Uploads of many small images, which processes decode: the same as one by one, in the same order, with the same report."""

from __future__ import annotations

import io
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data import ingest, open_source


def upload(path: Path, n: int, shapes: list[tuple[int, ...]]) -> Path:
    """``n`` images of random pixels, of each of the shapes in turn; the eleventh is broken."""
    pixels = np.random.default_rng(0).integers(0, 256, (n, 8, 9, 3), np.uint8)
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(n):
            height, width, *channels = shapes[i % len(shapes)]
            file = io.BytesIO()
            Image.fromarray(pixels[i, :height, :width] if channels else pixels[i, :height, :width, 0]).save(file, "PNG")
            archive.writestr(f"{i % 3}/{i:05}.png", file.getvalue()[: 50 if i == 10 else None])
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
@pytest.mark.parametrize("shapes", [[(8, 9, 3)], [(8, 9, 3), (8, 9)], [(8, 9, 3), (7, 5, 3)]])
def test_processes_decode_what_one_does(shapes: list[tuple[int, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = upload(tmp_path / "upload.zip", 4500, shapes)
    found, here, load = [], [], Image.Image.load
    monkeypatch.setattr(Image.Image, "load", lambda self: (here.append(self.size), load(self))[1])
    for cores in (1, 3):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=cores: set(range(n)))
        folder = tmp_path / str(cores)
        here.clear()
        report = ingest(file, folder, "imagefolder").as_dict()
        assert bool(here) is (cores == 1)  # what other processes decode is not seen in this one
        found.append((report, {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}))
    (report, files), others = found
    assert others == (report, files)
    assert report["samples"] == len(open_source(tmp_path / "3")) == 4499
    assert [r["file"] for r in report["refused"]] == ["1/00010.png"]
