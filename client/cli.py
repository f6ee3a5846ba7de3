"""The ``epochline`` command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Column, Table
from rich.text import Text

from client import local
from client.draw import picture, screen
from client.errors import EpochlineError
from client.sync.client import Client
from client.sync.job import Job
from client.terminal import printable, replace_unencodable
from engine.data import Options, Rejected
from engine.spec import SpecError, Summary
from engine.train import Diverged
from server.models import JobState

PATH = click.Path(path_type=Path)


def _complain(*lines: str) -> None:
    """To standard error; what is in the lines may come from other users."""
    for line in lines:
        click.echo(printable(line), err=True)


class _Commands(click.Group):
    """Turns what users can cause into a message and an exit code: 1 refused or failed, 2 wrong use, 130 interrupted."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SpecError as error:
            _complain(
                f"The spec has {len(error.problems)} problem{'s' if len(error.problems) > 1 else ''}:", *(f"  {p}" for p in error.problems)
            )
        except Rejected as error:
            _complain(f"The dataset was rejected: {error}", *(f"  {r['file']}: {r['reason']}" for r in error.report.refused[:20]))
        except (EpochlineError, Diverged, TimeoutError, ValueError) as error:
            _complain(*f"Error: {error}".splitlines())
        except KeyboardInterrupt:
            sys.exit(130)
        sys.exit(1)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--server", envvar="EPOCHLINE_SERVER", default="http://127.0.0.1:8000", show_default=True, help="Address of the service.")
@click.option("--key", envvar="EPOCHLINE_KEY", help="API key, where the service asks for one.")
@click.version_option(package_name="epochline")
@click.pass_context
def main(ctx: click.Context, server: str, key: str | None) -> None:
    """Trains neural networks described as JSON, here or on a server."""
    replace_unencodable()
    ctx.obj = lambda: Client(server, key)


def _hand_over(module: str, arguments: tuple[str, ...]) -> None:
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])


