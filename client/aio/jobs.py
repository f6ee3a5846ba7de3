"""``client.jobs``: check specs, create jobs, and find them."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Literal

from client.aio.datasets import AsyncDatasets
from client.aio.job import AsyncJob
from client.aio.paging import pages
from client.aio.runtime import Stream
from client.aio.transport import AsyncTransport
from client.call import Call, M, on_dataset, pairs, seconds
from client.errors import ApiError
from server.models import CheckResult, DatasetInfo, JobDetail, JobState, JobSummary, Labels, Page, Spec

Sort = Literal["-created", "created", "-finished", "finished"]


class AsyncJobs:
    """The jobs of a server."""

    def __init__(self, transport: AsyncTransport, datasets: AsyncDatasets) -> None:
        self._transport, self._datasets = transport, datasets

    async def check(self, spec: Spec, dataset: str | DatasetInfo | None = None, input: str | None = None) -> CheckResult:
        """Checks a spec without queueing it: with all defaults, the table of layers, memory, and the largest batch.

        Args:
            spec: See ``GET /v1/schema``.
            dataset: In place of the spec's dataset; waited for if it is still being validated.
            input: The shape of a sample, such as ``1x8x8``, to check without a dataset.

        Raises ApiError 422, with every problem at its JSON pointer; DatasetRejected.
        """
        call = Call("POST", "/v1/jobs/validate", {"input": input}, on_dataset(spec, _id(dataset)))
        return await self._with_dataset(CheckResult, call)

    async def create(
        self, spec: Spec, dataset: str | DatasetInfo | None = None, labels: Labels | None = None, wait: bool = False,
        idempotency_key: str | None = None,
    ) -> AsyncJob:  # fmt: skip
        """Checks a spec and queues a job. The request may get lost and be sent again: it makes one job.

        Args:
            spec: See ``GET /v1/schema``.
            dataset: In place of the spec's dataset; waited for if it is still being validated.
            labels: Names and values to find the job by.
            wait: Return when the job has ended (:meth:`Job.wait`).
            idempotency_key: Whoever sends the same key within 24 hours gets the same job; by default a key of this call's own.

        Raises ApiError 422, with every problem at its JSON pointer; DatasetRejected; Unreachable.
        """
        headers = {"Idempotency-Key": idempotency_key or secrets.token_urlsafe(16)}
        call = Call("POST", "/v1/jobs", {"label": pairs(labels)}, on_dataset(spec, _id(dataset)), headers)
        job = AsyncJob(self._transport, await self._with_dataset(JobDetail, call))
        if wait:
            await job.wait()
        return job

    async def _with_dataset(self, kind: type[M], call: Call) -> M:
        """What the server answers once the spec's dataset is validated."""
        try:
            return await self._transport.call(kind, call)
        except ApiError as error:
            if error.status != 409:  # it is still being validated; what else keeps a spec from a dataset is a 422
                raise
            named = (call.json or {})["data"]["dataset"]
            await self._datasets.wait_ready(named)
            return await self._transport.call(kind, call)

    async def get(self, job_id: str) -> AsyncJob:
        """A job. Raises ApiError 404 if there is none."""
        return AsyncJob(self._transport, await self._transport.call(JobDetail, Call("GET", f"/v1/jobs/{job_id}")))

    def list(
        self, state: JobState | str | None = None, dataset: str | DatasetInfo | None = None, name: str | None = None,
        labels: Labels | None = None, created_after: float | datetime | None = None, created_before: float | datetime | None = None,
        sort: Sort = "-created", limit: int | None = None,
    ) -> Stream[JobSummary]:  # fmt: skip
        """Jobs, read page by page while you iterate.

        Args:
            state: Only those in this state.
            dataset: Only those on this dataset.
            name: Only those with this in their name; case does not matter.
            labels: Only those with all these labels.
            created_after: Only those created after this moment, in seconds since 1970 or as a ``datetime``.
            created_before: Only those created before this moment.
            sort: ``created`` or ``finished`` (only those that have ended); with ``-`` the newest first.
            limit: At most so many; by default all.
        """
        params = {
            "state": state, "dataset": _id(dataset), "name": name, "label": pairs(labels), "created_after": seconds(created_after),
            "created_before": seconds(created_before), "sort": sort,
        }  # fmt: skip
        return pages(self._transport, Page[JobSummary], "/v1/jobs", {**params}, limit)


def _id(dataset: str | DatasetInfo | None) -> str | None:
    return dataset.id if isinstance(dataset, DatasetInfo) else dataset


__all__ = ["AsyncJobs"]
