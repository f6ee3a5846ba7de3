"""Workers and health."""

from __future__ import annotations

from fastapi import APIRouter
from redis.exceptions import RedisError

from server.dependencies import Held, Owner
from server.models import Health, Items, Worker
from server.models import worker as shown
from server.problems import ProblemError, documented
from worker import process

router = APIRouter(tags=["system"], responses=documented(403, 422))


@router.get("/v1/workers", operation_id="list_workers", responses=documented(401, 503), summary="The live workers")
def workers(held: Held, owner: Owner) -> Items[Worker]:
    """Every worker that has been heard of lately."""
    return Items(data=[shown(w) for w in process.live(held.redis)])


@router.get("/healthz", operation_id="get_health", summary="Whether this process is alive")
async def alive() -> Health:
    """Answers as long as the process runs."""
    return Health(status="ok")


@router.get("/readyz", operation_id="get_readiness", responses=documented(503), summary="Whether this process can serve: Redis answers")
def ready(held: Held) -> Health:
    """503 while Redis does not answer."""
    try:
        held.redis.ping()
    except RedisError:
        raise ProblemError(503, "Redis does not answer", headers={"Retry-After": "1"}) from None
    return Health(status="ready")
