"""What routes are given: the deployment, the store, the caller."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request

from server.hub import Hubs
from server.problems import ProblemError
from worker import keys
from worker.connection import Place, Redis

MAX_SPEC_BYTES = 1 << 20


@dataclass
class Services:
    """What one server process holds; made when it starts."""

    place: Place
    redis: Redis
    hubs: Hubs
    auth: bool


def services(request: Request) -> Services:
    return request.app.state.services


def digest(key: str) -> str:
    """What is stored of an API key."""
    return hashlib.sha256(key.encode()).hexdigest()


def caller(request: Request, held: Annotated[Services, Depends(services)]) -> str:
    """The name of the API key in ``Authorization: Bearer``; empty where keys are off."""
    if not held.auth:
        return ""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    found = held.redis.hget(keys.API_KEYS, digest(key.strip())) if scheme.lower() == "bearer" and key else None
    if found is None:
        raise ProblemError(
            401,
            "a valid API key is needed: send 'Authorization: Bearer KEY' (made by 'epochline keys create NAME')",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return str(json.loads(found)["name"])


async def json_body(request: Request) -> Any:
    """The request's body as JSON, of at most 1 MiB."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_SPEC_BYTES:
            raise ProblemError(413, f"a spec may have at most {MAX_SPEC_BYTES} bytes")
    try:
        return json.loads(bytes(body), parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ProblemError(400, f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ProblemError(400, f"the body is not JSON that can be read: {error}") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


Held = Annotated[Services, Depends(services)]
Caller = Annotated[str, Depends(caller)]
Body = Annotated[Any, Depends(json_body)]
