"""The output of a run as events of its job: warnings, what the engine logs, tracebacks."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

MAX_LINES = 1_000
"""How many lines a run may log; what comes after is counted."""
MAX_MESSAGE = 4_000


class OutputHandler(logging.Handler):
    """Gives each record of the root logger to ``log(message, level, logger=name)``."""

    def __init__(self, log: Callable[..., None]) -> None:
        super().__init__(logging.INFO)
        self._log, self._lines = log, 0

    def emit(self, record: logging.LogRecord) -> None:
        self._lines += 1
        if self._lines > MAX_LINES or record.name.startswith("epochline."):  # the service's own lines are its operator's
            return
        message = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            message = f"{message}\n{''.join(traceback.format_exception(record.exc_info[1]))}"
        if self._lines == MAX_LINES:
            message = f"{message}\n(this run has logged {MAX_LINES} lines; the rest is left out)"
        self._log(message.strip()[-MAX_MESSAGE:], record.levelname.lower(), logger=record.name)


def capture(log: Callable[..., None]) -> OutputHandler:
    """Has the root logger and Python's warnings speak through ``log``."""
    logging.captureWarnings(True)
    for name in ("py.warnings", "engine"):
        logging.getLogger(name).setLevel(logging.INFO)
    handler = OutputHandler(log)
    logging.getLogger().addHandler(handler)
    return handler
