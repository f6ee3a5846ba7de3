"""One log line for each request, with what it was about: job, dataset, API key, request id."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import MutableMapping
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.logs import logger

_SUBJECT = re.compile(r"/v1/(?:jobs/(?P<job>job_\w+)|datasets/(?P<dataset>ds_\w+))")
_GIVEN = re.compile(rb"[\w.-]{1,64}")
_log = logger("access")


class AccessLog:
    """Gives each request an id (the one in ``X-Request-ID``, where there is one), sends it back, and logs the request when it is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status, request_id = time.monotonic(), 500, _request_id(scope)
        subject = _SUBJECT.match(scope["path"])
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(
            request_id=request_id, **{k: v for k, v in (subject.groupdict() if subject else {}).items() if v}
        )

        async def logged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self.app(scope, receive, logged)
        finally:
            key = _owner(scope)
            line = _log.info if scope["path"].startswith("/v1/") else _log.debug  # probes and parts of the page would drown the rest
            line(
                "request", method=scope["method"], path=scope["path"], status=status, duration_ms=round((time.monotonic() - began) * 1000, 1),
                **({"key": key} if key else {}),
            )  # fmt: skip


def _request_id(scope: Scope) -> str:
    given = next((v for k, v in scope["headers"] if k == b"x-request-id"), b"")
    return given.decode() if _GIVEN.fullmatch(given) else secrets.token_hex(8)


def _owner(scope: MutableMapping[str, Any]) -> str | None:
    """The name of the API key, which a route has found out in a context of its own."""
    found = scope.get("state", {}).get("owner")
    return None if found is None else str(found)
