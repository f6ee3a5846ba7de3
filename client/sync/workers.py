# Made from client/aio/workers.py by scripts/build_sync.py: change that, and run it.
"""``client.workers``: the machines that train."""

from __future__ import annotations

from collections.abc import Sequence

from client.sync.transport import Transport
from client.call import Call
from server.models import Items, Worker


class Workers:
    """The workers of a server."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Sequence[Worker]:
        """Every worker that the server has heard of lately, with its device, its memory, and the job that it works on."""
        return (self._transport.call(Items[Worker], Call("GET", "/v1/workers"))).data


__all__ = ["Workers"]
