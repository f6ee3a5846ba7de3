"""docs/performance.md and its picture, made of the rows that a run left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.workloads import WORKLOADS

DOCS = Path(__file__).parents[1] / "docs"


def _label(row: dict[str, Any]) -> str:
    optimizer = f" {row['optimizer']}" if row["id"] in ("W1", "E1") else ""
    return f"{row['id']}{optimizer}" + (f", {row['threads']} threads" if row["threads"] > 1 else "")


def picture(rows: list[dict[str, Any]], path: Path) -> None:
    """A bar a row: how many times faster than the best peer; the mark is the ratio to reach."""
    rows = [r for r in rows if r["peers_us"]]
    figure, axes = plt.subplots(figsize=(8, 0.32 * len(rows) + 1.2), layout="constrained")
    at = range(len(rows))
    axes.barh(at, [r["ratio"] for r in rows], color=["#2a7f62" if r["ratio"] >= r["reach"] else "#b0603c" for r in rows])
    axes.plot([r["reach"] for r in rows], at, "k|", markersize=12, label="to reach")
    axes.axvline(1, color="black", linewidth=0.6)
    axes.set_yticks(at, [_label(r) for r in rows])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xticks([0.5, 1, 2, 5, 10, 20], ["0.5", "1", "2", "5", "10", "20"])
    axes.set_xlabel("median time of the best peer / ours")
    axes.legend(loc="lower right")
    figure.savefig(path)
    plt.close(figure)


def page(result: dict[str, Any]) -> str:
    machine, rows = result["machine"], result["rows"]
    lines = [
        "# Performance",
        "",
        "<!-- made by python -m benchmarks report; the words are in benchmarks/report.py -->",
        "",
        f"A ratio is the best peer's median time by ours, in one run on one machine ({machine['processor']}, {machine['cores']} cores; sgemm {machine['sgemm_gflops']} GFLOP/s",
        f"and triad {machine['triad_gbs']} GB/s a core). Every side runs in a process of its own, in turns, from the same weights on the same batch, after its losses",
        "were compared with the others'. Peers: PyTorch eager (NCHW and channels_last) and `torch.compile`, JAX with the whole step under `jit`. Again, on your machine:",
        "",
        "```sh",
        "scripts/bench                                                     # everything, on a fresh machine",
        "python -m benchmarks step --peers torch,jax --threads 1,2 --json benchmarks/results/step.json",
        "```",
        "",
        "![ratios](performance.svg)",
        "",
        "| workload | optimizer | threads | ours | best peer | ratio | to reach | of the roofline |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        best = min(r["peers_us"], key=r["peers_us"].get) if r["peers_us"] else ""
        title = WORKLOADS["W1" if r["id"] == "E1" else "W2" if r["id"] == "E2" else r["id"]].title
        peer = f"{_time(r['peers_us'][best])} ({best})" if best else "-"
        ratio = f"**{r['ratio']}**" if r["ratio"] >= r["reach"] else f"{r['ratio']}"
        eager = " (eager)" if r["id"].startswith("E") else ""
        together = f", {r['steps_a_call']} steps a call" if r.get("steps_a_call", 1) > 1 else ""
        lines.append(
            f"| {r['id']}: {title}{eager}{together} | {r['optimizer']} | {r['threads']} | {_time(r['ours_us'])} | {peer} | {ratio} | {r['reach']} | {r['roofline']} |"
        )
    lines += ["", "In bold what reached its goal. The roofline is the time that the step's additions and multiplications take in a large matrix product; Winograd's", "algorithm needs fewer of them, so its share can be above 1.", ""]  # fmt: skip
    return "\n".join(lines)


def _time(us: float) -> str:
    return f"{us:.1f} us" if us < 1000 else f"{us / 1000:.2f} ms"


def write(source: Path) -> None:
    result = json.loads(source.read_text())
    picture(result["rows"], DOCS / "performance.svg")
    (DOCS / "performance.md").write_text(page(result))
