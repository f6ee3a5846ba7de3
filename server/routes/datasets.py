"""Datasets: upload, list, look at, delete."""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParameter
from starlette.concurrency import run_in_threadpool

from engine.data import Options, open_source
from engine.data.preview import preview
from server.dependencies import After, Change, DatasetId, Held, Limit, Services, WithLabels
from server.examples import UPDATE
from server.models import DatasetInfo, Page, page
from server.openapi import json_request
from server.problems import ProblemError, documented, not_found
from server.uploads import Upload, refuse_wrapped
from server.views import dataset_info
from worker import datasets, dispatch, keys, listing
from worker.jobs import now_ms
from worker.records import Dataset, DatasetState

router = APIRouter(prefix="/v1/datasets", tags=["datasets"], responses=documented(401, 403, 422, 503))
Format = Literal["imagefolder", "npz", "csv", "jsonl", "text", "audio"]
Layout = Literal["class_folders", "split_folders", "labels_file", "index_file", "masks", "table", "text", "plain"]
_BY_SUFFIX: dict[str, Format] = {
    ".zip": "imagefolder", ".npz": "npz", ".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "text",
}  # fmt: skip
_OF_TABLES = ("table", "text", "plain")


def _dataset_id(form: str, content: str, options: Options) -> str:
    """The name of a content (its SHA-256) read in this way."""
    chosen = "".join(f":{k}={v}" for k, v in asdict(options).items() if v is not None)
    return f"ds_{hashlib.sha256(f'{form}:{content}{chosen}'.encode()).hexdigest()[:24]}"


_BINARY = {"schema": {"type": "string", "format": "binary"}}
_UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "description": "The file itself, not a form, with whatever Content-Type.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post(
    "", operation_id="create_dataset", status_code=201, openapi_extra=_UPLOAD_BODY, summary="Upload a dataset",
    responses={**documented(400, 413, 415), 200: {"model": DatasetInfo, "description": "The same content is here already."}},
)  # fmt: skip
async def upload(
    request: Request, response: Response, held: Held, label: WithLabels,
    name: Annotated[str, Query(max_length=200, examples=["digits.zip"], description="The file's name.")] = "",
    format: Annotated[Format | None, Query(description="Left out: by the name's ending (.zip, .npz, .csv, .tsv, .jsonl, .ndjson, .txt).")] = None,
    target: Annotated[str | None, Query(max_length=1000, description="The column of a table to predict; left out: the one named target, label, class or y if there is just one, else the last.")] = None,
    layout: Annotated[Layout | None, Query(description="How an archive is laid out, or what a table is learned from; left out: as it is recognised.")] = None,
    text: Annotated[str | None, Query(max_length=1000, description="The column of a table with the texts; left out: as it is recognised.")] = None,
) -> DatasetInfo:  # fmt: skip
    """Stores the request's body and has a worker validate it. The id follows from the content: the same file again is the same dataset.

    Answers at once, while the state is still `validating`; it becomes `ready` or `rejected`, with a report either way.
    """
    refuse_wrapped(request)
    form = format or _BY_SUFFIX.get(Path(name).suffix.lower())
    if form is None:
        raise ProblemError(
            422,
            f"the format is missing: expected ?format= as one of {', '.join(get_args(Format))}, or a ?name= that ends in {', '.join(_BY_SUFFIX)}",
        )
    if layout is not None and (layout in _OF_TABLES) is not (form in ("csv", "jsonl")):
        kind = "tables" if layout in _OF_TABLES else "archives of images, recordings or texts"
        raise ProblemError(422, f"layout={layout} is for {kind}, but the format is {form}: leave it out, or give another format")
    body = Upload(held.deployment.data / "uploads")
    content = await body.receive(request)
    if body.size == 0:
        body.discard()
        raise ProblemError(422, "the upload is empty: send the file as the request's body, with curl --data-binary @FILE")
    options, created = Options(layout, target, text), now_ms()
    dataset = Dataset(
        id=_dataset_id(form, content, options), name=re.sub(r"[\x00-\x1f]", "", name), labels=label, format=form, size_bytes=body.size,
        created_ms=created, touched_ms=created, state=DatasetState.VALIDATING, options=options,
    )  # fmt: skip
    if not await run_in_threadpool(dispatch.register_upload, held.redis, held.deployment, body.path, dataset):
        response.status_code = 200
    response.headers["Location"] = f"/v1/datasets/{dataset.id}"
    return dataset_info(await run_in_threadpool(find, held, dataset.id))


