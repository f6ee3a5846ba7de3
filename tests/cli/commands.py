"""Runs ``epochline`` commands as real processes, quickly: each is forked from one that has imported everything already."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
EPOCHLINE = str(Path(sys.executable).with_name("epochline"))
PLAIN = {"EPOCHLINE_SERVER", "EPOCHLINE_KEY", "COLUMNS", "NO_COLOR", "TERM", "PYTHONIOENCODING"}


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document on standard output."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The documents on standard output, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]


class Commands:
    """Starts commands. ``python -m tests.cli.commands`` is the process that they are forked from."""

    def __init__(self) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.commands"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    def close(self) -> None:
        self._parent.communicate(timeout=30)

    def start(self, arguments: list[str], out: Path, err: Path, cwd: Path, environment: dict[str, str]) -> int:
        """The process id of a command that has begun."""
        assert self._parent.stdin is not None and self._parent.stdout is not None
        request = {"arguments": arguments, "out": str(out), "err": str(err), "cwd": str(cwd), "environment": environment}
        print(json.dumps(request), file=self._parent.stdin, flush=True)
        return int(self._parent.stdout.readline())

    def wait(self) -> int:
        """The exit code of the command that was started last."""
        assert self._parent.stdin is not None and self._parent.stdout is not None
        print("", file=self._parent.stdin, flush=True)
        return int(self._parent.stdout.readline())

    def run(self, *arguments: str, cwd: Path = ROOT, interrupt_when: Any = None, **environment: str) -> Done:
        """A command from its start to its end. ``interrupt_when(out, err)``: Ctrl-C once that is true."""
        with tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder) / "out", Path(folder) / "err"
            pid = self.start(list(arguments), out, err, cwd, environment)
            if interrupt_when is not None:
                from tests.service.deployment import wait_for

                wait_for(lambda: interrupt_when(out.read_text(), err.read_text()), what=" ".join(arguments))
                os.kill(pid, signal.SIGINT)
            code = self.wait()
            return Done(code, out.read_text(), err.read_text())


def _serve() -> None:
    """Reads requests, forks a process for each, and waits for it where that is asked."""
    from client.cli import main

    pid = 0
    for line in sys.stdin:
        if not line.strip():
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
            continue
        request = json.loads(line)
        for name in ("out", "err"):
            Path(request[name]).touch()
        pid = os.fork()
        if pid == 0:
            _become(request)
            main(request["arguments"], prog_name="epochline")
        print(pid, flush=True)


def _become(request: dict[str, Any]) -> None:
    for name in PLAIN:
        os.environ.pop(name, None)
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(request[name], os.O_WRONLY | os.O_APPEND), number)
    signal.signal(signal.SIGINT, signal.default_int_handler)


if __name__ == "__main__":
    _serve()
