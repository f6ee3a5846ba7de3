# Made from client/aio/specs.py by scripts/build_sync.py: change that, and run it.
"""``client.specs``: specs to begin with."""

from __future__ import annotations

from collections.abc import Sequence

from client.sync.datasets import Datasets
from client.sync.transport import Transport
from client.call import Call
from client.errors import ApiError
from server.models import DatasetInfo, Items, SpecExample, Suggestion


class Specs:
    """Specs that a server knows, or makes."""

    def __init__(self, transport: Transport, datasets: Datasets) -> None:
        self._transport, self._datasets = transport, datasets

    def examples(self) -> Sequence[SpecExample]:
        """An example of each kind of task; ``data.dataset`` of its spec is left to be named."""
        return (self._transport.call(Items[SpecExample], Call("GET", "/v1/specs/examples"))).data

    def suggest(self, dataset: str | DatasetInfo, task: str | None = None) -> Suggestion:
        """A spec made for a dataset, which passes the check as it is.

        Args:
            dataset: Waited for if it is still being validated.
            task: What is to be learned, one of ``Suggestion.tasks``; by default the likeliest.

        Raises ApiError 422 for a task that the dataset does not allow; DatasetRejected.
        """
        named = dataset.id if isinstance(dataset, DatasetInfo) else dataset
        call = Call("POST", "/v1/specs/suggest", json={"dataset": named, **({} if task is None else {"task": task})})
        try:
            return self._transport.call(Suggestion, call)
        except ApiError as error:
            if error.status != 409:
                raise
            self._datasets.wait_ready(named)
            return self._transport.call(Suggestion, call)


__all__ = ["Specs"]
