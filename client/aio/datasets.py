"""``client.datasets``: upload, look at, change and delete datasets."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Literal

from client.aio.paging import pages
from client.aio.runtime import Stream, in_thread, sleep
from client.aio.transport import AsyncTransport
from client.call import Call, Progress, Upload, pairs
from client.content import Source, content
from client.errors import DatasetRejected
from client.patience import Patience
from server.models import DatasetInfo, DatasetState, JsonObject, Labels, Page, Update

Format = Literal["imagefolder", "npz", "csv", "jsonl", "text", "audio"]
Layout = Literal["class_folders", "split_folders", "labels_file", "index_file", "masks", "table", "text", "plain"]


class AsyncDatasets:
    """The datasets of a server."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def upload(
        self, source: Source, name: str | None = None, format: Format | None = None, target: str | None = None,
        layout: Layout | None = None, text: str | None = None, labels: Labels | None = None, progress: Progress | None = None,
    ) -> DatasetInfo:  # fmt: skip
        """Uploads a dataset; the server begins to validate it (see :meth:`wait_ready`).

        The id follows from the content: the same content again, read in the same way, is the same dataset.

        Args:
            source: The path of a ``.zip``, ``.npz``, ``.csv`` or ``.tsv`` file or of a folder of image folders; the bytes of a file;
                arrays, as ``{"x": x, "y": y}`` or ``(x, y)``, of shapes ``(N, ...)`` and ``(N,)`` or ``(N, K)``, with splits as
                ``{"x_train": .., "y_train": .., "x_val": .., "y_val": .., "x_test": .., "y_test": ..}``; a pandas or Polars DataFrame.
            name: What to call it; by default after the file or the folder.
            format: ``imagefolder``, ``npz`` or ``csv``, where neither the source nor the name's ending says so.
            target: The column of a table to predict; by default the one called target, label, class or y, else the last.
            layout: How an archive is laid out, or what a table is learned from; by default as it is recognised.
            text: The column of a table with the texts; by default as it is recognised.
            labels: Up to 64 characters a name, 256 a value.
            progress: Is called with the bytes that are sent and those there are.

        Raises:
            ValueError: The source is none of these.
            ApiError: The server refused it.
            Unreachable: The server cannot be reached.
        """
        with tempfile.TemporaryDirectory(prefix="epochline-") as folder:
            found = await in_thread(content, source, name, format, Path(folder))
            params = {"name": found.name, "format": found.format, "target": target, "layout": layout, "text": text, "label": pairs(labels)}
            body = Upload(found.size_bytes, found.open, progress)
            return await self._transport.call(DatasetInfo, Call("POST", "/v1/datasets", params, upload=body))

    async def wait_ready(self, dataset_id: str, timeout_s: float = 3600.0) -> DatasetInfo:
        """Waits until a dataset is validated.

        Raises DatasetRejected, with the refused files, if it cannot be trained on; TimeoutError if it is still being validated after
        ``timeout_s`` seconds.
        """
        deadline, patience = time.monotonic() + timeout_s, Patience(timeout_s)
        while True:
            found = await self.get(dataset_id)
            if found.state == DatasetState.READY:
                return found
            if found.state == DatasetState.REJECTED:
                raise DatasetRejected(found)
            pause = patience.pause()
            if pause is None or time.monotonic() > deadline:
                raise TimeoutError(f"the dataset {dataset_id} is still being validated after {timeout_s:g} s")
            await sleep(pause)

    async def get(self, dataset_id: str) -> DatasetInfo:
        """A dataset, with the report of its validation. Raises ApiError 404 if there is none."""
        return await self._transport.call(DatasetInfo, Call("GET", f"/v1/datasets/{dataset_id}"))

    async def sample(self, dataset_id: str, index: int) -> bytes | JsonObject:
        """A sample as it is stored, before transforms: an image as the bytes of a PNG, a recording as those of a WAV, another as an object
        with ``x`` (or ``text``) and ``y``.

        ``index`` counts from 0; it is the ``id`` that reports give. Raises ApiError 404 if there is none.
        """
        answer = await self._transport.send(Call("GET", f"/v1/datasets/{dataset_id}/samples/{index}"))
        if not answer.headers.get("content-type", "").startswith("application/json"):
            return answer.content
        found: JsonObject = answer.json()
        return found

    def list(
        self, state: DatasetState | str | None = None, name: str | None = None, labels: Labels | None = None, limit: int | None = None
    ) -> Stream[DatasetInfo]:
        """Datasets, newest first, read page by page while you iterate.

        Args:
            state: Only those that are ``validating``, ``ready`` or ``rejected``.
            name: Only those with this in their name; case does not matter.
            labels: Only those with all these labels.
            limit: At most so many; by default all.
        """
        params = {"state": state, "name": name, "label": pairs(labels)}
        return pages(self._transport, Page[DatasetInfo], "/v1/datasets", {**params}, limit)

    async def update(self, dataset_id: str, name: str | None = None, labels: Labels | None = None) -> DatasetInfo:
        """Renames a dataset, or replaces its labels; what is None stays."""
        change = Update(name=name, labels=labels).model_dump(exclude_none=True)
        return await self._transport.call(DatasetInfo, Call("PATCH", f"/v1/datasets/{dataset_id}", json=change))

    async def delete(self, dataset_id: str) -> None:
        """Deletes a dataset and its files. Jobs that have begun go on without it; jobs that wait fail."""
        await self._transport.send(Call("DELETE", f"/v1/datasets/{dataset_id}"))


__all__ = ["AsyncDatasets"]
