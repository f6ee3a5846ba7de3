"""The client: a server's datasets, jobs, models, weights, specs and workers."""

from __future__ import annotations

import httpx

from client.aio.datasets import AsyncDatasets
from client.aio.finished import predict
from client.aio.jobs import AsyncJobs
from client.aio.models import AsyncModels
from client.aio.specs import AsyncSpecs
from client.aio.transport import AsyncTransport
from client.aio.weights import AsyncWeights
from client.aio.workers import AsyncWorkers
from client.samples import Samples
from server.models import Predictions


class AsyncClient:
    """A connection to a server.

    Args:
        server: Its address; by default that of ``EPOCHLINE_SERVER``, else ``http://127.0.0.1:8000``.
        key: An API key, where the server asks for one; by default that of ``EPOCHLINE_KEY``.
        timeout_s: How long a single request may take to be answered.
        patience_s: How long a request is sent again while the server cannot be reached (of a server that has never answered, 2 s).
        transport: Of httpx, in place of the network.

    Requests may get lost and be sent again: they do once what they do. Errors: :class:`ApiError`, :class:`Unreachable`.

    Example::

        async with AsyncClient() as client:
            dataset = await client.datasets.upload("digits.zip")
            job = await client.jobs.create(spec, dataset)
            async for event in job.stream():
                print(event)
            model = await job.model()
    """

    datasets: AsyncDatasets
    jobs: AsyncJobs
    models: AsyncModels
    weights: AsyncWeights
    specs: AsyncSpecs
    workers: AsyncWorkers

    def __init__(
        self, server: str | None = None, key: str | None = None, *, timeout_s: float = 30.0, patience_s: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:  # fmt: skip
        self._transport = AsyncTransport(server, key, timeout_s, patience_s, transport)
        self.datasets = AsyncDatasets(self._transport)
        self.jobs = AsyncJobs(self._transport, self.datasets)
        self.models = AsyncModels(self._transport)
        self.weights = AsyncWeights(self._transport)
        self.specs = AsyncSpecs(self._transport, self.datasets)
        self.workers = AsyncWorkers(self._transport)

    @property
    def server(self) -> str:
        """The server's address."""
        return self._transport.server

    async def predict(self, model: str, samples: Samples, step: int | str = "best", explain: bool = False) -> Predictions:
        """What a model says of samples: a job's by its id, or ``NAME``, ``NAME@ALIAS``, ``NAME@NUMBER``; with the step that answered.

        Arguments and errors as of :meth:`AsyncJob.predict`; ``step`` is of a job only.
        """
        return await predict(self._transport, model, samples, step, explain)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._transport.close()


__all__ = ["AsyncClient"]
