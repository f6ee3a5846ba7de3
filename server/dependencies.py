"""What routes are given: the services of this process, the owner of the API key, the body."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import structlog
from fastapi import Depends, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import Field, ValidationError

from server import session
from server.hub import Hubs
from server.models import Model, Update
from server.origin import same_site
from server.predictions import Predictors
from server.problems import ProblemError
from worker import keys
from worker.deployment import Deployment, Redis
from worker.records import Labels, Spec

MAX_JSON_BYTES = 1 << 20
JSON = "application/json"
_bearer = HTTPBearer(auto_error=False, description="An API key, made by `epochline keys create NAME`.")


@dataclass
class Services:
    """What one server process holds; made when it starts."""

    deployment: Deployment
    redis: Redis
    hubs: Hubs
    predictors: Predictors
    auth: bool


def services(request: Request) -> Services:
    """The services of the application that a request came to."""
    found: Services = request.app.state.services
    return found


def api_key_owner(
    request: Request, held: Annotated[Services, Depends(services)], sent: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> str:
    """The name of the API key in ``Authorization: Bearer``, or of the one that the page's session was begun with; empty where keys are off."""
    if not held.auth:
        return ""
    token = request.cookies.get(session.COOKIE)
    if sent is not None:
        owner = session.owner_of_key(held.redis, keys.digest(sent.credentials.strip()))
    else:
        owner = session.owner(held.redis, token) if token and same_site(request) else None
    if owner is None:
        raise ProblemError(
            401,
            "a valid API key is needed: send 'Authorization: Bearer KEY' (made by 'epochline keys create NAME')",
            headers={"WWW-Authenticate": "Bearer"},
        )
    structlog.contextvars.bind_contextvars(key=owner)
    request.state.owner = owner
    return owner


async def known_query(request: Request) -> None:
    """Refuses query parameters that the API's document does not have, and those given twice: a filter with a typing error would let all pass."""
    route = request.scope.get("route")
    if not request.url.query or not isinstance(route, APIRoute) or not route.include_in_schema:
        return
    operation = request.app.openapi()["paths"][route.path_format][request.method.lower()]
    known = {p["name"]: p["schema"].get("type") for p in operation.get("parameters", []) if p["in"] == "query"}
    given = Counter(name for name, _ in request.query_params.multi_items())
    faults = [_fault(n, "unknown_parameter", f"expected {' or '.join(known) or 'no parameter'}") for n in given if n not in known]
    faults += [_fault(n, "repeated_parameter", "expected it once") for n, kind in known.items() if given[n] > 1 and kind != "array"]
    if faults:
        raise RequestValidationError(faults)


def _fault(name: str, code: str, message: str) -> Mapping[str, Any]:
    return {"type": code, "loc": ("query", name[:100]), "msg": message, "input": name[:100]}


async def json_body(request: Request) -> Any:
    """The request's body as JSON, of at most 1 MiB; a key may stand once in an object."""
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if kind != JSON and not kind.endswith("+json"):
        raise ProblemError(415, f"expected a body of JSON, got {kind:.60}: send it with 'Content-Type: {JSON}'")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_JSON_BYTES:
            raise ProblemError(413, f"the body may have at most {MAX_JSON_BYTES} bytes")
    try:
        return json.loads(bytes(body), parse_constant=_no_constant, object_pairs_hook=_distinct)
    except json.JSONDecodeError as error:
        raise ProblemError(400, f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ProblemError(400, f"the body is not JSON that can be read: {error}") from None


M = TypeVar("M", bound=Model)


def body_of(kind: type[M]) -> Callable[[Any], M]:
    """What reads the body as a model. FastAPI itself would read one of any size into memory, before it looks at the key."""

    def read(body: Annotated[Any, Depends(json_body)]) -> M:
        try:
            return kind.model_validate(body)
        except ValidationError as error:
            raise RequestValidationError([{**e, "loc": ("body", *e["loc"])} for e in error.errors()]) from None

    return read


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> Spec:
    found = dict(pairs)
    if len(found) != len(pairs):
        name = next(k for k, n in Counter(k for k, _ in pairs).items() if n > 1)
        raise ValueError(f"the key {name!r:.100} stands twice in one object")
    return found


_LabelText = Annotated[str, Field(pattern=r"^[^=,\x00-\x1f\x7f]{1,63}=[^\x00-\x1f\x7f]{0,256}$")]


def labels(
    label: Annotated[list[_LabelText], Query(default_factory=list, description="`NAME=VALUE`; may be given several times.")],
) -> Labels:
    """Labels in the query: to filter by, or those of something new."""
    return dict(text.split("=", 1) for text in label)


Held = Annotated[Services, Depends(services)]
Owner = Annotated[str, Depends(api_key_owner)]
Limit = Annotated[int, Query(ge=1, le=100, description="The largest number of rows to answer with.")]
After = Annotated[str | None, Query(max_length=100, description="The id behind which the page begins.")]
JobId = Annotated[str, Path(description="A job's id.", examples=["job_0123456789abcdef0123"])]
DatasetId = Annotated[str, Path(description="A dataset's id.", examples=["ds_0123456789abcdef01234567"])]
Body = Annotated[Any, Depends(json_body)]
Change = Annotated[Update, Depends(body_of(Update))]
WithLabels = Annotated[Labels, Depends(labels)]
