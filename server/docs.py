"""The page and Swagger UI, served by this server alone: no script, style or font comes from elsewhere."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE = Path(__file__).parent / "page"
_POLICY = b"default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_HEADERS = [(b"content-security-policy", _POLICY), (b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
router = APIRouter(include_in_schema=False)


@router.get("/")
async def page() -> FileResponse:
    """The page of the service."""
    return FileResponse(PAGE / "index.html")


@router.get("/docs")
async def swagger() -> FileResponse:
    """Swagger UI on the API's document."""
    return FileResponse(PAGE / "docs.html")


@router.get("/llms.txt")
async def for_language_models(request: Request) -> PlainTextResponse:
    """What an agent needs to know to use this server."""
    return PlainTextResponse((PAGE / "llms.txt").read_text().replace("{server}", str(request.base_url).rstrip("/")))


class SecurityHeaders:
    """Tells browsers to load nothing from elsewhere."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_HEADERS]
            await send(message)

        await self.app(scope, receive, secured if scope["type"] == "http" else send)
