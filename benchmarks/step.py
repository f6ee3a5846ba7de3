"""Training steps beside those of other libraries: each side in its own process, losses compared first, rounds interleaved."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.process import Process, limited
from benchmarks.sides import TOGETHER, weights
from benchmarks.workloads import EAGER, REACH, TWO_THREADS, WORKLOADS

SIDES = {"torch": ["torch", "torch_channels_last", "torch.compile"], "jax": ["jax"]}
LOSSES = 5
TOO_SLOW = {("jax", "W10")}
"""Sides left out: XLA's grouped convolutions on the CPU take more than a minute and a half for the first two steps."""


class Peer(Process):
    """A side of a workload."""

    def __init__(self, side: str, workload: str, optimizer: str, threads: int, start: Path) -> None:
        self.times: list[float] = []
        self.rss_kib = 0
        environment = limited(threads)
        if side == "jax":
            environment["JAX_PLATFORMS"] = "cpu"
            environment["XLA_FLAGS"] = (
                f"--xla_cpu_multi_thread_eigen={'false' if threads == 1 else 'true'} intra_op_parallelism_threads={threads}"
            )
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.peer", side, workload, optimizer, str(threads), str(start)]
        pinned = ["taskset", "-c", "0"] if threads == 1 and side == "jax" else []  # XLA's threads obey nothing else
        super().__init__(side, [*pinned, *command], environment)

    def run(self, seconds: float) -> None:
        """One turn."""
        answer = self.ask(f"run {seconds}")
        self.times += answer["times"]
        self.rss_kib = max(self.rss_kib, answer["rss_kib"])


def flops(workload: str) -> int:
    """Additions and multiplications of one step, counted from the operations that it runs."""
    import engine
    from benchmarks.workloads import module
    from engine.dispatch import observing

    w, counted = WORKLOADS[workload], [0]
    model = module(engine, w.layers)
    x, y = w.data()

    def count(op: Any, outs: Any, ins: Any, attrs: Any) -> None:
        counted[0] += op.flops(outs, ins, attrs) if op.view is None else 0

    with observing(count):
        loss: Any = engine.nn.MSELoss() if w.regression else engine.nn.CrossEntropyLoss()
        loss(model(engine.tensor(x)), engine.tensor(y)).backward()
    return counted[0]


def compare(workload: str, optimizer: str, threads: int, sides: Sequence[str], seconds: float, rounds: int) -> dict[str, Any]:
    """A row: medians and minima of every side in microseconds, and the ratio of the best peer's median to ours."""
    w = WORKLOADS[EAGER.get(workload, workload)]
    mine = "eager" if workload in EAGER else "ours"
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "weights.npz"
        np.savez(start, **weights(w))
        peers: dict[str, Peer] = {}
        failed: dict[str, str] = {}
        try:
            for side in [mine, *sides]:
                try:
                    peers[side] = Peer(side, w.id, optimizer, threads, start)
                    losses = peers[side].ask(f"losses {LOSSES}")
                except RuntimeError as error:  # a library that cannot run this here
                    if side == mine:
                        raise
                    peers.pop(side, None)
                    failed[side] = str(error).splitlines()[-1][:200]
                    continue
                if side == mine:
                    expected = losses
                np.testing.assert_allclose(losses, expected, rtol=2e-2, err_msg=f"{w.id}: the losses of {side} are not ours")
                np.testing.assert_allclose(losses[0], expected[0], rtol=1e-4, err_msg=f"{w.id}: the first loss of {side} is not ours")
            for _ in range(rounds):
                for peer in peers.values():
                    peer.run(seconds / rounds)
        finally:
            for peer in peers.values():
                peer.close()
    us = {side: round(median(p.times) * 1e6, 1) for side, p in peers.items()}
    best = min((us[s] for s in us if s != mine), default=float("nan"))
    return {
        "id": workload, "optimizer": optimizer, "threads": threads, "ours_us": us[mine], "ours_min_us": round(min(peers[mine].times) * 1e6, 1),
        "peers_us": {s: us[s] for s in us if s != mine}, "peers_min_us": {s: round(min(peers[s].times) * 1e6, 1) for s in us if s != mine},
        "ratio": round(best / us[mine], 2), "reach": REACH[workload], "flops": flops(w.id),
        "steps_a_call": TOGETHER.get(workload, 1), "rss_mib": {s: peers[s].rss_kib >> 10 for s in peers}, **({"failed": failed} if failed else {}),
    }  # fmt: skip


def run(
    peers: Sequence[str], threads: Sequence[int], only: Sequence[str], seconds: float, rounds: int, machine: dict[str, Any]
) -> list[dict[str, Any]]:
    """All rows asked for, printed as they come."""
    console = Console()
    sides = [side for peer in peers for side in SIDES[peer]]
    rows = []
    wanted = only or [*WORKLOADS, *EAGER]
    for workload in wanted:
        w = WORKLOADS[EAGER.get(workload, workload)]
        for optimizer in w.optimizers:
            for n in threads:
                if n > 1 and workload not in TWO_THREADS:
                    continue
                against = (
                    ["torch"]
                    if workload in EAGER
                    else [s for s in sides if (s, w.id) not in TOO_SLOW and (s != "torch_channels_last" or len(w.batch) > 3)]
                )
                row = compare(workload, optimizer, n, against if peers else [], seconds, rounds)
                row["roofline"] = round(row["flops"] / (row["ours_us"] * 1e-6) / 1e9 / (machine["sgemm_gflops"] * n), 2)
                rows.append(row)
                console.print(_line(row))
    return rows


def _line(row: dict[str, Any]) -> str:
    others = ", ".join(f"{k} {v:g}" for k, v in row["peers_us"].items())
    return f"{row['id']} {row['optimizer']}, {row['threads']} thread(s): {row['ours_us']:g} us; {others}; ratio {row['ratio']} (reach {row['reach']})"


def table(rows: Sequence[dict[str, Any]]) -> Table:
    t = Table("workload", "optimizer", "threads", "ours, us", "best peer, us", "minima", "ratio", "reach", "roofline")
    for r in rows:
        best = min(r["peers_us"], key=r["peers_us"].get) if r["peers_us"] else ""
        peer = f"{r['peers_us'][best]:g} ({best})" if best else "-"
        minima = f"{r['ours_min_us']:g} / {r['peers_min_us'][best]:g}" if best else f"{r['ours_min_us']:g}"
        reached = "green" if best and r["ratio"] >= r["reach"] else "red" if best else "default"
        t.add_row(
            r["id"],
            r["optimizer"],
            str(r["threads"]),
            f"{r['ours_us']:g}",
            peer,
            minima,
            f"[{reached}]{r['ratio']}[/]",
            f"{r['reach']}",
            f"{r['roofline']}",
        )
    return t
