"""Models with names, versions and aliases."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query

from server.dependencies import Held, Limit, body_of
from server.examples import NEW_VERSION
from server.models import Alias, AliasTarget, ModelInfo, ModelName, NewVersion, Page, page
from server.openapi import json_request
from server.problems import documented, not_found
from server.routes.results import model_file
from server.views import model_info
from worker import listing, registry
from worker.records import RegisteredModel

router = APIRouter(prefix="/v1/models", tags=["models"], responses=documented(401, 403, 422, 503))
Name = Annotated[ModelName, Path(description="The model's name.")]
AliasName = Annotated[Alias, Path(description="The alias.")]


@router.post(
    "",
    operation_id="create_model_version",
    status_code=201,
    responses=documented(400, 404, 413, 415),
    openapi_extra=json_request("NewVersion", NEW_VERSION),
    summary="Give a job's model a name",
)
def create(held: Held, new: Annotated[NewVersion, Depends(body_of(NewVersion))]) -> ModelInfo:
    """The next version of the name, a copy that outlives the job. `aliases` name it from now on."""
    step, path = model_file(held, new.job, new.step)
    return model_info(registry.add(held.redis, held.deployment, new.name, new.job, step, path, new.aliases))


@router.get("", operation_id="list_models", summary="List named models, newest first")
def listed(
    held: Held, after: Annotated[str | None, Query(max_length=100, description="The name behind which the page begins.")] = None,
    limit: Limit = 20,
) -> Page[ModelInfo]:  # fmt: skip
    """Newest first."""
    rows = listing.models(held.redis, after, limit)
    return page([model_info(m) for m in rows.records], rows.has_more)


@router.get("/{name}", operation_id="get_model", responses=documented(404), summary="The versions and aliases of a model")
def one(held: Held, name: Name) -> ModelInfo:
    """Oldest version first."""
    return _shown(registry.get(held.redis, name), name)


def _shown(model: RegisteredModel | None, what: str) -> ModelInfo:
    if model is None:
        raise not_found("model", what)
    return model_info(model)


@router.put(
    "/{name}/aliases/{alias}",
    operation_id="set_alias",
    responses=documented(400, 404, 413, 415),
    openapi_extra=json_request("AliasTarget", {"version": 2}),
    summary="Have an alias name a version",
)
def promote(held: Held, name: Name, alias: AliasName, target: Annotated[AliasTarget, Depends(body_of(AliasTarget))]) -> ModelInfo:
    """What it named before is kept, for rolling back."""
    return _shown(registry.point(held.redis, name, alias, target.version), f"{name}@{target.version}")


@router.post(
    "/{name}/aliases/{alias}/rollback",
    operation_id="roll_back_alias",
    responses=documented(404),
    summary="Have an alias name what it named before",
)
def roll_back(held: Held, name: Name, alias: AliasName) -> ModelInfo:
    """404 where it named nothing before."""
    return _shown(registry.roll_back(held.redis, name, alias), f"{name}@{alias} of before")


@router.delete("/{name}/aliases/{alias}", operation_id="delete_alias", responses=documented(404), summary="Take an alias away")
def remove_alias(held: Held, name: Name, alias: AliasName) -> ModelInfo:
    """The versions stay."""
    return _shown(registry.remove_alias(held.redis, name, alias), f"{name}@{alias}")


@router.delete(
    "/{name}", operation_id="delete_model", status_code=204, responses=documented(404), summary="Delete a model with all versions"
)
def delete(held: Held, name: Name) -> None:
    """The jobs whose models they were stay."""
    if not registry.delete(held.redis, held.deployment, name):
        raise not_found("model", name)
