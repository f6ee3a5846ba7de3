"""``epochline datasets``: upload, list, look at, rename, label, delete."""

from __future__ import annotations

from pathlib import Path

import click

from client import Client
from client.commands.groups import ListingGroup
from client.commands.options import (
    PATH,
    change_options,
    changed,
    dataset_argument,
    json_option,
    label_option,
    reading_options,
    yes,
)  # fmt: skip
from client.commands.session import Session, pass_session
from client.documents import Deleted
from client.terminal import Column, Terminal, size
from engine.data import Options
from server.models import DatasetInfo, DatasetState, page

_COLUMNS = (
    Column("id", fixed=True),
    Column("state"),
    Column("name"),
    Column("samples", right=True),
    Column("size", right=True),
    Column("format"),
)
_POLL_S = 0.5


@click.group("datasets", cls=ListingGroup)
def datasets() -> None:
    """Uploads, lists, shows, renames and deletes datasets; lists them where nothing else is said."""


@datasets.command("list")
@click.option("--state", type=click.Choice([s.value for s in DatasetState]), help="Only datasets in this state.")
@click.option("--name", help="Only those with this in their name; case does not matter.")
@label_option
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@json_option
@pass_session
def listing(session: Session, state: str | None, name: str | None, labels: dict[str, str], limit: int) -> None:
    """Lists datasets, newest first."""
    with session.client() as client:
        rows = list(client.datasets.list(state=state, name=name, labels=labels or None, limit=limit + 1))
    session.terminal.emit(page(rows[:limit], len(rows) > limit))
    session.terminal.table(_COLUMNS, [_row(d) for d in rows[:limit]])


def _row(d: DatasetInfo) -> list[str]:
    state = f"{d.state} {d.progress:.0%}" if d.state == DatasetState.VALIDATING else d.state
    return [d.id, state, d.name, f"{d.report.samples:,}" if d.report else "", size(d.size_bytes), d.format]


@datasets.command("upload")
@click.argument("path", type=PATH)
@reading_options
@click.option("--name", help="What to call it; after the file by default.")
@label_option
@click.option("--no-wait", is_flag=True, help="Return once it is sent, before it is validated.")
@json_option
@pass_session
def upload_(
    session: Session, path: Path, reading: Options, name: str | None, labels: dict[str, str],
    no_wait: bool,
) -> None:  # fmt: skip
    """Uploads PATH, a .zip, .npz, .csv, .tsv, .jsonl or .txt file or a folder of images, and waits until it is validated."""
    with session.client() as client:
        found = upload(session, client, path, reading, name, labels, wait=not no_wait)
    session.terminal.emit(found)


def upload(
    session: Session, client: Client, path: Path, reading: Options = Options(), name: str | None = None,
    labels: dict[str, str] | None = None, wait: bool = True,
) -> DatasetInfo:  # fmt: skip
    """Sends a dataset, with bars for what lasts, and says what came of it."""
    terminal = session.terminal
    doing = f"packing {path.name}" if path.is_dir() else f"sending {path.name}"
    with terminal.progress(doing, unit="bytes") as bar:
        sent = client.datasets.upload(
            path, name=name, target=reading.target, text=reading.text, layout=reading.layout, labels=labels or None,  # type: ignore[arg-type]  # the server knows the layouts
            progress=lambda done, total: bar(done=done, total=total, doing=f"sending {path.name}"),
        )  # fmt: skip
    if wait:
        sent = wait_ready(terminal, client, sent)
    describe(terminal, sent)
    return sent


def wait_ready(terminal: Terminal, client: Client, dataset: DatasetInfo) -> DatasetInfo:
    """Waits for the validation. Raises DatasetRejected."""
    with terminal.progress(f"validating {dataset.name}", 100) as bar:
        while True:
            bar(done=round(100 * dataset.progress))
            try:
                return client.datasets.wait_ready(dataset.id, timeout_s=_POLL_S)
            except TimeoutError:
                dataset = client.datasets.get(dataset.id)


def describe(terminal: Terminal, d: DatasetInfo) -> None:
    """A dataset in a few lines."""
    report = d.report
    terminal.say(f"dataset {d.id} is {d.state}" + (f": {report.samples:,} samples{_classes(d)}" if report and report.samples else ""))
    if report:
        terminal.say(*report.converted, *(f"warning: {w}" for w in report.warnings))
        if report.refused_count:
            terminal.say(f"{report.refused_count} refused, among them:", *(f"  {r['file']}: {r['reason']}" for r in report.refused[:5]))


def _classes(d: DatasetInfo) -> str:
    return f", {len(d.report.classes)} classes" if d.report and d.report.classes else ""


@datasets.command("show")
@dataset_argument
@json_option
@pass_session
def show(session: Session, dataset_id: str) -> None:
    """Shows a dataset with the report of its validation."""
    with session.client() as client:
        found = client.datasets.get(dataset_id)
    session.terminal.emit(found)
    describe(session.terminal, found)
    session.terminal.say(f"name: {found.name}", f"size: {size(found.size_bytes)}, format {found.format}")
    session.terminal.say(*(f"label: {k}={v}" for k, v in found.labels.items()))
    if found.report and found.report.counts:
        session.terminal.table((Column("class"), Column("samples", right=True)), [[k, f"{n:,}"] for k, n in found.report.counts.items()])


@datasets.command("update")
@dataset_argument
@change_options
@json_option
@pass_session
def update(session: Session, dataset_id: str, name: str | None, labels: dict[str, str], unlabel: tuple[str, ...]) -> None:
    """Renames a dataset, or labels it."""
    with session.client() as client:
        old = client.datasets.get(dataset_id)
        found = client.datasets.update(dataset_id, name=name, labels=changed(old.labels, labels, unlabel))
    session.terminal.emit(found)
    session.terminal.say(f"dataset {found.id} is named {found.name}", *(f"label: {k}={v}" for k, v in found.labels.items()))


@datasets.command("delete")
@dataset_argument
@click.option("--yes", "sure", is_flag=True, help="Do not ask.")
@json_option
@pass_session
def delete(session: Session, dataset_id: str, sure: bool) -> None:
    """Deletes a dataset and its files. Jobs that have begun go on without it; jobs that wait fail."""
    yes(f"Delete the dataset {dataset_id} and its files?", sure)
    with session.client() as client:
        client.datasets.delete(dataset_id)
    session.terminal.emit(Deleted(id=dataset_id))
    session.terminal.say(f"dataset {dataset_id} is deleted")
