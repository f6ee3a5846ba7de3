"""Workers, the schema of specs, and health."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from redis.exceptions import RedisError

from engine.spec import json_schema
from server.dependencies import Held, api_key_owner
from server.models import Health, Items, Worker
from server.problems import ProblemError, documented
from server.views import worker as shown
from worker import process
from worker.records import JsonObject

router = APIRouter(tags=["system"], responses=documented(403, 422))


@router.get(
    "/v1/workers", operation_id="list_workers", responses=documented(401, 503), dependencies=[Depends(api_key_owner)],
    summary="The live workers",
)  # fmt: skip
def workers(held: Held) -> Items[Worker]:
    """Every worker that has been heard of lately."""
    return Items(data=[shown(w) for w in process.live(held.redis)])


@router.get("/v1/schema", operation_id="get_schema", summary="JSON Schema of the spec")
def schema() -> JsonObject:
    """What a spec may have, generated from the engine's signatures. It is the same for everybody: no key is needed."""
    found: JsonObject = json_schema()
    return found


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
