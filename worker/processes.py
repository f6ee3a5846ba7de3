"""Child processes that never outlive what started them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from typing import IO, Any

_PR_SET_PDEATHSIG = 1


_PARENT = "EPOCHLINE_PARENT"


def started_by() -> int | None:
    """The process that started this one by ``start``."""
    parent = os.environ.pop(_PARENT, None)
    return int(parent) if parent else None


def die_with_parent(parent: int | None = None) -> None:
    """Killed when the thread that started it ends (PR_SET_PDEATHSIG; Linux, elsewhere it does nothing).

    ``parent`` is the process expected to be the parent: if it is gone already, this process ends here.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if parent is not None and os.getppid() != parent:
            os._exit(1)


def as_child(environment: dict[str, str]) -> dict[str, str]:
    """The environment for a child that is to end with this process: it calls ``die_with_parent(started_by())``."""
    return {**environment, _PARENT: str(os.getpid())}


def start(arguments: list[str], environment: dict[str, str], stdin: int | IO[Any] | None = None) -> subprocess.Popen[bytes]:
    """A Python child, ``python -P -m ...``, in a session of its own so that Ctrl-C at the terminal reaches only its parent.

    ``-P``: the current folder is the user's, where a ``server.py`` or ``engine/`` of theirs may lie, and no place to import from.
    """
    return subprocess.Popen([sys.executable, "-P", *arguments], env=as_child(environment), stdin=stdin, start_new_session=True)


def end(process: subprocess.Popen[bytes], grace_s: float = 5.0) -> None:
    """Asks a child to end, and ends it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
