"""Trying a finished model: an image, several, a zip, rows of a table, arrays."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from server.dependencies import Held, JobId
from server.models import Prediction, Predictions
from server.problems import ProblemError, documented
from server.routes.results import model_file

router = APIRouter(prefix="/v1", tags=["predictions"], responses=documented(401, 403, 404, 422, 503))
MAX_BYTES = 64 << 20
MAX_SAMPLES = 1_000
Samples = list[tuple[str | None, Any]]
"""Each with its name, where it has one: files as bytes, the rest as JSON has it."""

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_BODY = {
    "requestBody": {
        "required": True,
        "description": "An image; a form with several files; a zip of images; rows as CSV; or JSON with `inputs`: a list of rows (objects by column) or arrays.",
        "content": {
            "application/octet-stream": _BINARY,
            "image/png": _BINARY,
            "image/jpeg": _BINARY,
            "application/zip": _BINARY,
            "text/csv": {"schema": {"type": "string"}},
            "multipart/form-data": {"schema": {"type": "object", "additionalProperties": {"type": "string", "format": "binary"}}},
            "application/json": {
                "schema": {"type": "object", "required": ["inputs"], "properties": {"inputs": {"type": "array", "items": {}, "minItems": 1, "maxItems": MAX_SAMPLES}}},
                "example": {"inputs": [{"sepal length": 5.1, "petal length": 1.4}]},
            },
        },
    }
}  # fmt: skip


@router.post(
    "/jobs/{job_id}/predict", operation_id="predict", openapi_extra=_BODY, responses=documented(400, 409, 413, 415),
    response_model_exclude_none=True, summary="What a model says of samples",
)  # fmt: skip
async def predict(
    request: Request, held: Held, job_id: JobId,
    step: Annotated[str, Query(max_length=20, description="The checkpoint's number, `latest` or `best`.")] = "best",
    explain: Annotated[Literal["gradients"] | None, Query(description="`gradients`: a heat map beside each answer.")] = None,
) -> Predictions:  # fmt: skip
    """The samples are read as the job's own were: decoded, encoded and transformed for evaluation. The answers are those of its evaluation, bit for bit."""
    number, path = await run_in_threadpool(model_file, held, job_id, step)
    samples = await _samples(request)
    if not samples:
        raise ProblemError(422, "there is no sample in the body")
    if len(samples) > MAX_SAMPLES:
        raise ProblemError(413, f"expected at most {MAX_SAMPLES} samples, got {len(samples)}: evaluate the model on a dataset instead")
    found = await held.predictors.predict(str(path.resolve()), [s for _, s in samples], explain is not None)
    data = [Prediction.model_validate({"name": name, **p}) for (name, _), p in zip(samples, found, strict=True)]
    if len(data) == 1 and data[0].error is not None:
        raise ProblemError(422, data[0].error)
    return Predictions(job=job_id, step=number, data=data)


async def _samples(request: Request) -> Samples:
    kind = request.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _of_form(request)
    body = await _body(request)
    if kind == "application/json":
        return _of_json(body)
    if kind == "text/csv":
        return _of_csv(body)
    if kind in ("application/zip", "application/x-zip-compressed") or (
        kind == "application/octet-stream" and body.startswith(b"PK\x03\x04")
    ):
        return await run_in_threadpool(_of_zip, body)
    if kind.startswith("image/") or kind == "application/octet-stream":
        return [(None, body)] if body else []
    raise ProblemError(415, f"expected an image, a form, a zip, CSV or JSON, got {kind:.60}")


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise ProblemError(413, f"samples may have at most {MAX_BYTES} bytes together")
    return bytes(body)


async def _of_form(request: Request) -> Samples:
    if int(request.headers.get("content-length") or MAX_BYTES + 1) > MAX_BYTES:
        raise ProblemError(413, f"samples may have at most {MAX_BYTES} bytes together, and a form has to say its length")
    async with request.form(max_files=MAX_SAMPLES, max_fields=10) as form:
        return [(f.filename, await f.read()) for _, f in form.multi_items() if isinstance(f, UploadFile)]


def _of_json(body: bytes) -> Samples:
    try:
        given = json.loads(body)
    except ValueError as error:
        raise ProblemError(400, f"the body is not JSON: {error}") from None
    inputs = given.get("inputs") if isinstance(given, dict) else None
    if not isinstance(inputs, list):
        raise ProblemError(422, 'expected an object with a list of samples: {"inputs": [..]}')
    return [(None, sample) for sample in inputs]


def _of_csv(body: bytes) -> Samples:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ProblemError(400, "the CSV is not UTF-8") from None
    return [(None, row) for row in csv.DictReader(io.StringIO(text))]


def _of_zip(body: bytes) -> Samples:
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            entries = [e for e in archive.infolist() if not e.is_dir() and not e.filename.startswith("__MACOSX/")]
            if sum(e.file_size for e in entries) > 4 * MAX_BYTES or len(entries) > MAX_SAMPLES:
                raise ProblemError(413, f"expected at most {MAX_SAMPLES} files and {4 * MAX_BYTES} bytes in the zip")
            return [(e.filename, archive.read(e)) for e in entries]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise ProblemError(422, f"the zip cannot be read: {error}") from None
