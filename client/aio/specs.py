"""``client.specs``: specs to begin with."""

from __future__ import annotations

from collections.abc import Sequence

from client.aio.datasets import AsyncDatasets
from client.aio.transport import AsyncTransport
from client.call import Call
from client.errors import ApiError
from server.models import DatasetInfo, Items, SpecExample, Suggestion


class AsyncSpecs:
    """Specs that a server knows, or makes."""

    def __init__(self, transport: AsyncTransport, datasets: AsyncDatasets) -> None:
        self._transport, self._datasets = transport, datasets

    async def examples(self) -> Sequence[SpecExample]:
        """An example of each kind of task; ``data.dataset`` of its spec is left to be named."""
        return (await self._transport.call(Items[SpecExample], Call("GET", "/v1/specs/examples"))).data

    async def suggest(self, dataset: str | DatasetInfo, task: str | None = None) -> Suggestion:
        """A spec made for a dataset, which passes the check as it is.

        Args:
            dataset: Waited for if it is still being validated.
            task: What is to be learned, one of ``Suggestion.tasks``; by default the likeliest.

        Raises ApiError 422 for a task that the dataset does not allow; DatasetRejected.
        """
        named = dataset.id if isinstance(dataset, DatasetInfo) else dataset
        call = Call("POST", "/v1/specs/suggest", json={"dataset": named, **({} if task is None else {"task": task})})
        try:
            return await self._transport.call(Suggestion, call)
        except ApiError as error:
            if error.status != 409:
                raise
            await self._datasets.wait_ready(named)
            return await self._transport.call(Suggestion, call)


__all__ = ["AsyncSpecs"]
