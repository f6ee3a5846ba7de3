"""The API's document: every operation with what it really answers."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from server.models import Problem
from server.problems import MEDIA_TYPE

_REF = "#/components/schemas/{model}"
_NOT_OURS = ("HTTPValidationError", "ValidationError")
"""Schemas of FastAPI's own errors, which this server never answers with."""
_SPEC = {
    "type": "object",
    "title": "JobSpec",
    "description": "What to train, on what, and how. `GET /v1/schema` is its JSON Schema, generated from the engine.",
    "properties": {"name": {"type": "string"}, "model": {}, "loss": {"type": "object"}, "optimizer": {"type": "object"}, "data": {"type": "object"}},
    "required": ["model", "loss", "optimizer", "data"],
}  # fmt: skip


def install(app: FastAPI) -> None:
    """Has ``app`` make its document here."""

    def document() -> Any:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way


def _document(app: FastAPI) -> Any:
    found = get_openapi(
        title=app.title, version=app.version, summary=app.summary, description=app.description, routes=app.routes, tags=app.openapi_tags
    )
    schemas = found["components"]["schemas"]
    for name in _NOT_OURS:
        schemas.pop(name, None)
    _, problem = models_json_schema([(Problem, "serialization")], ref_template=_REF)
    schemas.update(problem["$defs"])
    schemas["JobSpec"] = _SPEC
    for path in found["paths"].values():
        for operation in path.values():
            _only_problems(operation["responses"])
    return found


def _only_problems(responses: Any) -> None:
    """Errors are problems and nothing else: FastAPI adds its own 422 and a JSON body to each."""
    for status, answer in responses.items():
        if status >= "400":
            answer["content"] = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}}
