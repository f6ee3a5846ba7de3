"""Options and arguments that several commands have."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from client import Client
from client.commands.session import Session
from client.errors import EpochlineError
from client.terminal import printable
from engine.data import Options
from server.models import JobState

F = TypeVar("F", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)
_COMPLETION_S = 2.0
"""How long a shell waits for the ids that fit."""


def _models(client: Client) -> list[tuple[str, str]]:
    """Names of models, and with their aliases."""
    return [
        row for m in client.models.list(limit=100) for row in ((m.id, ""), *((f"{m.id}@{a}", f"version {n}") for a, n in m.aliases.items()))
    ]


_KNOWN: dict[str, Callable[[Client], list[tuple[str, str]]]] = {
    "job": lambda client: [(j.id, f"{j.state} {printable(j.name)}") for j in client.jobs.list(limit=100)],
    "dataset": lambda client: [(d.id, f"{d.state} {printable(d.name)}") for d in client.datasets.list(limit=100)],
    "weights": lambda client: [(w.id, printable(w.name)) for w in client.weights.list(limit=100)],
    "name": _models,
    "example": lambda client: [(e.name, e.title) for e in client.specs.examples()],
}
"""The ids of a kind, each with what it is called."""


class _Ids(click.ParamType[str]):
    """An id that the server knows, of one of some kinds; a shell completes it."""

    def __init__(self, name: str, *more: str) -> None:
        self.name, self._kinds = name, (name, *more)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        root = ctx.find_root().params
        try:
            with Client(root.get("server"), root.get("key"), timeout_s=_COMPLETION_S, patience_s=0.0) as client:
                found = [row for kind in self._kinds for row in _KNOWN[kind](client)]
        except (EpochlineError, ValueError, OSError):
            return []
        return [CompletionItem(i, help=text) for i, text in found if i.startswith(incomplete)]


JOB, DATASET, NAME, WEIGHTS, EXAMPLE = map(_Ids, ("job", "dataset", "name", "weights", "example"))
model_argument = click.argument("model", metavar="MODEL", type=_Ids("job", "name"))
job_argument = click.argument("job_id", metavar="JOB", type=JOB)
dataset_argument = click.argument("dataset_id", metavar="DATASET", type=DATASET)
STATES = click.Choice([s.value for s in JobState])


def _as_json(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    session = ctx.find_object(Session)
    if value and session is not None:
        session.terminal.json = True


json_option = click.option(
    "--json", is_flag=True, expose_value=False, is_eager=True, callback=_as_json,
    help="Print JSON: one document, or, where something is followed, a document a line.",
)  # fmt: skip


def _labels(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    for text in value:
        if "=" not in text or text.startswith("="):
            raise click.BadParameter(f"expected NAME=VALUE, got {text!r}")
    return dict(text.split("=", 1) for text in value)


label_option = click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", callback=_labels, help="May be given several times.")


def change_options(command: F) -> F:
    """What changes of a job or a dataset: its name and its labels."""
    options = (
        click.option("--name", help="The new name."),
        click.option(
            "--label", "labels", multiple=True, metavar="NAME=VALUE", callback=_labels, help="Adds a label, or replaces its value."
        ),
        click.option("--unlabel", multiple=True, metavar="NAME", help="Takes a label away."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def changed(labels: dict[str, str], added: dict[str, str], removed: tuple[str, ...]) -> dict[str, str] | None:
    """The labels after a change; None where they stay."""
    if not added and not removed:
        return None
    return {k: v for k, v in {**labels, **added}.items() if k not in removed}


def reading_options(command: F) -> F:
    """How a dataset is read, as the command's argument ``reading``."""
    options = (
        click.option(
            "--target",
            help="The column of a table to predict, or several, a,b; else the one called target, label, class or y, or the last.",
        ),
        click.option("--text", help="The column of a table with texts to learn from; else as it is recognised."),
        click.option("--layout", help="How the data are laid out (class_folders, masks, table, text, ..); else as it is recognised."),
    )

    @functools.wraps(command)
    def with_reading(*args: Any, target: str | None, text: str | None, layout: str | None, **more: Any) -> Any:
        return command(*args, reading=Options(layout, target, text), **more)

    made = with_reading
    for option in reversed(options):
        made = option(made)
    return made  # type: ignore[return-value]  # click calls it by the names of its options


data_option = click.option(
    "--data",
    type=PATH,
    help="A .zip, .npz, .csv, .tsv, .jsonl or .txt file, or a folder of images; else what the spec names, relative to it.",
)
spec_argument = click.argument("spec", type=PATH)


def yes(question: str, sure: bool) -> None:
    """Asks before something is deleted, where somebody can answer. Raises click.Abort for a no."""
    if not sure and os.isatty(0):
        click.confirm(question, abort=True, err=True)
