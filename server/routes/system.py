"""Workers, health, and the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.responses import FileResponse
from redis.exceptions import RedisError

from server.dependencies import Caller, Held
from server.problems import ProblemError
from worker import station

PAGE = Path(__file__).parent.parent / "page"
router = APIRouter(tags=["system"])


@router.get("/v1/workers", summary="The live workers")
def workers(held: Held, caller: Caller) -> dict[str, Any]:
    return {"data": station.live(held.redis)}


@router.get("/healthz", summary="Whether this process is alive")
async def alive() -> dict[str, str]:
    return {"status": "ok"}


@router.get("/readyz", summary="Whether this process can serve: the store answers")
def ready(held: Held) -> dict[str, str]:
    try:
        held.redis.ping()
    except RedisError:
        raise ProblemError(503, "the job store does not answer", headers={"Retry-After": "1"}) from None
    return {"status": "ready"}


@router.get("/", include_in_schema=False)
async def page() -> FileResponse:
    return FileResponse(PAGE / "index.html")
