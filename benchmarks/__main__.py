"""``python -m benchmarks NAME``: see ``--help``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from benchmarks import agreement, reports
from benchmarks import data as loading
from benchmarks import memory as memories
from benchmarks import predict as predictions
from benchmarks import service as services
from benchmarks import start as starts
from benchmarks import step as steps
from benchmarks.machine import describe
from benchmarks.report import write


def _listed(ctx: click.Context, parameter: click.Parameter, value: str) -> list[str]:
    return [part for part in value.split(",") if part]


def _keep(path: Path | None, rows: list[dict[str, Any]], machine: dict[str, Any] | None = None) -> None:
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"machine": machine or describe(), "rows": rows}, indent=1) + "\n")


_peers = click.option("--peers", default="", callback=_listed, help="Libraries to compare with: torch,jax; data and agree know torch only.")
_only = click.option("--only", default="", callback=_listed, help="Some rows: W5,W7, or D1,D2 for data.")
_json = click.option("--json", "path", type=click.Path(path_type=Path), help="A file for the rows.")


@click.group()
def main() -> None:
    """Measures the engine beside PyTorch and JAX. A ratio above 1 means that the engine is faster."""


@main.command()
@_peers
@click.option("--threads", default="1", callback=_listed, help="Numbers of threads: 1,2.")
@_only
@click.option("--seconds", default=3.0, help="Time for each side of a row.")
@click.option("--rounds", default=6, help="Into how many turns that time is split.")
@_json
def step(peers: list[str], threads: list[str], only: list[str], seconds: float, rounds: int, path: Path | None) -> None:
    """Training steps; with --only report, the part of a job's time that its reports take."""
    machine = describe()
    if only == ["report"]:
        _keep(path, reports.run(), machine)
        return
    rows = steps.run(peers, [int(n) for n in threads], only, seconds, rounds, machine)
    Console(width=120).print(steps.table(rows))
    _keep(path, rows, machine)


@main.command()
@_peers
@click.option("--workers", default=2, help="Processes or threads that load.")
@_only
@click.option("--part", default=1.0, help="Which part of the images.")
@_json
def data(peers: list[str], workers: int, only: list[str], part: float, path: Path | None) -> None:
    """Loading and augmenting images."""
    _keep(path, loading.run(peers, workers, only, part))


@main.command()
@_peers
@_only
@_json
def memory(peers: list[str], only: list[str], path: Path | None) -> None:
    """Peak memory of training."""
    _keep(path, memories.run(peers, only))


@main.command()
@_peers
@_only
@click.option("--rounds", default=5, help="How many starts of each.")
@_json
def start(peers: list[str], only: list[str], rounds: int, path: Path | None) -> None:
    """From the start of Python to the end of the first step."""
    _keep(path, starts.run(peers, only, rounds))


@main.command()
@_peers
@_only
@_json
def agree(peers: list[str], only: list[str], path: Path | None) -> None:
    """How far apart fused, unfused and eager training and PyTorch's end."""
    _keep(path, agreement.run(peers, only))


@main.command()
@click.option("--rounds", default=20, help="How many jobs.")
@_json
def service(rounds: int, path: Path | None) -> None:
    """From POST to the first point of the loss history."""
    _keep(path, services.run(rounds))


@main.command()
@_peers
@click.option("--rounds", default=3, help="How many turns.")
@_json
def predict(peers: list[str], rounds: int, path: Path | None) -> None:
    """Predictions over HTTP."""
    _keep(path, predictions.run(peers, rounds))


@main.command()
@click.argument("results", type=click.Path(exists=True, path_type=Path), default=Path("benchmarks/results"))
def report(results: Path) -> None:
    """Makes docs/performance.md and its picture of the JSON files that runs left in a folder."""
    write(results)


if __name__ == "__main__":
    main()
