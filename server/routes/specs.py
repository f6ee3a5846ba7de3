"""Specs to begin with: examples of every task, and one made for a dataset."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from engine.data.views import as_read
from engine.recipes import examples, possible_tasks, suggest
from engine.recipes.suggestion import BARE
from engine.spec import Problem, SpecError, check
from server.dependencies import Held, body_of
from server.models import Items, SpecExample, Suggestion, SuggestionRequest
from server.openapi import json_request
from server.problems import documented
from server.routes.jobs import ready_source

router = APIRouter(prefix="/v1/specs", tags=["jobs"], responses=documented(401, 403, 422, 503))


@router.get("/examples", operation_id="list_spec_examples", summary="Specs to begin with")
def listed(held: Held) -> Items[SpecExample]:
    """One for each kind of task."""
    return Items(data=[SpecExample.model_validate(e) for e in examples()])


@router.post(
    "/suggest", operation_id="suggest_spec", responses=documented(400, 409, 413, 415),
    openapi_extra=json_request("SuggestionRequest", {"dataset": "ds_0123456789abcdef01234567"}), summary="A spec made for a dataset",
)  # fmt: skip
def suggestion(held: Held, wanted: Annotated[SuggestionRequest, Depends(body_of(SuggestionRequest))]) -> Suggestion:
    """It passes the check as it is; change it as you like."""
    source = ready_source(held, wanted.dataset, "/dataset")
    tasks = possible_tasks(as_read(source, check(BARE)))
    try:
        spec = suggest(source, wanted.task)
    except ValueError as error:
        raise SpecError([Problem("/task", "does_not_fit", str(error), tasks, wanted.task)]) from None
    spec["data"]["dataset"] = wanted.dataset
    return Suggestion(task=wanted.task or tasks[0], tasks=tasks, spec=spec)
