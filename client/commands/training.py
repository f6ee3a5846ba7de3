"""``epochline train`` and ``schema``: what needs no server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import click

from client import local
from client.commands.failures import INTERRUPTED
from client.commands.options import PATH, data_option, json_option, reading_options, spec_argument
from client.commands.session import Session, pass_session
from client.screen import Screen, screen
from client.terminal import Terminal
from engine.data import Options
from engine.spec import json_schema


@click.command("train")
@spec_argument
@data_option
@reading_options
@click.option("--out", type=PATH, help="Folder for models, history, log and picture; runs/NAME by default.")
@click.option("--device", help="cpu or cuda:N; by default what the spec says.")
@json_option
@pass_session
def train(session: Session, spec: Path, data: Path | None, reading: Options, out: Path | None, device: str | None) -> None:
    """Trains SPEC, a JSON, YAML or TOML file, on this machine, without a server. Ctrl-C ends it and keeps what there is. With --json events, one a line."""
    try:
        local.train(spec, local.Setting(data, out, device, reading), TerminalViewer(session.terminal, spec.name))
    except KeyboardInterrupt:
        session.terminal.note("Interrupted")
        raise SystemExit(INTERRUPTED) from None


class TerminalViewer:
    """Shows a run on the terminal."""

    def __init__(self, terminal: Terminal, file: str) -> None:
        self._terminal, self._file = terminal, file

    @contextmanager
    def reading(self) -> Iterator[local.Progress]:
        with self._terminal.progress(f"reading the data of {self._file}") as bar:
            yield lambda done, total: bar(done=done, total=total)

    def showing(self, title: str) -> AbstractContextManager[Screen]:
        return screen(self._terminal, title)

    def saved(self, folder: Path) -> None:
        self._terminal.say(f"Saved in {folder}: {', '.join(sorted(p.name for p in folder.iterdir()))}")


@click.command("schema")
@json_option
@pass_session
def schema(session: Session) -> None:
    """Prints the JSON Schema of a spec, for editors and programs."""
    session.terminal.document(json_schema())
