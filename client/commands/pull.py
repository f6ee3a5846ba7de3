"""``epochline pull`` and ``checkpoints``: what a job has brought."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from client import Client, Job
from client.commands.options import PATH, job_argument, json_option, model_argument
from client.commands.session import Session, pass_session
from client.documents import Saved
from client.draw import History
from client.folder import RunFolder
from client.reports import write
from client.sync.finished import SUFFIXES
from client.terminal import Column, Terminal, size
from server.models import Items, JobDetail, MetricsEvent, ReportEvent


@click.command("pull")
@model_argument
@click.option("--step", default="best", show_default=True, help="A checkpoint's number, latest, or best; of a job.")
@click.option(
    "--format",
    type=click.Choice([*SUFFIXES]),
    default="safetensors",
    show_default=True,
    help="safetensors; torch, a state dict; onnx, with preprocessing and class names inside; card, a page in Markdown.",
)
@click.option("--out", type=PATH, help="The file to write, or, with --all, the folder; MODEL.safetensors or runs/JOB by default.")
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="The best and the last model, spec, log, history, results and picture: the files of `epochline train`.",
)
@json_option
@pass_session
def pull(session: Session, model: str, step: str, format: Any, out: Path | None, everything: bool) -> None:
    """Downloads a trained model, of a job or by NAME, NAME@ALIAS or NAME@NUMBER, or, with --all, all there is of a job."""
    if everything and format != "safetensors":
        raise click.UsageError("--all has every file in its own format: leave --format out")
    with session.client() as client:
        if everything:
            saved = _all(session.terminal, client.jobs.get(model), out or Path("runs") / model)
        else:
            path = _file(session.terminal, client, model, step, format, out or Path(f"{model}{SUFFIXES[format]}"))
            saved = Saved(job=model, path=str(path), files=[path.name])
    session.terminal.emit(saved)
    session.terminal.say(f"saved {saved.path}" + (f": {', '.join(saved.files)}" if everything else ""))


def _file(terminal: Terminal, client: Client, model: str, step: str, format: Any, path: Path) -> Path:
    """A model in some format. The server converts it when it is asked for the first time."""
    with terminal.progress(f"receiving {path.name}", unit="bytes") as bar:

        def told(done: int, total: int) -> None:
            bar(done=done, total=total or None)

        if model.startswith("job_"):
            return client.jobs.get(model).download(step, path, told, format)
        return client.models.download(model, path, format, told)


def _model(terminal: Terminal, job: Job, step: int | str, path: Path) -> Path:
    with terminal.progress(f"receiving {path.name}", unit="bytes") as bar:
        return job.download(step, path, lambda done, total: bar(done=done, total=total or None))


def _all(terminal: Terminal, job: Job, path: Path) -> Saved:
    """The files of a run on this machine. Those of models that the job does not have are left out."""
    folder, history, reports = RunFolder(path, job.info.spec), History(), list[ReportEvent]()
    with terminal.progress("receiving the log", job.info.points) as bar:
        for event in job.stream():
            folder.log(event)
            if isinstance(event, MetricsEvent):
                history.add(event)
                bar(done=len(folder.points))
            elif isinstance(event, ReportEvent):
                reports.append(event)
    info = job.refresh()
    folder.close({**(info.results or {"variants": []}), "model": info.model}, history, info.name or job.id)
    write(path, info.name or job.id, _reports(info, reports), None)
    steps = {c.step for c in job.checkpoints()}
    best = (info.results or {}).get("best_step")
    for name, step in (("model", best), ("last", max(steps, default=None))):
        if step in steps:
            _model(terminal, job, int(str(step)), path / f"{name}.safetensors")
    return Saved(job=job.id, path=str(path), files=sorted(p.name for p in path.iterdir()))


def _reports(job: JobDetail, events: Sequence[ReportEvent]) -> list[dict[str, Any]]:
    """The reports that a run on this machine keeps: those of the test, of each variant's best epoch, and of its last."""
    bests = (job.results or {}).get("bests")
    best = {(b.get("variant"), b.get("epoch")) for b in bests if isinstance(b, dict)} if isinstance(bests, list) else set()
    held_out = [e for e in events if e.split != "test"]
    leading = [e for e in held_out if (e.variant, e.epoch) in best]
    last = {e.variant: e for e in sorted(held_out, key=lambda e: e.epoch)}
    found = [*(e for e in events if e.split == "test"), *leading, *(e for e in last.values() if e not in leading)]
    return [{"step": e.step, "epoch": e.epoch, "split": e.split, "variant": e.variant, **e.report} for e in found]


@click.command("checkpoints")
@job_argument
@json_option
@pass_session
def checkpoints(session: Session, job_id: str) -> None:
    """Lists the checkpoints of a job, oldest first."""
    with session.client() as client:
        found = client.jobs.get(job_id).checkpoints()
    session.terminal.emit(Items(data=list(found)))
    columns = (
        Column("step", right=True, fixed=True),
        Column("epoch", right=True),
        Column("size", right=True),
        Column("values"),
        Column("variant"),
    )
    values = ["  ".join(f"{k} {v:.4f}" for k, v in c.values.items()) for c in found]
    rows = [[str(c.step), str(c.epoch), size(c.size_bytes), v, c.variant or ""] for c, v in zip(found, values, strict=True)]
    session.terminal.table(columns, rows)
