"""Errors as RFC 9457 problems: ``application/problem+json``, with every fault at its JSON pointer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.spec import Problem as SpecProblem
from engine.spec import SpecError
from server.models import Fault, Problem
from worker.logs import logger

MEDIA_TYPE = "application/problem+json"
_log = logger("server")


class ProblemError(Exception):
    """Answers a request with a problem."""

    def __init__(self, status: int, detail: str, errors: Sequence[Fault] = (), headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors, self.headers = status, detail, errors, headers


def not_found(what: str, name: str) -> ProblemError:
    """There is no such thing."""
    return ProblemError(404, f"there is no {what} {name!r:.100}")


_WHEN = {
    400: "The body cannot be read.",
    401: "The API key is missing or unknown.",
    403: "Without API keys the server answers to this machine only.",
    404: "There is no such thing.",
    409: "The state does not allow it now.",
    413: "The body is too large, or the disk is full.",
    415: "The body is of another kind, or wrapped in something.",
    422: "Something in the request is wrong; `errors` says what and where.",
    503: "Redis is unreachable; nothing was changed.",
}


Responses = dict[int | str, dict[str, Any]]
"""What a route may answer with, as FastAPI takes it: parts of an OpenAPI document."""


def documented(*statuses: int) -> Responses:
    """The problems that a route may answer with, for the API's document."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {s: {"description": _WHEN[s], "content": content} for s in statuses}


def response(status: int, detail: str, errors: Sequence[Fault] = (), headers: Mapping[str, str] | None = None) -> Response:
    """A problem as a response."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=list(errors), request_id=request_id)
    return Response(problem.model_dump_json(exclude_defaults=False, exclude_none=True), status, headers, media_type=MEDIA_TYPE)


def _of_request(error: RequestValidationError) -> Response:
    faults = [
        Fault(pointer="/" + "/".join(str(p) for p in e["loc"]), code=e["type"], detail=e["msg"], got=_plain(e.get("input")))
        for e in error.errors()
    ]
    return response(422, "; ".join(f"{f.pointer[1:]}: {f.detail}" for f in faults), faults)


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else str(value)[:200]


def _of_spec(problems: Sequence[SpecProblem]) -> Response:
    n = len(problems)
    faults = [Fault(pointer=p.pointer, code=p.code, detail=p.detail, expected=_json(p.expected), got=_json(p.got)) for p in problems]
    return response(422, f"the spec has {n} problem{'s' if n > 1 else ''}: {problems[0]}", faults)


def _json(value: Any, levels: int = 8) -> Any:
    """What a problem was given or expected, as JSON has it; of what is nested deeper, the beginning of its text."""
    if isinstance(value, dict) and levels:
        return {str(k): _json(v, levels - 1) for k, v in value.items()}
    return [_json(v, levels - 1) for v in value] if isinstance(value, list | tuple) and levels else _plain(value)


def _not_allowed(request: Request) -> Response:
    """A path has several routes: each knows its own method alone, the API's document all."""
    path = request.app.openapi()["paths"].get(getattr(request.scope.get("route"), "path_format", ""), {"get": None})
    allowed = ", ".join(sorted(method.upper() for method in path))
    return response(405, f"{request.method:.20} is not possible here: expected {allowed}", headers={"Allow": allowed})


class Unforeseen:
    """Answers with a problem where something fails that nobody foresaw, and logs it once, with the request's id."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = False

        async def noted(message: Message) -> None:
            nonlocal began
            began = True
            await send(message)

        try:
            await self.app(scope, receive, noted if scope["type"] == "http" else send)
        except Exception:
            if scope["type"] != "http":
                raise
            _log.exception("a request failed", method=scope["method"], path=scope["path"])
            if not began:  # else the connection ends without the rest, which tells the client
                await response(500, "an internal error; the server's log has it")(scope, receive, send)


def install(app: FastAPI) -> None:
    """Makes every error of the application a problem."""
    app.add_middleware(Unforeseen)

    @app.exception_handler(ProblemError)
    async def problem(request: Request, error: ProblemError) -> Response:
        return response(error.status, error.detail, error.errors, error.headers)

    @app.exception_handler(SpecError)
    async def spec(request: Request, error: SpecError) -> Response:
        return _of_spec(error.problems)

    @app.exception_handler(RequestValidationError)
    async def validation(request: Request, error: RequestValidationError) -> Response:
        return _of_request(error)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        if error.status_code == 405:
            return _not_allowed(request)
        return response(error.status_code, str(error.detail), headers=error.headers)

    @app.exception_handler(RedisError)
    async def unreachable(request: Request, error: RedisError) -> Response:
        _log.warning("Redis is unreachable", error=str(error))
        return response(503, "Redis cannot be reached at the moment; nothing was changed", headers={"Retry-After": "2"})
