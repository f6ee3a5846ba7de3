"""``epochline suggest`` and ``examples``: specs to begin with."""

from __future__ import annotations

import json
from pathlib import Path

import click

from client.commands.failures import Failure
from client.commands.options import EXAMPLE, PATH, dataset_argument, json_option
from client.commands.session import Session, pass_session
from client.terminal import Column, Terminal
from server.models import Items, Spec

_COLUMNS = (Column("name", fixed=True), Column("title", least=20), Column("for"))


def _file(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and value.suffix.lower() in (".yaml", ".yml", ".toml"):
        raise click.BadParameter(f"specs are written as JSON: expected a name that ends in .json, got {value.name!r}")
    return value


out_option = click.option("--out", type=PATH, callback=_file, help="Write the spec to this file, as JSON, instead of printing it.")


def _show(terminal: Terminal, spec: Spec, out: Path | None) -> None:
    """A spec for a person, or in a file."""
    if out is not None:
        out.write_text(json.dumps(spec, indent=2) + "\n")
        terminal.say(f"saved {out}")
    elif not terminal.json:
        terminal.document(spec)


@click.command("suggest")
@dataset_argument
@click.option("--task", help="What is to be learned, such as classification or regression; the likeliest by default.")
@out_option
@json_option
@pass_session
def suggest(session: Session, dataset_id: str, task: str | None, out: Path | None) -> None:
    """Prints a spec made for DATASET, which `epochline submit` takes as it is."""
    with session.client() as client:
        found = client.specs.suggest(dataset_id, task)
    session.terminal.emit(found)
    others = [t for t in found.tasks if t != found.task]
    if not session.terminal.json:
        session.terminal.note(f"task: {found.task}" + (f"; --task may be {', '.join(others)}" if others else ""))
    _show(session.terminal, found.spec, out)


@click.command("examples")
@click.argument("name", required=False, type=EXAMPLE)
@out_option
@json_option
@pass_session
def examples(session: Session, name: str | None, out: Path | None) -> None:
    """Lists specs to begin with, one for each kind of task, or prints that of NAME."""
    if name is None and out is not None:
        raise click.UsageError("--out needs the NAME of an example")
    with session.client() as client:
        found = client.specs.examples()
    if name is None:
        session.terminal.emit(Items(data=list(found)))
        session.terminal.table(_COLUMNS, [[e.name, e.title, e.dataset] for e in found])
        return
    chosen = next((e for e in found if e.name == name), None)
    if chosen is None:
        raise Failure(f"there is no example {name!r}: expected one of {', '.join(e.name for e in found)}")
    session.terminal.emit(chosen)
    _show(session.terminal, chosen.spec, out)
