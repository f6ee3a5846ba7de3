"""How long it takes from the start of Python to the end of the first training step, beside ``import torch`` alone."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.sides import weights
from benchmarks.workloads import WORKLOADS

REACH = 1.0
_FIRST_STEP = """
import sys
from pathlib import Path
from benchmarks.sides import make
side = make("ours", sys.argv[1], sys.argv[2], 1, Path(sys.argv[3]))
print(float(side.step()))
"""
_IMPORTS = {"torch": "import torch", "jax": "import jax"}


def _seconds(command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def measure(workload: str, peers: Sequence[str], rounds: int) -> dict[str, Any]:
    """A row: median seconds of the whole process, interleaved with the peers' bare imports; the first step records, plans and runs."""
    w = WORKLOADS[workload]
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "weights.npz"
        np.savez(start, **weights(w))
        commands = {"ours": [sys.executable, "-c", _FIRST_STEP, workload, next(iter(w.optimizers)), str(start)]}
        commands |= {p: [sys.executable, "-c", _IMPORTS[p]] for p in peers}
        times: dict[str, list[float]] = {side: [] for side in commands}
        for command in commands.values():  # files into memory
            _seconds(command)
        for _ in range(rounds):
            for side, command in commands.items():
                times[side].append(_seconds(command))
    found = {side: round(median(t), 3) for side, t in times.items()}
    ours = found.pop("ours")
    ratio = round(found["torch"] / ours, 2) if "torch" in found else None
    return {"id": workload, "title": w.title, "ours_s": ours, "peers_s": found, "ratio": ratio, "reach": REACH}


def run(peers: Sequence[str], only: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    """All rows asked for, printed as they come."""
    console, rows = Console(), []
    for workload in only or WORKLOADS:
        rows.append(measure(workload, peers, rounds))
        console.print(line(rows[-1]))
    return rows


def line(row: dict[str, Any]) -> str:
    others = "".join(f", import {k} {v} s" for k, v in row["peers_s"].items())
    return f"{row['id']} ({row['title']}): first step after {row['ours_s']} s{others}; ratio {row['ratio']} (reach {row['reach']})"
