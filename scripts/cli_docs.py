"""Writes the reference part of docs/cli.md: every command with its arguments and options, as ``-h`` explains them. ``--check`` only compares."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from client.cli import main
from server.__main__ import main as serve
from server.keys import main as keys
from worker.__main__ import main as worker

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
BEGIN, END = "<!-- commands: begin -->", "<!-- commands: end -->"
_ELSEWHERE = {"serve": serve, "worker": worker, "keys": keys}
"""Commands that ``epochline`` hands over to a process of the service."""


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """The commands that do something, in the order of their names."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name, inner in sorted(command.commands.items()):
        yield from _commands(_ELSEWHERE.get(name, inner) if command is main else inner, f"{path} {name}")


def _section(path: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    usage = " ".join(command.collect_usage_pieces(context))
    text = re.sub(r"\s+", " ", (command.help or "").replace("\b", "")).strip()
    yield f"### `{path}`\n\n{text}\n\n```\n{path} {usage}\n```\n"
    options = [p for p in command.get_params(context) if isinstance(p, click.Option) and not {"--help", "--json"} & set(p.opts)]
    if options:
        yield "| option | |\n|---|---|\n" + "".join(_row(context, option) for option in options)
    if command.epilog:
        yield command.epilog + "\n"


def _row(context: click.Context, option: click.Option) -> str:
    record = option.get_help_record(context)
    assert record is not None
    names, text = (re.sub(r"\s+", " ", part).replace("|", "\\|") for part in record)
    return f"| `{names}` | {text} |\n"


def reference() -> str:
    """The reference part."""
    return "\n".join(part for path, command in _commands(main, "epochline") for part in _section(path, command))


def page() -> str:
    """The page with the reference as it should be."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    return f"{before}{BEGIN}\n{reference()}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(page() != PAGE.read_text())
    PAGE.write_text(page())
