"""``epochline submit`` and ``check``: a spec's file to the server, or examined here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from client import ApiError, Client, Job, specfile
from client.commands.datasets import upload
from client.commands.follow import follow
from client.commands.options import DATASET, PATH, data_option, json_option, label_option, reading_options, spec_argument
from client.commands.session import Session, pass_session
from client.local import examine
from client.specfile import SpecFile
from client.terminal import Column, Terminal, size
from engine.data import Options
from server.models import CheckResult, Spec

_TABLE = (
    Column("layer"), Column("type"), Column("output"), Column("parameters", right=True), Column("FLOPs", right=True),
    Column("activations", right=True),
)  # fmt: skip


@contextmanager
def answers_about(file: SpecFile) -> Iterator[None]:
    """Turns what the server says is wrong with a spec into what is wrong with its file."""
    try:
        yield
    except ApiError as error:
        if error.status == 422 and error.errors and all(not f.pointer or f.pointer.startswith("/") for f in error.errors):
            raise file.error(error.errors) from None
        raise


def _dataset_of(value: object) -> str | None:
    """The dataset that a spec names, where it does."""
    data = value.get("data") if isinstance(value, dict) else None
    named = data.get("dataset") if isinstance(data, dict) else None
    return named if isinstance(named, str) else None


def _spec(file: SpecFile) -> Spec:
    """What a file says, if it is an object. Raises SpecFileError."""
    if not isinstance(file.value, dict):
        raise file.error([specfile.Located(f"expected an object, got {type(file.value).__name__}")])
    return file.value


@click.command("submit", epilog="With --watch the exit codes of `epochline watch`.")
@spec_argument
@data_option
@reading_options
@click.option("--dataset", type=DATASET, help="An uploaded dataset, in place of the spec's.")
@click.option("--name", help="The job's name, in place of the spec's.")
@label_option
@click.option("--idempotency-key", help="Submitting again with the same key within 24 hours gives the same job.")
@click.option("--watch", "watching", is_flag=True, help="Draw the loss until the job has ended.")
@click.option("--picture", "png", type=PATH, help="With --watch: save the curves as a PNG.")
@json_option
@pass_session
def submit(
    session: Session, spec: Path, data: Path | None, reading: Options, dataset: str | None, name: str | None,
    labels: dict[str, str], idempotency_key: str | None, watching: bool, png: Path | None,
) -> None:  # fmt: skip
    """Uploads the data if need be, and queues SPEC, a JSON, YAML or TOML file. With --watch and --json the job, and then its events, one a line."""
    file = specfile.read(spec)
    body = _spec(file)
    if name is not None:
        body = {**body, "name": name}
    named = _dataset_of(body)
    if data is None and dataset is None and named is not None and not named.startswith("ds_"):
        data = spec.parent / named
    with session.client() as client:
        if data is not None:
            with answers_about(file):
                _check_first(client, body)
            dataset = upload(session, client, data, reading).id
        with answers_about(file):
            job = client.jobs.create(body, dataset, labels=labels or None, idempotency_key=idempotency_key)
        _tell(session, job)
        if watching:
            follow(session, client, job, png)


def _check_first(client: Client, body: Spec) -> None:
    """What is wrong with a spec by itself is known before its data is sent."""
    try:
        client.jobs.check({**body, "data": {**body["data"], "dataset": None}} if isinstance(body.get("data"), dict) else body)
    except ApiError as error:
        if error.status == 422 and any(f.pointer != "/data/dataset" for f in error.errors):
            raise


def _tell(session: Session, job: Job) -> None:
    session.terminal.emit(job.info)
    session.terminal.say(f"job {job.id} is {job.state}")


@click.command("check")
@spec_argument
@data_option
@reading_options
@click.option("--dataset", type=DATASET, help="Check against an uploaded dataset, on the server.")
@click.option("--input", "shape", metavar="SHAPE", help="Check without data, for samples of this shape, such as 1x8x8.")
@json_option
@pass_session
def check(session: Session, spec: Path, data: Path | None, reading: Options, dataset: str | None, shape: str | None) -> None:
    """Checks SPEC against its data: every problem, or the table of its layers, the memory and the largest batch, and what was done with the data.

    Where the data is an uploaded dataset, the server checks; else this machine does.
    """
    file = specfile.read(spec)
    named = _dataset_of(file.value)
    if dataset is not None or (data is None and shape is None and named is not None and named.startswith("ds_")):
        with session.client() as client, answers_about(file):
            found, whose = client.jobs.check(_spec(file), dataset), "the largest worker's"
    else:
        with session.terminal.progress(f"reading the data of {spec.name}") as bar:
            found = examine(file, data, reading, _shape(shape), lambda done, total: bar(done=done, total=total))
        whose = "this machine's"
    session.terminal.emit(found)
    describe(session.terminal, found, whose)


def _shape(text: str | None) -> tuple[int, ...] | None:
    parts = text.split("x") if text is not None else []
    if not all(p.isascii() and p.isdecimal() and int(p) > 0 for p in parts):
        raise click.BadParameter(f"expected a shape such as 1x8x8, got {text!r}", param_hint="--input")
    return tuple(int(p) for p in parts) if text is not None else None


def describe(terminal: Terminal, found: CheckResult, whose: str) -> None:
    """The table of layers, and what training takes."""
    rows = [[r.name, r.type, _sizes(r.output), f"{r.parameters:,}", f"{r.flops:,}", size(r.activation_bytes)] for r in found.layers]
    total = ["total", "", "", f"{found.parameters:,}", f"{found.flops:,}", size(found.activation_bytes)]
    terminal.say(f"input {_sizes(found.input)}; sizes and FLOPs are for one sample, forward")
    terminal.table(_TABLE, rows, total)
    terminal.say(f"training with batches of {found.batch_size} takes about {size(found.peak_bytes)}")
    if found.largest_batch is None:
        terminal.say("the largest batch is unknown: there is no worker")
    else:
        terminal.say(f"the largest batch is about {found.largest_batch:,}, by {whose} memory of {size(found.worker_memory_bytes)}")
    terminal.say(*found.dataset_notes)


def _sizes(shape: list[int]) -> str:
    return "x".join(map(str, shape))
