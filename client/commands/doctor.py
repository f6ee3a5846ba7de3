"""``epochline doctor``: whether this installation works, and what could be better."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from client import ApiError, EpochlineError
from client.commands.options import PATH, json_option
from client.commands.session import Session, pass_session
from client.documents import Diagnosis, Finding

_TIMEOUT_S = 120
_MARKS = {"ok": "ok", "note": "-", "warning": "warning", "error": "ERROR"}


def _machine(data: Path) -> Iterator[Finding]:
    """What a process of the service finds on this machine. A process of its own: a broken driver ends only that one."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "worker.doctor", "--data", str(data)], capture_output=True, text=True, timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        yield Finding(name="machine", status="error", detail=f"no answer within {_TIMEOUT_S} s")
        return
    for line in done.stdout.splitlines():
        name, status, detail = json.loads(line)
        yield Finding(name=name, status=status, detail=detail)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        yield Finding(name="machine", status="error", detail=f"the examination ended with code {done.returncode}: {last}")


def _server(session: Session) -> Finding:
    """Whether the server answers, and takes the key."""
    try:
        with session.client(timeout_s=10.0, patience_s=0.0) as client:
            workers = client.workers.list()
    except ApiError as error:
        return Finding(name="server", status="error", detail=f"{session.server} answers, but refuses: {error}")
    except (EpochlineError, ValueError) as error:
        return Finding(name="server", status="note", detail=f"{error} (nothing but `train` and `check` works without one)")
    queues = ", ".join(sorted({w.queue for w in workers})) or "none, so that no job begins"
    key = "the key is valid" if session.key else "no key is needed"
    return Finding(name="server", status="ok" if workers else "warning", detail=f"{session.server} answers; {key}; workers: {queues}")


@click.command("doctor")
@click.option(
    "--data", type=PATH, default=Path("data"), envvar="EPOCHLINE_DATA", show_default=True, help="The data folder of `epochline serve`."
)
@json_option
@pass_session
def doctor(session: Session, data: Path) -> None:
    """Checks this installation: compiled kernels, store, disk, GPU, server and key. Exit code 1 if something does not work."""
    with session.terminal.progress("looking at this machine"):
        found = [*_machine(data), _server(session)]
    ok = all(f.status != "error" for f in found)
    session.terminal.emit(Diagnosis(ok=ok, findings=found))
    width = max(len(f.name) for f in found)
    session.terminal.say(*(f"{_MARKS[f.status]:<8}{f.name:<{width}}  {f.detail}" for f in found))
    if not ok:
        raise SystemExit(1)
