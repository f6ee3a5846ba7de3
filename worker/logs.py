"""Log lines with fields, as text for people or as JSON for machines (``EPOCHLINE_LOG_FORMAT=json``)."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import structlog
from structlog.typing import EventDict

FORMAT = "EPOCHLINE_LOG_FORMAT"


def logger(name: str) -> Any:
    """A logger whose lines carry fields, ``log.info("what happened", job="job_1")``; ``name`` says which part speaks."""
    return structlog.stdlib.get_logger(f"epochline.{name}")


def configure(process: str, level: int = logging.INFO) -> None:
    """Sends log lines to standard error; called once by each process, which names itself."""

    def named(_: object, __: str, line: EventDict) -> EventDict:
        return {"process": process, **line}

    shared: list[Any] = [
        named, structlog.contextvars.merge_contextvars, structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True), structlog.processors.StackInfoRenderer(),
    ]  # fmt: skip
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(), wrapper_class=structlog.stdlib.BoundLogger, cache_logger_on_first_use=True,
    )  # fmt: skip
    as_json = os.environ.get(FORMAT) == "json"
    renderer: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(sort_keys=True)]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0, exception_formatter=structlog.dev.plain_traceback)]
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer]
    )
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)  # of libraries
    logging.getLogger("epochline").setLevel(level)
