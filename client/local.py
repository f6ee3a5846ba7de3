"""Training a spec on this machine, without server or queue: the same loop, the same output."""

from __future__ import annotations

import csv
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from client.draw import picture, screen
from engine.check import check_targets
from engine.data import Options, Rejected, Source, ingest, open_source
from engine.data.names import is_clutter
from engine.data.source import sample_shape
from engine.spec import Problem, SpecError, check
from engine.state import save_file
from engine.train import EpochEnd, Metrics, Run

_FORMATS = {".zip": "imagefolder", ".npz": "npz", ".csv": "csv", ".tsv": "csv"}


def read_spec(path: Path) -> Any:
    """The JSON of a spec's file. Raises SpecError where it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise SpecError([Problem("", "invalid", f"{path} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError([Problem("", "invalid", f"{path} cannot be read: {error}")]) from None


def find_data(spec: dict[str, Any], spec_path: Path, data: Path | None) -> Path:
    """The data to train on: as given, else what the spec names, relative to its file. Raises SpecError where there is none."""
    name = spec["data"]["dataset"]
    found = data or (spec_path.parent / name if name else None)
    if found is None:
        raise SpecError([Problem("/data/dataset", "missing", "no data: give --data PATH, or name a file in the spec", "a path")])
    if not found.exists():
        raise SpecError([Problem("/data/dataset", "not_found", f"{found} does not exist", "a path", str(found))])
    return found


def pack(folder: Path, target: Path) -> Path:
    """Zips what is in a folder, also behind links, with its empty folders, which may be classes; without what systems left there."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for path in _inside(folder, frozenset({folder.resolve()})):
            archive.write(path, path.relative_to(folder))
    return target


def _inside(folder: Path, around: frozenset[Path]) -> Iterator[Path]:
    """The files and folders in a folder, sorted; a link to a folder that is ``around`` it is not followed."""
    for path in sorted(p for p in folder.iterdir() if not is_clutter(p.name)):
        if path.is_file():
            yield path
        elif path.is_dir() and (real := path.resolve()) not in around:
            yield path
            yield from _inside(path, around | {real})


def prepare(path: Path, folder: Path, options: Options = Options()) -> Source:
    """A zip, npz, csv or tsv file, or a folder of image folders, as a source of samples in ``folder``. Raises Rejected."""
    if path.is_dir():
        path = pack(path, folder.with_suffix(".zip"))
    form = _FORMATS.get(path.suffix.lower())
    if form is None:
        raise SpecError(
            [
                Problem(
                    "/data/dataset",
                    "invalid",
                    f"{path}: expected a folder of image folders, or a file that ends in {', '.join(_FORMATS)}",
                    None,
                    str(path),
                )
            ]
        )
    ingest(path, folder, form, options=options)
    return open_source(folder)


def examine(spec_path: Path, data: Path | None, options: Options = Options()) -> tuple[dict[str, Any], Any, Any]:
    """A spec checked against its data: resolved, with the data's report and the summary of every variant."""
    spec = check(read_spec(spec_path))
    with tempfile.TemporaryDirectory() as folder:
        source = prepare(find_data(spec, spec_path, data), Path(folder) / "dataset", options)
        return spec, source.report, check_targets(spec, source, sample_shape(source, spec))


def train(spec_path: Path, data: Path | None, out: Path | None, device: str | None, options: Options = Options()) -> Path:
    """Trains a spec; the folder with ``model.safetensors``, ``history.csv``, ``results.json`` and ``loss.png``."""
    spec = check(read_spec(spec_path))
    title = spec["name"] or spec_path.stem
    out = out or Path("runs") / (re.sub(r"[^\w.-]+", "-", title).strip("-") or "run")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, screen(title) as s:
        source = prepare(find_data(spec, spec_path, data), Path(folder) / "dataset", options)
        run = Run(spec, source, device or ("cpu" if spec["device"] == "auto" else spec["device"]))
        s.state = "training"
        points: list[dict[str, Any]] = []
        for record in run:
            if isinstance(record, Metrics):
                points.append(record.as_dict())
                s.point(points[-1])
            elif isinstance(record, EpochEnd):
                name = f"model-{record.variant}.safetensors" if record.variant else "model.safetensors"
                save_file(run.model.state_dict(), out / name, {"format": "pt"})
        s.state = "done"
    _write(out, points, {"variants": run.finals})
    picture(s.history, title, out / "loss.png")
    return out


def _write(out: Path, points: list[dict[str, Any]], results: dict[str, Any]) -> None:
    names = sorted({n for p in points for n in p["values"]})
    part = out / "history.csv.part"
    with part.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["step", "epoch", "split", "variant", *names])
        table.writerows([p["step"], p["epoch"], p["split"], p.get("variant", ""), *(p["values"].get(n, "") for n in names)] for p in points)
    shutil.move(part, out / "history.csv")
    (out / "results.json").write_text(json.dumps(results, indent=2) + "\n")


__all__ = ["Rejected", "examine", "find_data", "prepare", "read_spec", "train"]
