"""The API's document: every operation with what it really answers on this server."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from engine.spec import json_schema
from server.examples import EXAMPLES
from server.models import AliasTarget, Extension, NewVersion, Problem, SignIn, SuggestionRequest, Update
from server.problems import MEDIA_TYPE

TAGS: list[dict[str, str]] = [
    {"name": "datasets", "description": "What jobs train on: uploaded once, validated by a worker."},
    {"name": "jobs", "description": "Specs on their way to a model."},
    {"name": "events", "description": "A job's log, as it grows."},
    {"name": "results", "description": "What a job has brought."},
    {"name": "models", "description": "Models with names, versions and aliases."},
    {"name": "predictions", "description": "What a model says of samples."},
    {"name": "system", "description": "Workers, the schema of specs, health."},
]
_REF = "#/components/schemas/{model}"
_NOT_OURS = ("HTTPValidationError", "ValidationError")
"""Schemas of FastAPI's own errors, which this server never answers with."""
_REQUESTS = (Update, Extension, NewVersion, AliasTarget, SignIn, SuggestionRequest)
"""The bodies that `json_body` reads, of which FastAPI knows nothing."""
_DEEP = ("additionalProperties", "items", "properties", "$ref", "oneOf")


def json_request(schema: str, example: Any) -> Any:
    """The body of an operation that reads it by :func:`server.dependencies.json_body`, as FastAPI's ``openapi_extra``."""
    content = {"application/json": {"schema": {"$ref": _REF.format(model=schema)}, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def install(app: FastAPI, auth: bool) -> None:
    """Has ``app`` make its document here; ``auth`` says whether it requires API keys."""

    def document() -> Any:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, auth)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way


def _document(app: FastAPI, auth: bool) -> Any:
    found = get_openapi(
        title=app.title, version=app.version, summary=app.summary, description=app.description, routes=app.routes, tags=app.openapi_tags
    )
    schemas = found["components"]["schemas"]
    for name in _NOT_OURS:
        schemas.pop(name, None)
    for model, mode in ((Problem, "serialization"), *((m, "validation") for m in _REQUESTS)):
        _, shown = models_json_schema([(model, mode)], ref_template=_REF)  # type: ignore[list-item]  # mypy widens the mode to str
        schemas.update(shown["$defs"])
    schemas["JobSpec"] = _spec()
    for name, example in EXAMPLES.items():
        schemas[name]["examples"] = [example]
    if not auth:
        del found["components"]["securitySchemes"]
    for path in found["paths"].values():
        for operation in path.values():
            _only_what_happens(operation, auth)
    return found


def _spec() -> Any:
    """The schema of specs without what is deeper than its first level: that would be 100,000 characters, and no generator's friend."""
    whole = json_schema()
    return {
        "type": "object", "title": "JobSpec", "required": whole["required"], "additionalProperties": False,
        "description": "What to train, on what, and how. `GET /v1/schema` has all of its JSON Schema.",
        "properties": {name: _shallow(part) for name, part in whole["properties"].items()},
    }  # fmt: skip


def _shallow(schema: Any) -> Any:
    kept = {k: v for k, v in schema.items() if k not in _DEEP}
    if "anyOf" in kept:
        kept["anyOf"] = [_shallow(s) for s in schema["anyOf"]]
    elif "items" in schema:
        kept["items"] = _shallow(schema["items"])
    elif "type" not in kept:
        kept["type"] = "object"
    return kept


def _only_what_happens(operation: Any, auth: bool) -> None:
    """Errors are problems: FastAPI adds its own 422 and a JSON body to each. Keys are asked for, or requests from elsewhere refused. A parameter is
    left out, never null."""
    responses = operation["responses"]
    responses.pop("403" if auth else "401", None)
    if not auth:
        operation.pop("security", None)
    for status, answer in responses.items():
        if status >= "400":
            answer["content"] = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}}
    for parameter in operation.get("parameters", []):
        schema = parameter["schema"]
        if "anyOf" in schema:
            (kind,) = (s for s in schema.pop("anyOf") if s != {"type": "null"})
            parameter["schema"] = schema | kind
