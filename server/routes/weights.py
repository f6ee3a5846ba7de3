"""Weights to start from: safetensors files that were made elsewhere."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from server.dependencies import After, Held, Limit
from server.models import Page, WeightsInfo, page
from server.problems import ProblemError, documented, not_found
from server.uploads import Upload, refuse_wrapped
from server.views import weights_info
from worker import keys, listing, weights

router = APIRouter(prefix="/v1/weights", tags=["models"], responses=documented(401, 403, 422, 503))
_BODY = {
    "requestBody": {
        "required": True,
        "description": "The file itself: safetensors, or PyTorch's .pt or .pth.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "", operation_id="create_weights", status_code=201, openapi_extra=_BODY, summary="Upload weights to start from",
    responses={**documented(400, 413, 415), 200: {"model": WeightsInfo, "description": "The same content is here already."}},
)  # fmt: skip
async def upload(
    request: Request, response: Response, held: Held, name: Annotated[str, Query(max_length=200, examples=["resnet18.safetensors"], description="The file's name.")] = ""
) -> WeightsInfo:  # fmt: skip
    """A safetensors file, or a state dict that PyTorch saved (`.pt`). A spec starts from it by `"init_from": {"weights": ID}`."""
    refuse_wrapped(request)
    body = Upload(held.deployment.data / "uploads")
    digest = await body.receive(request)
    clean = re.sub(r"[\x00-\x1f]", "", name)
    try:
        record, new = await run_in_threadpool(weights.add, held.redis, held.deployment, body.path, digest, clean)
    except ValueError as error:
        raise ProblemError(422, str(error)) from None
    response.status_code = 201 if new else 200
    return weights_info(record)


@router.get("", operation_id="list_weights", summary="List uploaded weights, newest first")
def listed(held: Held, after: After = None, limit: Limit = 20) -> Page[WeightsInfo]:
    """Newest first."""
    rows = listing.weights(held.redis, after, limit)
    return page([weights_info(w) for w in rows.records], rows.has_more)


@router.delete(
    "/{weights_id}", operation_id="delete_weights", status_code=204, responses=documented(404), summary="Delete uploaded weights"
)
def delete(held: Held, weights_id: Annotated[str, Path(description="The id of uploaded weights.")]) -> None:
    """Jobs that started from them keep copies."""
    if not keys.is_id(weights_id) or not weights.delete(held.redis, held.deployment, weights_id):
        raise not_found("file of weights", weights_id)
