"""``client.workers``: the machines that train."""

from __future__ import annotations

from collections.abc import Sequence

from client.aio.transport import AsyncTransport
from client.call import Call
from server.models import Items, Worker


class AsyncWorkers:
    """The workers of a server."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self) -> Sequence[Worker]:
        """Every worker that the server has heard of lately, with its device, its memory, and the job that it works on."""
        return (await self._transport.call(Items[Worker], Call("GET", "/v1/workers"))).data


__all__ = ["AsyncWorkers"]
