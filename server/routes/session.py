"""Signing in with an API key, for the page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Cookie, Depends, Request, Response

from server import session
from server.dependencies import Held, Owner, body_of
from server.models import SessionInfo, SignIn
from server.openapi import json_request
from server.problems import ProblemError, documented
from worker import keys

router = APIRouter(prefix="/v1/session", tags=["system"], responses=documented(403, 422, 503))


@router.post(
    "",
    operation_id="sign_in",
    status_code=204,
    responses=documented(400, 401, 413, 415),
    openapi_extra=json_request("SignIn", {"key": "ek_.."}),
    summary="Sign in with an API key",
)
def sign_in(request: Request, response: Response, held: Held, sign_in: Annotated[SignIn, Depends(body_of(SignIn))]) -> None:
    """Sets a cookie that stands for the key for a week, or until it is revoked; for browsers. Programs send the key itself."""
    digest = keys.digest(sign_in.key.strip())
    if held.auth and session.owner_of_key(held.redis, digest) is None:
        raise ProblemError(401, "there is no such API key, or it was revoked", headers={"WWW-Authenticate": "Bearer"})
    response.set_cookie(
        session.COOKIE, session.begin(held.redis, digest), max_age=session.LIFETIME_S, httponly=True, samesite="strict",
        secure=request.url.scheme == "https",
    )  # fmt: skip


@router.get("", operation_id="get_session", responses=documented(401), summary="Who is signed in")
def who(held: Held, owner: Owner) -> SessionInfo:
    """401 where a key is needed and none was given."""
    return SessionInfo(keys=held.auth, owner=owner or None)


@router.delete("", operation_id="sign_out", status_code=204, summary="Sign out")
def sign_out(response: Response, held: Held, epochline_session: Annotated[str | None, Cookie(include_in_schema=False)] = None) -> None:
    """Ends the session; repeatable."""
    if epochline_session is not None:
        session.end(held.redis, epochline_session)
    response.delete_cookie(session.COOKIE, httponly=True, samesite="strict")
