"""The Python client of the service, and the ``epochline`` command.

``Client(server, key)`` for ordinary code, ``AsyncClient`` for asyncio; both are made from one source. See docs/client.md.
"""

from client.aio.client import AsyncClient
from client.aio.job import AsyncJob
from client.errors import ApiError, DatasetRejected, EpochlineError, HistoryMismatch, Unreachable
from client.history import History
from client.sync.client import Client
from client.sync.job import Job

__all__ = [
    "ApiError", "AsyncClient", "AsyncJob", "Client", "DatasetRejected", "EpochlineError", "History", "HistoryMismatch", "Job", "Unreachable",
]  # fmt: skip
