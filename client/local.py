"""Training a spec on this machine, without server or queue: the same loop, the same output."""

from __future__ import annotations

import csv
import functools
import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from client.content import FORMATS
from client.draw import Screen, picture, screen
from client.pack import pack
from client.reports import Reports
from engine.check import check_targets, sample_shape, with_outputs
from engine.data import Options, Rejected, Source, ingest, open_source
from engine.spec import Problem, SpecError, check
from engine.state import metadata, save_file
from engine.train import Metrics, Report, Run, VariantEnd
from engine.train.run import Record


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


def find_weights(spec_path: Path, section: Mapping[str, Any]) -> Path:
    """The file of weights that a spec names, relative to its own file. Raises SpecError where there is none, and for those that a server keeps."""
    if section["weights"] is None:
        key = "job" if section["job"] is not None else "checkpoint"
        detail = f"a {key} is found on the server that has it: for a run here, pull its model and give the file's path as weights"
        raise SpecError([Problem(f"/init_from/{key}", "not_found", detail, "weights", section[key])])
    found: Path = spec_path.parent / section["weights"]
    if not found.is_file():
        raise SpecError([Problem("/init_from/weights", "not_found", f"{found} does not exist", "a path", section["weights"])])
    return found


def prepare(path: Path, folder: Path, options: Options = Options()) -> Source:
    """A zip, npz, csv, tsv, jsonl or txt file, or a folder of image folders, as a source of samples in ``folder``. Raises Rejected."""
    if path.is_dir():
        path = pack(path, folder.with_suffix(".zip"))
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise SpecError(
            [
                Problem(
                    "/data/dataset",
                    "invalid",
                    f"{path}: expected a folder of image folders, or a file that ends in {', '.join(FORMATS)}",
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
        spec = with_outputs(spec, source)
        found = functools.partial(find_weights, spec_path)
        return spec, source.report, check_targets(spec, source, sample_shape(source, spec), found)


def train(spec_path: Path, data: Path | None, out: Path | None, device: str | None, options: Options = Options()) -> Path:
    """Trains a spec; the folder with the best model ``model.safetensors`` and the last one ``last.safetensors`` (of each variant, with its name), ``history.csv``,
    ``results.json``, ``report.json``, ``report.html`` and ``loss.png``. Raises Diverged, after writing what there is."""
    spec = check(read_spec(spec_path))
    title = spec["name"] or spec_path.stem
    out = out or Path("runs") / file_name(title, "run")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, screen(title) as s:
        source = prepare(find_data(spec, spec_path, data), Path(folder) / "dataset", options)
        on = device or ("cpu" if spec["device"] == "auto" else spec["device"])
        run = Run(spec, source, on, find_weights=functools.partial(find_weights, spec_path))
        s.state = "training"
        for text in run.warnings:
            s.say(text)
        points: list[dict[str, Any]] = []
        reports = Reports()
        try:
            for record in run:
                _take(run, record, points, reports, s, out)
        finally:
            _write(out, points, {**run.results(), "model": run.card})
            reports.write(out, title, source)
        s.state = "done"
    picture(s.history, title, out / "loss.png")
    return out


def _take(run: Run, record: Record, points: list[dict[str, Any]], reports: Reports, s: Screen, out: Path) -> None:
    """Shows a record, and keeps the models that it tells of."""
    if isinstance(record, Metrics):
        points.append(record.as_event())
        s.point(points[-1])
    elif isinstance(record, Report):
        reports.add(record)
    elif isinstance(record, VariantEnd):
        s.say(f"{record.variant} ends: {record.error}")
    else:
        reports.end(record)
        suffix = "" if record.variant is None else f"-{_of_variant(run)}"
        for kind, due in (("model", record.best), ("last", True)):
            if due:
                save_file(run.model.state_dict(), out / f"{kind}{suffix}.safetensors", metadata(run.metadata()))


def file_name(text: str, otherwise: str) -> str:
    """``text`` as a part of a file's name, without what leads to other folders or is too long."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.")[:80] or otherwise


def _of_variant(run: Run) -> str:
    """The name of the variant being trained, as files have it; numbered where two would have the same."""
    names = [file_name(str(name), "variant") for name, _ in run.variants]
    own = names[run.variant_index]
    return own if names.count(own) == 1 else f"{own}-{run.variant_index}"


def _write(out: Path, points: list[dict[str, Any]], results: dict[str, Any]) -> None:
    names = sorted({n for p in points for n in p["values"]})
    part = out / "history.csv.part"
    with part.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["step", "epoch", "split", "variant", *names, "samples_per_s"])
        for p in points:
            values = [_cell(p["values"].get(n, "")) for n in names]
            table.writerow([p["step"], p["epoch"], p["split"], p.get("variant", ""), *values, p.get("samples_per_s", "")])
    shutil.move(part, out / "history.csv")
    (out / "results.json").write_text(json.dumps(results, indent=2) + "\n")


def _cell(value: Any) -> Any:
    """A value as a table has it: what is not a number as JSON."""
    return json.dumps(value) if isinstance(value, dict | list) else value


__all__ = ["Rejected", "examine", "file_name", "find_data", "prepare", "read_spec", "train"]
