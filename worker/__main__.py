"""``python -m worker``: a worker for one device, with a second process that reads uploads."""

from __future__ import annotations

import os
from pathlib import Path

import click

from engine.backend import resolve
from worker import queue as queues
from worker.deployment import Deployment
from worker.logs import configure
from worker.options import HELP, LogFormat, command_name, json_option, log_format_option, reachable, writable
from worker.process import WorkerProcess
from worker.processes import die_with_parent, end, start, started_by

_REDIS_S = 60.0
"""How long Redis may take to answer: it may be starting, too."""


@click.command(context_settings=HELP)
@click.option("--redis", "redis_url", required=True, envvar="EPOCHLINE_REDIS_URL", help="redis://, rediss:// or unix:// address of Redis.")
@click.option("--device", default="cpu", show_default=True, help="cpu, or cuda:N for one GPU.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data"),
    envvar="EPOCHLINE_DATA",
    show_default=True,
    help="Folder of datasets and checkpoints, the same for server and workers.",
)
@click.option(
    "--queue", type=click.Choice(["train", "data", "both"]), default="both", show_default=True, help="Train jobs, read uploads, or both."
)
@json_option
@log_format_option
def main(redis_url: str, device: str, data: Path, queue: str, log_format: LogFormat, as_json: bool) -> None:
    """Takes jobs from the queue and trains them."""
    parent = started_by()
    if parent is not None:
        die_with_parent(parent)
    try:
        kind = resolve(device).type if queue != "data" else "cpu"
    except (RuntimeError, ImportError) as error:
        raise click.BadParameter(str(error), param_hint="--device") from None
    configure("worker")
    reachable(redis_url, _REDIS_S).close()
    deployment = Deployment(redis_url, writable(data))
    os.environ.update({k: v for k, v in deployment.environment().items() if k.startswith("EPOCHLINE_")})
    beside = start(["-m", "worker", "--queue", "data"], deployment.environment()) if queue == "both" else None
    try:
        WorkerProcess(deployment, queues.DATA if queue == "data" else kind, device).serve()
    finally:
        if beside is not None:
            end(beside)


if __name__ == "__main__":
    main(prog_name=command_name())
