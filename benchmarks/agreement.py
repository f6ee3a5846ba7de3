"""Whether four ways to train agree: fused, unfused and eager on the engine, and PyTorch, from the same weights on the same batch.

In single precision a ReLU's input within rounding of zero goes either way, and Adam makes whole steps of what should be a gradient of
zero: there PyTorch is as far from itself in double precision. So eager steps and PyTorch's are compared in double precision, and all ways on networks without kinks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.sides import prepared, training_step, weights
from benchmarks.workloads import SMOOTH, WORKLOADS, Workload

STEPS = 20
PARAMETERS, GRADIENTS = 1e-4, 2e-5
"""How far parameters after all steps may be apart, and gradients of the first; both relative to the largest of their tensor."""
ZERO = 1e-7
"""Part of the largest gradient below which one is taken for zero."""
Arrays = dict[str, np.ndarray[Any, Any]]


def _trained(w: Workload, lib: Any, way: str, start: Arrays, double: bool = False) -> tuple[Arrays, Arrays]:
    """Parameters after all steps, and the gradients of the first."""
    name = next(iter(w.optimizers))
    model, opt, loss, x, y = prepared(lib, w, name, start)
    if double:
        model, x, y = model.double(), x if w.rows else x.double(), y.double() if w.regression else y
        opt = type(opt)(model.parameters(), **{k: v for k, v in opt.defaults.items() if k in {"lr", *w.optimizers[name]}})
    step = training_step(model, opt, loss)
    if way != "eager":
        step = lib.compile(step, fuse=way == "fused")
    gradients: Arrays = {}
    for i in range(STEPS):
        step(x, y)
        if i == 0:
            gradients = {n: np.array(p.grad.detach().numpy()) for n, p in model.named_parameters()}
    return {n: np.array(p.detach().numpy()) for n, p in model.named_parameters()}, gradients


def _apart(a: Arrays, b: Arrays, moved: dict[str, Any]) -> float:
    return max(float(abs(a[n] - b[n])[moved[n]].max() / abs(b[n]).max()) for n in b if moved[n].any())


def measure(workload: str, with_torch: bool) -> dict[str, Any]:
    """A row: how far each way is from fused replay, by parameters and by gradients, and whether unfused replay has eager's bits."""
    import engine

    w = {**WORKLOADS, **SMOOTH}[workload]
    start = weights(w)
    ways = {way: _trained(w, engine, way, start) for way in ("fused", "unfused", "eager")}
    if with_torch:
        import torch

        ways["torch"] = _trained(w, torch, "eager", start)
        ways["float64"] = _trained(w, torch, "eager", start, double=True)
    # a bias ahead of BatchNorm, or of attention's keys, has a gradient of zero but for rounding, which Adam makes steps of
    largest = max(float(abs(g).max()) for g in ways.get("float64", ways["eager"])[1].values())
    moved = {n: abs(g) > ZERO * largest for n, g in ways.get("float64", ways["eager"])[1].items()}
    bits = all(np.array_equal(ways["unfused"][0][n], a) for n, a in ways["eager"][0].items())
    fused = ways.pop("fused")
    row: dict[str, Any] = {"id": workload, "title": w.title, "bits": bits}
    for way, (parameters, gradients) in ways.items():
        row[way] = {"parameters": _apart(fused[0], parameters, moved), "gradients": _apart(fused[1], gradients, moved)}
    if with_torch:
        exact = ways["float64"]
        if workload in WORKLOADS:
            double = _trained(w, engine, "eager", start, double=True)
            row["both_in_float64"] = {"parameters": _apart(double[0], exact[0], moved), "gradients": _apart(double[1], exact[1], moved)}
        row["torch_from_float64"] = {
            "parameters": _apart(ways["torch"][0], exact[0], moved),
            "gradients": _apart(ways["torch"][1], exact[1], moved),
        }
    return row


def run(peers: Sequence[str], only: Sequence[str]) -> list[dict[str, Any]]:
    """All rows asked for, printed as they come."""
    console, rows = Console(width=160), []
    for workload in only or [*WORKLOADS, *SMOOTH]:
        rows.append(measure(workload, "torch" in peers))
        row = rows[-1]
        parts = [f"{k} {v['parameters']:.1e} / {v['gradients']:.1e}" for k, v in row.items() if isinstance(v, dict)]
        console.print(f"{workload}: from fused, parameters / gradients: {', '.join(parts)}; unfused has eager's bits: {row['bits']}")
    return rows
