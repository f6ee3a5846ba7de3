"""Loading images beside PyTorch's DataLoader over Pillow, and whether training waits for them."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.pictures import SETS, Set, make, spec
from benchmarks.process import Process

REACH = {"first": 1.2, "later": 5.0}
WAITING = 0.02
LATER = 3
STEPS = {"W3": 200, "W7": 16}


def compare(s: Set, sides: Sequence[str], workers: int) -> list[dict[str, Any]]:
    """Two rows: the first epoch, which for ours begins with the upload, and the median of those after it; in seconds."""
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        make(s, Path(folder))
        means = []
        for side in sides:
            command = [sys.executable, "-W", "ignore", "-m", "benchmarks.loaders", side, s.id, str(s.n), folder, str(workers)]
            process = Process(side, command, {"OMP_NUM_THREADS": "1"})
            try:
                answers = [process.ask(str(i)) for i in range(1 + LATER)]
            finally:
                process.close()
            seconds[side] = [a["seconds"] for a in answers]
            means.append(answers[0]["mean"])
        np.testing.assert_allclose(means, means[0], atol=0.02, err_msg=f"{s.id}: not the same images")
    rows = []
    for what, of in (("first", lambda t: t[0]), ("later", lambda t: float(np.median(t[1:])))):
        ours, peers = of(seconds["ours"]), {side: round(of(t), 2) for side, t in seconds.items() if side != "ours"}
        ratio = round(min(peers.values()) / ours, 2) if peers else None
        rows.append(
            {
                "id": f"{s.id} {what}",
                "title": s.title,
                "workers": workers,
                "ours_s": round(ours, 2),
                "peers_s": peers,
                "ratio": ratio,
                "reach": REACH[what],
            }
        )
    return rows  # fmt: skip


def waiting(workload: str, threads: int) -> dict[str, Any]:
    """A row: the share of time for which training steps wait for their batch."""
    import engine
    from benchmarks.sides import training_step
    from benchmarks.workloads import WORKLOADS, module, optimizer
    from engine.data import ingest, open_source
    from engine.data.batches import Pipeline, ahead
    from engine.data.compiled import Draws

    engine.set_num_threads(threads)
    w = WORKLOADS[workload]
    size, channels, side = w.batch[0], w.batch[1], w.batch[2]
    s = Set(workload, w.title, 2000, side, channels == 1, "PNG", 2)
    (name, options), model, loss = next(iter(w.optimizers.items())), module(engine, w.layers), engine.nn.CrossEntropyLoss()
    opt = optimizer(engine, name, options, model.parameters())

    step = engine.compile(training_step(model, opt, loss))

    with tempfile.TemporaryDirectory() as folder:
        make(s, Path(folder))
        ingest(Path(folder) / "upload.zip", Path(folder) / "prepared", "imagefolder")
        source, pipeline = open_source(Path(folder) / "prepared"), Pipeline(spec(s))
        rng, waited, began = np.random.default_rng(0), 0.0, 0.0

        def read(i: int) -> Any:
            indices = rng.permutation(len(source))[:size]
            return source.batch(indices, pipeline, Draws(0, i << 32), (channels, side, side)), source.targets[indices]

        batches = ahead(read, range(STEPS[workload] + 3))
        for i in range(STEPS[workload] + 3):
            before = time.perf_counter()
            x, y = next(batches)
            if i >= 3:
                waited += time.perf_counter() - before
            else:
                began = time.perf_counter()
            step(x, engine.tensor(y)).item()
        share = waited / (time.perf_counter() - began)
    return {
        "id": f"{workload} waiting",
        "title": f"{w.title}: share of the time that steps wait",
        "threads": threads,
        "share": round(share, 4),
        "at_most": WAITING,
    }


def run(peers: Sequence[str], workers: int, only: Sequence[str], part: float) -> list[dict[str, Any]]:
    """All rows asked for, printed as they come; ``part`` of the images."""
    console, rows = Console(), []
    for name, s in SETS.items():
        if not only or name in only:
            rows += compare(replace(s, n=int(s.n * part)), ["ours", *(p for p in peers if p == "torch")], workers)
            for row in rows[-2:]:
                console.print(line(row))
    for workload in STEPS:
        if not only or workload in only:
            rows.append(waiting(workload, workers))
            console.print(line(rows[-1]))
    return rows


def line(row: dict[str, Any]) -> str:
    if "share" in row:
        return f"{row['id']}: {row['share']:.2%} of the time (at most {row['at_most']:.0%})"
    others = "".join(f", {k} {v} s" for k, v in row["peers_s"].items())
    return f"{row['id']}: {row['ours_s']} s{others}; ratio {row['ratio']} (reach {row['reach']})"
