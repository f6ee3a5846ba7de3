"""``DataLoader``: a dataset and an order become batches, here or in workers."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from engine.creation import randint
from engine.ops.random import Generator
from engine.tensor import Tensor
from engine.utils.data.collate import default_collate, default_convert
from engine.utils.data.dataset import IterableDataset
from engine.utils.data.fetch import Recipe, Stream, fetch
from engine.utils.data.sampler import BatchSampler, RandomSampler, SequentialSampler
from engine.utils.data.workers import Epoch, Processes, Threads, start

_FROZEN = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


class _Endless:
    """The sampler of a stream, which knows no indices."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


class DataLoader:
    """Batches from a dataset: shuffled or in order, collated, made in this process or ahead of time by workers.

    ``batch_size=None`` passes samples on one by one. ``num_workers`` processes are started by ``multiprocessing_context`` ("fork", "spawn",
    "forkserver" or a context); "thread" makes them threads, for datasets that release the interpreter's lock. The order and the random
    numbers that the dataset draws follow from ``generator`` (the default one if None) alone, whatever the number of workers.

    Raises ValueError for arguments that contradict each other, as PyTorch does; while iterating RuntimeError for a worker that died or
    took longer than ``timeout`` seconds, and an exception of the worker's own type, with its traceback, for one that failed.
    """

    _ready = False

    def __init__(
        self, dataset: Any, batch_size: int | None = 1, shuffle: bool | None = None, sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None, num_workers: int = 0, collate_fn: Callable[[Any], Any] | None = None, pin_memory: bool = False,
        drop_last: bool = False, timeout: float = 0, worker_init_fn: Callable[[int], None] | None = None, multiprocessing_context: Any = None,
        generator: Generator | None = None, *, prefetch_factor: int | None = None, persistent_workers: bool = False, pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:  # fmt: skip
        if num_workers < 0:
            raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError(
                "prefetch_factor option could only be specified in multiprocessing.let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
            )
        if prefetch_factor is not None and prefetch_factor < 0:
            raise ValueError("prefetch_factor option should be non-negative")
        if persistent_workers and num_workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")
        self.prefetch_factor = 2 if num_workers and prefetch_factor is None else prefetch_factor
        self.persistent_workers, self.pin_memory_device, self.in_order = persistent_workers, pin_memory_device, in_order
        self.multiprocessing_context = _checked_context(multiprocessing_context, num_workers)
        self.dataset, self.num_workers, self.pin_memory, self.timeout = dataset, num_workers, pin_memory, timeout
        self.worker_init_fn, self.generator = worker_init_fn, generator
        self._streams = isinstance(dataset, IterableDataset)
        if self._streams:
            for name, value in (("shuffle", shuffle or None), ("sampler", sampler), ("batch_sampler", batch_sampler)):
                if value is not None:
                    raise ValueError(f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}")
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError("batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last")
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if sampler is None:
            sampler = (
                _Endless() if self._streams else RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
            )
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size, self.drop_last, self.sampler, self.batch_sampler = batch_size, drop_last, sampler, batch_sampler
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self._workers: Processes | Threads | None = None
        self._epochs = 0
        self._ready = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self._ready and name in _FROZEN:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(name, value)

    def _recipe(self) -> Recipe:
        return Recipe(self.dataset, self.collate_fn, self.batch_sampler is not None, self._streams, self.drop_last)

    def _tasks(self) -> Iterable[Any]:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __iter__(self) -> Iterator[Any]:
        seed = int(randint(2**62, (1,), generator=self.generator).item())
        batches = self._here(seed) if self.num_workers == 0 else self._ahead(seed)
        return map(_pinned, batches) if self.pin_memory else batches

    def _here(self, seed: int) -> Iterator[Any]:
        recipe = self._recipe()
        if self._streams:
            stream = Stream(recipe, seed)
            for indices in self._tasks():
                try:
                    batch = stream.fetch(indices)
                except StopIteration:
                    return
                yield batch
        else:
            for number, indices in enumerate(self._tasks()):
                yield fetch(recipe, seed, number, indices)

    def _ahead(self, seed: int) -> Iterator[Any]:
        """Batches from workers, which end with the loop unless they are persistent."""
        workers = self._workers or start(self._recipe(), self.num_workers, self.multiprocessing_context, self.worker_init_fn)
        self._workers, self._epochs = workers if self.persistent_workers else None, self._epochs + 1
        done = False
        try:
            yield from Epoch(workers, self.num_workers, self._epochs, seed, self._tasks(), self.prefetch_factor or 1, self.timeout)
            done = True
        except GeneratorExit:  # the loop was left early
            done = True
            raise
        finally:
            if not (done and self.persistent_workers):
                self._workers = None
                workers.stop()

    def __del__(self) -> None:
        if getattr(self, "_workers", None) is not None:
            self._workers.stop()  # type: ignore[union-attr]  # not None

    def __len__(self) -> int:
        if self._streams:
            n = len(self.dataset)
            return n if self.batch_size is None else n // self.batch_size if self.drop_last else -(-n // self.batch_size)
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]  # TypeError for a sampler without a length, as in PyTorch


def _checked_context(context: Any, num_workers: int) -> Any:
    """A way to start workers. Raises ValueError for an unknown one, or for one without workers; TypeError for something else."""
    if context is None:
        return None
    if num_workers == 0:
        raise ValueError(
            f"multiprocessing_context can only be used with multi-process loading (num_workers > 0), but got num_workers={num_workers}"
        )
    known = [*multiprocessing.get_all_start_methods(), "thread"]
    if isinstance(context, str):
        if context not in known:
            raise ValueError(
                f"multiprocessing_context option should specify a valid start method in {known!r}, but got multiprocessing_context={context!r}"
            )
    elif not isinstance(context, multiprocessing.context.BaseContext):
        raise TypeError(
            f"multiprocessing_context option should be a valid context object or a string specifying the start method, but got multiprocessing_context={context}"
        )
    return context


def _pinned(batch: Any) -> Any:
    """Tensors in page-locked memory, inside mappings and sequences too."""
    if isinstance(batch, Tensor) or hasattr(batch, "pin_memory"):
        return batch.pin_memory()
    if isinstance(batch, Mapping):
        return {k: _pinned(v) for k, v in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*map(_pinned, batch))
    if isinstance(batch, list | tuple):
        return type(batch)(map(_pinned, batch))
    return batch
