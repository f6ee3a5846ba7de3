"""``epochline jobs``: list, look at, rename, label, delete; and what is requested of a job: cancel, stop, pause, resume."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime

import click

from client.commands.groups import ListingGroup
from client.commands.options import DATASET, STATES, change_options, changed, job_argument, json_option, label_option, yes
from client.commands.session import Session, pass_session
from client.documents import Deleted
from client.terminal import Column, Terminal, duration
from server.models import JobDetail, JobSummary, page

_COLUMNS = (
    Column("id", fixed=True), Column("state", least=10), Column("name", least=8), Column("progress", right=True), Column("ETA", right=True),
    Column("created", right=True),
)  # fmt: skip
_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"])


@click.group("jobs", cls=ListingGroup)
def jobs() -> None:
    """Lists, shows, renames and deletes jobs; lists them where nothing else is said."""


@jobs.command("list")
@click.option("--state", type=STATES, help="Only jobs in this state.")
@click.option("--dataset", type=DATASET, help="Only jobs on this dataset.")
@click.option("--name", help="Only those with this in their name; case does not matter.")
@label_option
@click.option("--after", "created_after", type=_TIME, help="Only jobs created after this local time.")
@click.option("--before", "created_before", type=_TIME, help="Only jobs created before this local time.")
@click.option("--sort", type=click.Choice(["-created", "created", "-finished", "finished"]), default="-created", show_default=True)
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@json_option
@pass_session
def listing(
    session: Session, state: str | None, dataset: str | None, name: str | None, labels: dict[str, str], created_after: datetime | None,
    created_before: datetime | None, sort: str, limit: int,
) -> None:  # fmt: skip
    """Lists jobs, newest first unless --sort says otherwise."""
    with session.client() as client:
        found = client.jobs.list(
            state=state, dataset=dataset, name=name, labels=labels or None, created_after=created_after, created_before=created_before,
            sort=sort, limit=limit + 1,  # type: ignore[arg-type]  # one of the choices
        )  # fmt: skip
        rows = list(found)
    session.terminal.emit(page(rows[:limit], len(rows) > limit))
    session.terminal.table(_COLUMNS, [_row(j) for j in rows[:limit]])


def _row(j: JobSummary) -> list[str]:
    progress = f"{j.progress.fraction:.0%}" if j.progress else ""
    return [j.id, j.state, j.name, progress, duration(j.eta_s), time.strftime("%m-%d %H:%M", time.localtime(j.created))]


@jobs.command("show")
@job_argument
@json_option
@pass_session
def show(session: Session, job_id: str) -> None:
    """Shows a job: state, progress, results."""
    with session.client() as client:
        found = client.jobs.get(job_id).info
    session.terminal.emit(found)
    describe(session.terminal, found)


def describe(terminal: Terminal, job: JobDetail) -> None:
    """A job in a few lines."""
    p = job.progress
    rows = [
        ("name", job.name), ("state", job.state + (f" ({job.reason})" if job.reason and not job.error else "")),
        ("position", f"{job.queue_position} in the queue {job.queue}" if job.queue_position else ""),
        ("progress", f"epoch {p.epoch}/{p.epochs}, {p.fraction:.0%}, step {p.step} of {p.total_steps}" if p else ""),
        ("ETA", duration(job.eta_s)), ("dataset", job.dataset), ("worker", job.worker or ""),
        ("attempt", str(job.attempt) if job.attempt > 1 else ""), ("labels", "  ".join(f"{k}={v}" for k, v in job.labels.items())),
        ("error", f"{job.error.message} (at {job.error.pointer})" if job.error and job.error.pointer else job.error.message if job.error else ""),
    ]  # fmt: skip
    terminal.say(f"job {job.id}", *(f"  {name:<9} {text}" for name, text in rows if text))
    terminal.say(*(f"  {line}" for line in finals(job)))


def finals(job: JobSummary) -> list[str]:
    """How each variant ended, a line each."""
    found = (job.results or {}).get("variants", [])
    return [_final(v) for v in found if isinstance(v, dict)] if isinstance(found, list) else []


def _final(variant: Mapping[str, object]) -> str:
    values = "  ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in variant.items() if isinstance(v, int | float))
    error = variant.get("error")
    return f"{variant.get('variant') or 'final'}: {values}" + (f"  {error['message']}" if isinstance(error, dict) else "")


@jobs.command("update")
@job_argument
@change_options
@json_option
@pass_session
def update(session: Session, job_id: str, name: str | None, labels: dict[str, str], unlabel: tuple[str, ...]) -> None:
    """Renames a job, or labels it."""
    with session.client() as client:
        job = client.jobs.get(job_id)
        found = job.update(name=name, labels=changed(job.info.labels, labels, unlabel))
    session.terminal.emit(found)
    session.terminal.say(f"job {found.id} is named {found.name}", *(f"label: {k}={v}" for k, v in found.labels.items()))


@jobs.command("delete")
@job_argument
@click.option("--yes", "sure", is_flag=True, help="Do not ask.")
@json_option
@pass_session
def delete(session: Session, job_id: str, sure: bool) -> None:
    """Deletes a job that has ended, with its log and its checkpoints."""
    yes(f"Delete the job {job_id} with its log and its checkpoints?", sure)
    with session.client() as client:
        client.jobs.get(job_id).delete()
    session.terminal.emit(Deleted(id=job_id))
    session.terminal.say(f"job {job_id} is deleted")


def _request(name: str, text: str) -> click.Command:
    """The command of one request."""

    @click.command(name, help=text)
    @job_argument
    @json_option
    @pass_session
    def command(session: Session, job_id: str) -> None:
        with session.client() as client:
            job = client.jobs.get(job_id)
            getattr(job, name)()
        session.terminal.emit(job.info)
        session.terminal.say(f"job {job_id} is {job.info.state}")

    return command


requests = (
    _request("cancel", "Cancels a job; its checkpoints are removed."),
    _request("stop", "Stops a job, keeping its best model."),
    _request("pause", "Pauses a job, with its state saved."),
    _request("resume", "Resumes a paused job."),
)