def _passed_on(name: str, module: str, text: str) -> None:
    """A command whose options are those of ``python -m module``."""

    @main.command(name, help=text, context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> None:
        _hand_over(module, arguments)


_passed_on("serve", "server", "Serves the REST API and the page, with embedded store and workers (--help for options).")
_passed_on("worker", "worker", "Takes jobs from a queue and trains them (--help for options).")
_passed_on("keys", "server.keys", "Makes and lists API keys (--help for options).")


_Command = TypeVar("_Command", bound=Callable[..., Any])
_READING = (
    click.option("--target", help="The column of a table to predict, or several, a,b; by default the one called target, label, class or y, else the last."),
    click.option("--text", help="The column of a table with texts to learn from; by default as it is recognised."),
    click.option("--layout", help="How the data are laid out (class_folders, masks, table, text, ..); by default as it is recognised."),
)  # fmt: skip


def _says_how_to_read(command: _Command) -> _Command:
    """Gives a command the options that say how its data are read, as ``reading``'s arguments."""
    for option in reversed(_READING):
        command = option(command)
    return command


@main.command()
@click.argument("spec", type=PATH)
@_says_how_to_read
@click.option(
    "--data", type=PATH, help="A zip, npz, csv, jsonl or txt file, or a folder of image folders; else what the spec names, relative to it."
)
@click.option("--out", type=PATH, help="Folder for the model, the history and the picture; runs/NAME by default.")
@click.option("--device", help="cpu or cuda:N; by default what the spec says.")
def train(spec: Path, data: Path | None, out: Path | None, device: str | None, **reading: str | None) -> None:
    """Trains SPEC on this machine, without a server."""
    folder = local.train(spec, data, out, device, Options(**reading))
    click.echo(f"Saved in {folder}: {', '.join(sorted(p.name for p in folder.iterdir()))}")


def _table(summary: Summary) -> Table:
    table = Table(title=f"input {'x'.join(map(str, summary.input))}", title_justify="left")
    for name, side in (
        ("layer", "left"),
        ("type", "left"),
        ("output", "left"),
        ("parameters", "right"),
        ("FLOPs", "right"),
        ("activations", "right"),
    ):
        table.add_column(name, justify=side)  # type: ignore[arg-type]  # side is a plain str to mypy
    for r in summary.layers:
        table.add_row(
            Text(printable(r.name)), r.type, "x".join(map(str, r.output)), f"{r.parameters:,}", f"{r.flops:,}", _bytes(r.activation_bytes)
        )
    table.add_section()
    table.add_row("total", "", "", f"{summary.parameters:,}", f"{summary.flops:,}", _bytes(summary.activation_bytes))
    return table


def _bytes(n: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n < 1024 or unit == "GiB":
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1024
    return ""


@main.command()
@click.argument("spec", type=PATH)
@_says_how_to_read
@click.option("--data", type=PATH, help="The data to check against; else what the spec names, relative to it.")
def check(spec: Path, data: Path | None, **reading: str | None) -> None:
    """Checks SPEC against its data: every problem, or the table of its layers, and what was done with the data."""
    _, report, summaries = local.examine(spec, data, Options(**reading))
    console = Console()
    summary = summaries[0]
    console.print(_table(summary))
    classes = f", {len(report.classes)} classes" if report.classes else ""
    console.print(
        f"{report.samples:,} samples{classes}; about {_bytes(summary.peak_bytes)} for training with batches of {summary.batch_size} (sizes and FLOPs are for one sample, forward)"
    )
    for note in (*report.converted, *(f"warning: {w}" for w in report.warnings)):
        console.print(Text(printable(note)))


@main.command()
@click.argument("spec", type=PATH)
@_says_how_to_read
@click.option(
    "--data",
    type=PATH,
    help="A zip, npz, csv, jsonl or txt file, or a folder of images, to upload; else the spec's dataset, which may be an id.",
)
@click.option("--watch", "watching", is_flag=True, help="Draw the loss until the job is done.")
@click.option("--picture", "png", type=PATH, help="With --watch: save the curves as a PNG.")
@click.pass_context
def submit(ctx: click.Context, /, spec: Path, data: Path | None, watching: bool, png: Path | None, **reading: str | None) -> None:
    """Uploads the data if need be, and queues SPEC."""
    body = local.read_spec(spec)
    named = body.get("data", {}).get("dataset") if isinstance(body, dict) and isinstance(body.get("data", {}), dict) else None
    if data is None and isinstance(named, str) and not named.startswith("ds_"):
        data = spec.parent / named
    with ctx.obj() as client:
        dataset_id = _upload(client, data, reading) if data is not None else None
        job = client.jobs.create(body, dataset_id)
        click.echo(f"job {job.id} is {job.state}")
        if watching:
            _watch(job, png)


def _upload(client: Client, path: Path, reading: dict[str, Any]) -> str:
    columns = (TextColumn("uploading {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, transient=True, disable=not sys.stdout.isatty()) as progress:
        task = progress.add_task(escape(printable(path.name)), total=None)
        sent = client.datasets.upload(path, progress=lambda n, total: progress.update(task, completed=n, total=total), **reading)
    dataset = client.datasets.wait_ready(sent.id)
    report = dataset.report
    assert report is not None
    refused = f", {report.refused_count} files refused" if report.refused_count else ""
    click.echo(f"dataset {dataset.id}: {report.samples:,} samples, {len(report.classes or [])} classes{refused}")
    _complain(*(f"  note: {warning}" for warning in report.warnings))
    return dataset.id


@main.command()
@click.argument("job_id")
@click.option("--picture", "png", type=PATH, help="Save the curves as a PNG.")
@click.pass_context
def watch(ctx: click.Context, job_id: str, png: Path | None) -> None:
    """Draws the loss of a job until it is done."""
    with ctx.obj() as client:
        _watch(client.jobs.get(job_id), png)


def _watch(job: Job, png: Path | None) -> None:
    title = printable(job.info.name or job.id)
    with screen(title) as s:
        for event in job.stream():
            if event.type == "metrics":
                s.point(event.model_dump(exclude_none=True))
            elif event.type == "state":
                s.state = event.state
                s.say(f"{event.state}" + (f": {event.reason}" if event.reason else ""))
    if png is not None and s.history.curves:
        picture(s.history, title, png)
    info = job.refresh()
    if info.state == JobState.FAILED:
        error = info.error
        raise ValueError(
            f"the job failed: {error.message if error else info.reason}" + (f" (at {error.pointer})" if error and error.pointer else "")
        )
    variants: Any = (info.results or {}).get("variants", [])
    for final in variants:
        values = "  ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in final.items() if isinstance(v, int | float))
        said = f"  {final['error']['message']}" if "error" in final else ""
        click.echo(f"{printable(final['variant'] or 'final')}: {values}{printable(said)}")


@main.command()
@click.option("--state", help="Only jobs in this state.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@click.pass_context
def jobs(ctx: click.Context, state: str | None, limit: int) -> None:
    """Lists jobs, newest first."""
    with ctx.obj() as client:
        rows = list(client.jobs.list(state=state, limit=limit))
    table = Table(
        Column("id", no_wrap=True), Column("name", overflow="ellipsis", no_wrap=True), "state", Column("progress", justify="right")
    )
    for r in rows:
        table.add_row(r.id, Text(printable(r.name)), r.state, f"{r.progress.fraction:.0%}" if r.progress else "")
    Console().print(table)


@main.command()
@click.argument("job_id")
@click.pass_context
def cancel(ctx: click.Context, job_id: str) -> None:
    """Cancels a job."""
    with ctx.obj() as client:
        click.echo(f"job {job_id} is {client.jobs.get(job_id).cancel().state}")


@main.command()
@click.argument("job_id")
@click.option("--step", default="best", show_default=True, help="A checkpoint's number, latest, or best.")
@click.option("--out", type=PATH, help="The file to write; JOB.safetensors by default.")
@click.pass_context
def pull(ctx: click.Context, job_id: str, step: str, out: Path | None) -> None:
    """Downloads a trained model as safetensors."""
    target = out or Path(f"{job_id}.safetensors")
    with ctx.obj() as client:
        client.jobs.get(job_id).download(step, target)
    click.echo(f"saved {target}")


if __name__ == "__main__":
    main()
