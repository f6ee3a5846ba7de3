"""A side in a process of its own, which answers a line of JSON for each line it is told, and stands still in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Sequence
from typing import Any


class Process:
    """It is stopped between its turns: threads of others that still spin would count against whoever is next."""

    def __init__(self, side: str, command: Sequence[str], environment: dict[str, str]) -> None:
        self.side = side
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment},
            start_new_session=True,
        )  # fmt: skip
        self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None and self.process.stderr is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.side} ended:\n{self.process.stderr.read()[-2000:]}")
        return json.loads(line)

    def ask(self, command: str) -> Any:
        """The answer to a command. Raises RuntimeError with the last of its errors if the process ended."""
        assert self.process.stdin is not None
        os.killpg(self.process.pid, signal.SIGCONT)
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer = self._answer()
        os.killpg(self.process.pid, signal.SIGSTOP)
        return answer

    def close(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)  # compilers that it started, too
        self.process.communicate()


def limited(threads: int) -> dict[str, str]:
    """The environment in which numerical libraries use so many threads."""
    return dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
