"""Who may speak to a server without API keys: programs and pages of this machine, not pages of the web in its browser."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from server import problems

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class SameMachine:
    """Refuses a name that only resolves to this machine (DNS rebinding) and requests that another site's page makes."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = _fault(Request(scope)) if scope["type"] == "http" else None
        await (self.app if fault is None else problems.response(403, fault))(scope, receive, send)


def same_site(request: Request) -> bool:
    """Whether a request is not one that another site's page makes, with a cookie of ours."""
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.url.netloc


def _fault(request: Request) -> str | None:
    if request.url.hostname not in _LOOPBACK:
        return f"without API keys the server answers to {', '.join(_LOOPBACK)} only, not to {request.url.hostname!r}"
    if not same_site(request):
        return f"a page of {request.headers['origin']!r:.100} may not use this server"
    return None
