"""Errors as RFC 9457 problems: ``application/problem+json``, with every fault at its JSON pointer."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException

from engine.spec import SpecError

_log = logging.getLogger("epochline.server")


class ProblemError(Exception):
    """Answers a request with a problem."""

    def __init__(self, status: int, detail: str, errors: list[dict[str, Any]] | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors, self.headers = status, detail, errors or [], headers


def not_found(what: str, name: str) -> ProblemError:
    return ProblemError(404, f"there is no {what} {name!r:.100}")


def response(status: int, detail: str, errors: list[dict[str, Any]] | None = None, headers: dict[str, str] | None = None) -> JSONResponse:
    body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    if errors:
        body["errors"] = errors
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def _of_request(error: RequestValidationError) -> JSONResponse:
    found = []
    for e in error.errors():
        where = "/".join(str(p) for p in e["loc"])
        found.append({"pointer": f"/{where}", "code": e["type"], "detail": e["msg"], "expected": None, "got": _plain(e.get("input"))})
    return response(422, "; ".join(f"{e['pointer'][1:]}: {e['detail']}" for e in found), found)


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | None) else str(value)[:200]


def install(app: FastAPI) -> None:
    """Makes every error of the application a problem."""

    @app.exception_handler(ProblemError)
    async def problem(request: Request, error: ProblemError) -> JSONResponse:
        return response(error.status, error.detail, error.errors, error.headers)

    @app.exception_handler(SpecError)
    async def spec(request: Request, error: SpecError) -> JSONResponse:
        n = len(error.problems)
        return response(422, f"the spec has {n} problem{'s' if n > 1 else ''}: {error.problems[0]}", [p.as_dict() for p in error.problems])

    @app.exception_handler(RequestValidationError)
    async def validation(request: Request, error: RequestValidationError) -> JSONResponse:
        return _of_request(error)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        return response(error.status_code, str(error.detail), headers=dict(error.headers or {}))

    @app.exception_handler(RedisError)
    async def store(request: Request, error: RedisError) -> JSONResponse:
        _log.warning("the store is away: %s", error)
        return response(503, "the job store cannot be reached at the moment; nothing was changed", headers={"Retry-After": "2"})

    @app.exception_handler(Exception)
    async def other(request: Request, error: Exception) -> JSONResponse:
        _log.exception("%s %s failed", request.method, request.url.path)
        return response(500, "an internal error; the server's log has it")
