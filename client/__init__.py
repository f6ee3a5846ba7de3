"""The Python client of the service, and the ``epochline`` command.

``Client(server, key)`` for ordinary code, ``AsyncClient`` for asyncio; both are made from one source. See docs/client.md.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from client.aio.client import AsyncClient
    from client.aio.job import AsyncJob
    from client.errors import ApiError, DatasetRejected, EpochlineError, HistoryMismatch, Unreachable
    from client.history import History
    from client.sync.client import Client
    from client.sync.job import Job

_MODULES = {
    "client.aio.client": ("AsyncClient",),
    "client.aio.job": ("AsyncJob",),
    "client.errors": ("ApiError", "DatasetRejected", "EpochlineError", "HistoryMismatch", "Unreachable"),
    "client.history": ("History",),
    "client.sync.client": ("Client",),
    "client.sync.job": ("Job",),
}
"""Imported when they are first asked for: the models need the engine, and a command that only prints its help does not (0.8 s of processor time)."""


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'client' has no attribute {name!r}")


__all__ = [
    "ApiError", "AsyncClient", "AsyncJob", "Client", "DatasetRejected", "EpochlineError", "History", "HistoryMismatch", "Job", "Unreachable",
]  # fmt: skip
