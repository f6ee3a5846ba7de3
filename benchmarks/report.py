"""docs/performance.md and its picture, made of the rows that a run left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.workloads import EAGER, WORKLOADS

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


def page(step: dict[str, Any], others: dict[str, dict[str, Any]]) -> str:
    machine = step["machine"]
    lines = [
        "# Performance",
        "",
        "<!-- made by python -m benchmarks report; the words are in benchmarks/report.py -->",
        "",
        f"A ratio is the best peer's median time by ours, in one run on one machine ({machine['processor']}, {machine['cores']} cores; sgemm {machine['sgemm_gflops']} GFLOP/s",
        f"and triad {machine['triad_gbs']} GB/s a core). Every side runs in a process of its own, in turns, from the same weights on the same batch, after its losses",
        "were compared with the others'. Peers: PyTorch eager (NCHW and channels_last) and `torch.compile`, JAX with the whole step under `jit`. In bold what reached its goal.",
        "Again, on your machine:",
        "",
        "```sh",
        "scripts/bench                                                     # everything, on a fresh machine",
        "python -m benchmarks step --peers torch,jax --threads 1,2 --json benchmarks/results/step.json",
        "```",
        "",
        "![ratios](performance.svg)",
        "",
        *_steps(step["rows"]),
    ]
    if "eager-elsewhere" in others:
        lines += ["", *_elsewhere(**others["eager-elsewhere"])]
    for name, section in (("data", _data), ("start", _start), ("memory", _memory), ("agree", _agreement)):
        if name in others:
            lines += ["", *section(others[name]["rows"])]
    return "\n".join([*lines, ""])


def _bold(ratio: float, reach: float) -> str:
    return f"**{ratio}**" if ratio >= reach else f"{ratio}"


def _steps(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## Training steps",
        "",
        "| workload | optimizer | threads | ours | best peer | ratio | to reach | of the roofline |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        best = min(r["peers_us"], key=r["peers_us"].get) if r["peers_us"] else ""
        title = WORKLOADS[EAGER.get(r["id"], r["id"])].title
        peer = f"{_time(r['peers_us'][best])} ({best})" if best else "-"
        eager = " (eager)" if r["id"] in EAGER else ""
        together = f", {r['steps_a_call']} steps a call" if r.get("steps_a_call", 1) > 1 else ""
        lines.append(
            f"| {r['id']}: {title}{eager}{together} | {r['optimizer']} | {r['threads']} | {_time(r['ours_us'])} | {peer} | {_bold(r['ratio'], r['reach'])} | {r['reach']} | {r['roofline']} |"
        )
    return [*lines, "", "The roofline is the time that the step's additions and multiplications take in a large matrix product; Winograd's algorithm needs fewer of them, so its share can be above 1."]  # fmt: skip


def _elsewhere(machine: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    ratios = ", ".join(f"{r['id']} {r['optimizer']} {_bold(r['ratio'], r['reach'])}" for r in rows)
    return [
        "An eager step of a small network is made of calls, PyTorch's in C++ and ours in Python, and how they compare depends on the processor more than products do. On a newer one",
        f"(sgemm {machine['sgemm_gflops']} GFLOP/s a core, Python {machine['python']}): {ratios}.",
    ]


def _data(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## Loading images", "",
        "Random crop, flip and normalization. The first epoch of ours begins with the upload: a zip is read, checked and decoded. PyTorch's is its DataLoader with as many worker processes over Pillow,",
        "reading files. `python -m benchmarks data --peers torch`", "",
        "| images | ours | PyTorch | ratio | to reach |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for r in rows:
        if "peers_s" in r:
            lines.append(
                f"| {r['title']}, {r['id'].split()[1]} epoch | {r['ours_s']} s | {r['peers_s'].get('torch', '-')} s | {_bold(r['ratio'], r['reach'])} | {r['reach']} |"
            )
    waits = [f"{r['share']:.2%} on {r['id'].split()[0]}" for r in rows if "share" in r]
    return [*lines, "", f"Training steps wait for their batch {', '.join(waits)} of the time."] if waits else lines


def _start(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## The first step", "", "A whole process: import, model, recording, timing of algorithms, planning, the step itself; beside `import torch` alone. `python -m benchmarks start --peers torch`",
        "", "| workload | ours | `import torch` | ratio |", "|---|---|---|---|",
    ]  # fmt: skip
    return lines + [
        f"| {r['id']}: {r['title']} | {r['ours_s']} s | {r['peers_s'].get('torch', '-')} s | {_bold(r['ratio'], r['reach'])} |"
        for r in rows
    ]


def _memory(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## Peak memory",
        "",
        "The largest resident memory of a process that trains. `python -m benchmarks memory --peers torch,jax`",
        "",
        "| workload | ours | PyTorch | JAX | ratio |",
        "|---|---|---|---|---|",
    ]
    return lines + [
        f"| {r['id']}: {r['title']} | {r['ours_mib']} MiB | {r['peers_mib'].get('torch', '-')} MiB | {r['peers_mib'].get('jax', '-')} MiB | {_bold(r['ratio'], r['reach'])} |"
        for r in rows
    ]


def _agreement(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "## Agreement", "",
        "Parameters after twenty steps and gradients of the first, as the greatest distance relative to the largest element of a tensor; elements whose gradient is zero but for rounding are left out.",
        "Where a ReLU's input is within rounding of zero, its gradient is one or the other, and Adam makes whole steps of the smallest gradients: the deep networks are shown without kinks, too,",
        "and the last distance is that of our eager steps in float64 from PyTorch's in float64.",
        "`python -m benchmarks agree --peers torch`", "",
        "| workload | fused from eager | fused from PyTorch | fused from float64 | PyTorch from float64 | both in float64 | unfused replay has eager's bits |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for r in rows:
        ways = (r.get(way) for way in ("eager", "torch", "float64", "torch_from_float64", "both_in_float64"))
        cells = [f"{way['parameters']:.0e} / {way['gradients']:.0e}" if way else "-" for way in ways]
        lines.append(f"| {r['id']}: {r['title']} | {' | '.join(cells)} | {'yes' if r['bits'] else 'no'} |")
    return lines


def _time(us: float) -> str:
    return f"{us:.1f} us" if us < 1000 else f"{us / 1000:.2f} ms"


def write(results: Path) -> None:
    """Raises FileNotFoundError where no steps were measured; the other files may be missing."""
    step = json.loads((results / "step.json").read_text())
    others = {p.stem: json.loads(p.read_text()) for p in results.glob("*.json") if p.stem != "step"}
    picture(step["rows"], DOCS / "performance.svg")
    (DOCS / "performance.md").write_text(page(step, others))
