"""How long the service takes: from POST to the first point of the loss history, on an idle worker."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from client import Client

EXAMPLES = Path(__file__).parents[1] / "examples"
REACH_S = 0.2
_IDLE_S = 0.5
"""After a job: by then the worker's next process has finished importing."""


@contextmanager
def server() -> Iterator[Client]:
    """A client of a server of its own, with the embedded store and one worker."""
    with tempfile.TemporaryDirectory() as folder:
        address = Path(folder) / "address"
        process = subprocess.Popen([sys.executable, "-m", "server", "--data", folder, "--port", "0"], stdout=subprocess.DEVNULL)
        try:
            while not address.exists() or not address.read_text():
                if process.poll() is not None:
                    raise RuntimeError(f"the server ended with code {process.returncode}")
                time.sleep(0.02)
            with Client(address.read_text()) as client:
                yield client
        finally:
            process.terminate()
            process.wait(40)


def first_point(rounds: int) -> dict[str, Any]:
    """A row: seconds from submitting the convolutional example to its first point, over jobs of different seeds."""
    spec = json.loads((EXAMPLES / "digits-cnn.json").read_text())
    taken = []
    with server() as client:
        dataset = client.datasets.wait_ready(client.datasets.upload(EXAMPLES / "digits.zip").id).id
        for i in range(rounds):
            time.sleep(_IDLE_S)
            began = time.perf_counter()
            job = client.jobs.create({**spec, "seed": i}, dataset)
            next(e for e in job.stream() if e.type == "metrics")
            taken.append(time.perf_counter() - began)
            job.cancel()
            job.wait()
    return {
        "id": "first-point", "title": "submit to first point", "rounds": rounds, "reach_s": REACH_S,
        "median_s": round(median(taken), 3), "min_s": round(min(taken), 3), "max_s": round(max(taken), 3),
    }  # fmt: skip


def run(rounds: int) -> list[dict[str, Any]]:
    """All rows, printed as they come."""
    row = first_point(rounds)
    Console().print(f"{row['title']}: {row['median_s']} s (median of {rounds}, {row['min_s']} to {row['max_s']}; reach {row['reach_s']})")
    return [row]
