"""What the machine is, and how fast it can be: a large matrix product and a triad, in the same run as what is compared with them."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np


def _best(run: Any, repetitions: int = 5) -> float:
    spent = []
    for _ in range(repetitions):
        began = time.perf_counter()
        run()
        spent.append(time.perf_counter() - began)
    return min(spent)


def describe() -> dict[str, Any]:
    """The processor, cores, memory, and figures of one core: GFLOP/s of sgemm, GB/s of a triad."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    a, b = np.ones((1024, 1024), np.float32), np.ones((1024, 1024), np.float32)
    c = np.empty_like(a)
    x, y, z = (np.ones(1 << 25, np.float32) for _ in range(3))

    def triad() -> None:
        np.multiply(x, 3, out=z)
        np.add(z, y, out=z)

    return {
        "processor": model, "cores": os.cpu_count(), "python": platform.python_version(), "numpy": np.__version__, "system": platform.platform(),
        "sgemm_gflops": round(2 * 1024**3 / _best(lambda: np.matmul(a, b, out=c)) / 1e9, 1), "triad_gbs": round(5 * x.nbytes / _best(triad) / 1e9, 1),
    }  # fmt: skip
