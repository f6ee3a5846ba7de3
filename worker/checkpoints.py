"""Checkpoints: everything a run needs to go on, in a folder that appears complete or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open

from engine.state import load, metadata, to_bytes
from engine.train import State
from worker.records import Checkpoint

MODEL, STATE, PLAN = "model.safetensors", "state.safetensors", "plan.json"


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _folder(job: Path) -> Path:
    return job / "checkpoints"


def save(job: Path, step: int, state: State, facts: Mapping[str, Any], card: Mapping[str, Any]) -> None:
    """Writes the checkpoint of ``step``: the model by itself with its ``card`` as metadata, and the rest of the state with ``facts``."""
    home = _folder(job)
    home.mkdir(parents=True, exist_ok=True)
    work, target = home / f".{step}.{os.getpid()}", home / f"{step:010d}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        _write(work / MODEL, to_bytes(state.model, metadata(card)))
        _write(work / STATE, to_bytes(state.tensors, {"state": json.dumps(state.plain), "facts": json.dumps(facts)}))
    except OSError:  # the disk is full: what was begun would keep it so
        shutil.rmtree(work, ignore_errors=True)
        raise
    _sync_folder(work)
    if target.exists():  # the same step saved again: by the state it is the same
        shutil.rmtree(work)
        return
    work.rename(target)
    _sync_folder(home)


def plan(folder: Path) -> dict[str, int]:
    """Which algorithm computes what, as the first attempt at a job chose, or the first job: with another one, results would have other bits."""
    path = folder / PLAN
    return dict(json.loads(path.read_text())) if path.exists() else {}


def save_plan(folder: Path, chosen: dict[str, int]) -> None:
    """Adds to the plan; what it says already stays."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{PLAN}.{os.getpid()}"
    _write(part, json.dumps({**chosen, **plan(folder)}, indent=1).encode())
    part.rename(folder / PLAN)
    _sync_folder(folder)


def _metadata(folder: Path) -> Any:
    with safe_open(folder / STATE, "numpy") as file:
        return {k: json.loads(v) for k, v in file.metadata().items()}


def steps(job: Path) -> list[int]:
    """The steps of the checkpoints there are, oldest first."""
    home = _folder(job)
    return sorted(int(p.name) for p in home.iterdir() if p.name.isdigit()) if home.is_dir() else []


def listed(job: Path) -> list[Checkpoint]:
    """What is known of each checkpoint, oldest first."""
    found = []
    for step in steps(job):
        folder = _folder(job) / f"{step:010d}"
        try:
            facts = {**_metadata(folder)["facts"], "step": step, "size_bytes": (folder / MODEL).stat().st_size}
            found.append(Checkpoint.model_validate(facts))
        except FileNotFoundError:  # pruned meanwhile
            continue
    return found


def model_file(job: Path, step: int) -> Path | None:
    """The model of a checkpoint as a safetensors file, or None."""
    path = _folder(job) / f"{step:010d}" / MODEL
    return path if path.is_file() else None


def latest(job: Path) -> tuple[State, Any] | None:
    """The newest state and its facts, or None before the first."""
    found = steps(job)
    if not found:
        return None
    folder = _folder(job) / f"{found[-1]:010d}"
    known = _metadata(folder)
    best = None if known["facts"]["best"] is None else model_file(job, known["facts"]["best"])
    plain = _migrated(known["state"], known["facts"])
    return State(load(folder / STATE), plain, load(folder / MODEL), load(best) if best else {}), known["facts"]


def _migrated(plain: Any, facts: Any) -> Any:
    """A state of version 0.1.0 as states are now: accuracies were kept with their sign changed, losses without weights, and one best for all variants.

    Of an epoch under way, the loss becomes the mean over what is left of it.
    """
    progress = plain["progress"]
    if "weight" in progress:
        return plain
    best = progress["best"]
    if best is not None and best <= 0 and "val_accuracy" in plain["final"]:
        best = -best
    before = plain["done_steps"] - progress["step"]  # steps of earlier variants
    known = best is not None and facts["best"] is not None and facts["best"] > before
    bests = [
        {"variant": facts["variant"], "index": plain["variant_index"], "value": best, "step": facts["best"], "epoch": facts["epoch"],
         "own_step": facts["best"] - before}
    ]  # fmt: skip
    return {**plain, "progress": {**progress, "total": 0.0, "weight": 0.0, "best": best, "bar": best}, "bests": bests if known else []}


def last_good(job: Path) -> int | None:
    """The newest checkpoint whose parameters are all finite, or None."""
    for step in reversed(steps(job)):
        path = model_file(job, step)
        if path and all(bool(x.isfinite().all()) for x in load(path).values()):
            return step
    return None


def prune(job: Path, keep: int, bests: Collection[int]) -> None:
    """Removes all but the newest ``keep``, the best ones, and the last of every variant."""
    saved = listed(job)
    last = {c.variant: c.step for c in saved}
    for c in saved[:-keep]:
        if c.step not in (*bests, *last.values()):
            shutil.rmtree(_folder(job) / f"{c.step:010d}", ignore_errors=True)
