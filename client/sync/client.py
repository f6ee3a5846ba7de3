# Made from client/aio/client.py by scripts/build_sync.py: change that, and run it.
"""The client: a server's datasets, jobs, models, weights, specs and workers."""

from __future__ import annotations

import httpx

from client.sync.datasets import Datasets
from client.sync.finished import predict
from client.sync.jobs import Jobs
from client.sync.models import Models
from client.sync.specs import Specs
from client.sync.transport import Transport
from client.sync.weights import Weights
from client.sync.workers import Workers
from client.samples import Samples
from server.models import Predictions


class Client:
    """A connection to a server.

    Args:
        server: Its address; by default that of ``EPOCHLINE_SERVER``, else ``http://127.0.0.1:8000``.
        key: An API key, where the server asks for one; by default that of ``EPOCHLINE_KEY``.
        timeout_s: How long a single request may take to be answered.
        patience_s: How long a request is sent again while the server cannot be reached (of a server that has never answered, 2 s).
        transport: Of httpx, in place of the network.

    Requests may get lost and be sent again: they do once what they do. Errors: :class:`ApiError`, :class:`Unreachable`.

    Example::

        with Client() as client:
            dataset = client.datasets.upload("digits.zip")
            job = client.jobs.create(spec, dataset)
            for event in job.stream():
                print(event)
            model = job.model()
    """

    datasets: Datasets
    jobs: Jobs
    models: Models
    weights: Weights
    specs: Specs
    workers: Workers

    def __init__(
        self, server: str | None = None, key: str | None = None, *, timeout_s: float = 30.0, patience_s: float = 10.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:  # fmt: skip
        self._transport = Transport(server, key, timeout_s, patience_s, transport)
        self.datasets = Datasets(self._transport)
        self.jobs = Jobs(self._transport, self.datasets)
        self.models = Models(self._transport)
        self.weights = Weights(self._transport)
        self.specs = Specs(self._transport, self.datasets)
        self.workers = Workers(self._transport)

    @property
    def server(self) -> str:
        """The server's address."""
        return self._transport.server

    def predict(self, model: str, samples: Samples, step: int | str = "best", explain: bool = False) -> Predictions:
        """What a model says of samples: a job's by its id, or ``NAME``, ``NAME@ALIAS``, ``NAME@NUMBER``; with the step that answered.

        Arguments and errors as of :meth:`Job.predict`; ``step`` is of a job only.
        """
        return predict(self._transport, model, samples, step, explain)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()


__all__ = ["Client"]