def find(held: Services, dataset_id: str) -> Dataset:
    """The record of a dataset. Raises ProblemError 404."""
    dataset = datasets.get(held.redis, dataset_id) if keys.is_id(dataset_id) else None
    if dataset is None:
        raise not_found("dataset", dataset_id)
    return dataset


@router.get("", operation_id="list_datasets", summary="List datasets, newest first")
def listed(
    held: Held, label: WithLabels,
    state: Annotated[DatasetState | None, Query(description="Only those in this state.")] = None,
    name: Annotated[str | None, Query(max_length=200, description="A part of the name; case does not matter.")] = None,
    after: After = None,
    limit: Limit = 20,
) -> Page[DatasetInfo]:  # fmt: skip
    """Newest first."""
    rows = listing.datasets(held.redis, listing.DatasetQuery(state, name, label), after, limit)
    return page([dataset_info(d) for d in rows.records], rows.has_more)


@router.get("/{dataset_id}", operation_id="get_dataset", responses=documented(404), summary="A dataset's state and report")
def one(held: Held, dataset_id: DatasetId) -> DatasetInfo:
    """A dataset, with the report of its validation."""
    return dataset_info(find(held, dataset_id))


_SAMPLE = {
    "type": "object", "required": ["index", "y"],
    "properties": {"index": {"type": "integer"}, "x": {"description": "Numbers, nested as the array is."}, "text": {"type": "string", "description": "Of texts, in place of x."}, "y": {"description": "The target."}},
}  # fmt: skip


@router.get(
    "/{dataset_id}/samples/{index}", operation_id="get_sample", summary="A sample: an image as PNG, a recording as WAV, another as JSON", responses={
        **documented(404, 409), 200: {"content": {"image/png": _BINARY, "audio/wav": _BINARY, "application/json": {"schema": _SAMPLE}}},
    },
)  # fmt: skip
def sample(
    held: Held,
    dataset_id: DatasetId,
    index: Annotated[int, PathParameter(ge=0, le=1 << 53, description="The number of the sample, from 0.")],
) -> Response:
    """As it is stored, before transforms; `index` is the `id` that reports give. Of a table: its features as training sees them."""
    dataset = find(held, dataset_id)
    if dataset.state != DatasetState.READY:
        raise ProblemError(409, f"the dataset is {dataset.state}")
    try:
        source = open_source(held.deployment.dataset(dataset.id) / datasets.PREPARED)
    except FileNotFoundError:
        raise ProblemError(409, f"the files of dataset {dataset_id} are not on this server's storage") from None
    if index >= len(source):
        raise not_found(f"sample of {dataset_id}", str(index))
    content, media_type = preview(source, index)
    return Response(content, media_type=media_type)


@router.patch(
    "/{dataset_id}",
    operation_id="update_dataset",
    responses=documented(400, 404, 413, 415),
    openapi_extra=json_request("Update", UPDATE),
    summary="Rename a dataset, or label it",
)
def update(held: Held, dataset_id: DatasetId, change: Change) -> DatasetInfo:
    """What is left out stays; labels are replaced as a whole."""
    datasets.update(held.redis, find(held, dataset_id), change.name, change.labels)
    return dataset_info(find(held, dataset_id))


@router.delete(
    "/{dataset_id}", operation_id="delete_dataset", status_code=204, responses=documented(404), summary="Delete a dataset and its files"
)
def delete(held: Held, dataset_id: DatasetId) -> None:
    """Jobs that have begun go on without it; jobs that still wait fail, and say why."""
    datasets.delete(held.redis, held.deployment, find(held, dataset_id))
