"""Peak memory of training beside PyTorch's, and how it grows with the batch and the depth."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.sides import weights
from benchmarks.step import Peer
from benchmarks.workloads import GROWN, WORKLOADS

REACH = 1.0
STEPS = 5


def measure(workload: str, sides: Sequence[str]) -> dict[str, Any]:
    """A row: the largest resident memory of each side's process after some steps, in MiB, and the ratio of the least peer's to ours."""
    w = {**WORKLOADS, **GROWN}[workload]
    peak: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "weights.npz"
        np.savez(start, **weights(w))
        for side in sides:
            peer = Peer(side, workload, next(iter(w.optimizers)), 1, start)
            try:
                peer.ask(f"losses {STEPS}")
                peer.run(0.01)
            finally:
                peer.close()
            peak[side] = peer.rss_kib >> 10
    ours = peak.pop("ours")
    return {"id": workload, "title": w.title, "ours_mib": ours, "peers_mib": peak, "ratio": round(min(peak.values()) / ours, 2) if peak else None, "reach": REACH}  # fmt: skip


def run(peers: Sequence[str], only: Sequence[str]) -> list[dict[str, Any]]:
    """All rows asked for, printed as they come."""
    console, rows = Console(), []
    for workload in only or [*WORKLOADS, *GROWN]:
        rows.append(measure(workload, ["ours", *peers]))
        console.print(line(rows[-1]))
    return rows


def line(row: dict[str, Any]) -> str:
    others = "".join(f", {k} {v} MiB" for k, v in row["peers_mib"].items())
    return f"{row['id']} ({row['title']}): {row['ours_mib']} MiB{others}; ratio {row['ratio']} (reach {row['reach']})"
