"""``epochline workers``, and the commands that start processes of the service or look after its keys: ``serve``, ``worker``, ``keys``."""

from __future__ import annotations

import os
import sys

import click

from client.commands.options import json_option
from client.commands.session import Session, pass_session
from client.terminal import Column, size
from server.models import Items

_COLUMNS = (
    Column("name", fixed=True), Column("queue"), Column("state"), Column("device"), Column("job"), Column("memory", right=True),
    Column("CPUs", right=True), Column("host"),
)  # fmt: skip


@click.command("workers")
@json_option
@pass_session
def workers(session: Session) -> None:
    """Lists the live workers, with the job that each works on."""
    with session.client() as client:
        found = client.workers.list()
    session.terminal.emit(Items(data=list(found)))
    rows = [[w.name, w.queue, w.state, w.device, w.job or "", size(w.memory_bytes), str(w.cpus), w.host] for w in found]
    session.terminal.table(_COLUMNS, rows)
    if not found:
        session.terminal.note("there is no worker: `epochline worker` starts one")


def _handed_over(name: str, module: str, text: str) -> click.Command:
    """A command whose options, and whose help, are those of ``python -m module``."""

    @click.command(name, help=text, context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(arguments: tuple[str, ...]) -> None:
        os.execve(
            sys.executable, [sys.executable, "-P", "-m", module, *arguments], {**os.environ, "EPOCHLINE_COMMAND": f"epochline {name}"}
        )

    return command


processes = (
    _handed_over("serve", "server", "Serves the REST API and the page, with embedded store and workers."),
    _handed_over("worker", "worker", "Takes jobs from a queue and trains them."),
    _handed_over("keys", "server.keys", "Makes, lists and revokes API keys."),
)
