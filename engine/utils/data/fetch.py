"""How a task becomes a batch: the same in this process, in a worker process and in a thread.

Random transforms draw from a generator of the sample's own, keyed by the epoch's seed and the sample's place in the epoch: what
they draw depends neither on the number of workers nor on who came first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from engine.ops.random import Generator, drawing_from


@dataclass(frozen=True)
class WorkerInfo:
    """What ``get_worker_info`` tells inside a worker."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


@dataclass(frozen=True)
class Recipe:
    """What it takes to make batches: a dataset, and how samples are put together."""

    dataset: Any
    collate: Callable[[Any], Any]
    batched: bool
    """Whether a task is a list of indices, or a single one."""
    streams: bool
    """Whether the dataset is iterated, not indexed."""
    drop_last: bool


def fetch(recipe: Recipe, seed: int, number: int, indices: Any) -> Any:
    """The batch ``number`` of an epoch, from the indices the sampler gave."""
    if not recipe.batched:
        return recipe.collate(_sample(recipe.dataset, seed, number << 32, indices))
    if hasattr(recipe.dataset, "__getitems__"):
        with drawing_from(Generator(seed=seed, stream=number << 32)):
            return recipe.collate(recipe.dataset.__getitems__(indices))
    return recipe.collate([_sample(recipe.dataset, seed, number << 32 | k, i) for k, i in enumerate(indices)])


def _sample(dataset: Any, seed: int, place: int, index: Any) -> Any:
    with drawing_from(Generator(seed=seed, stream=place)):
        return dataset[index]


class Stream:
    """Batches from an iterable dataset, which draws from one generator all along."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self.recipe, self.generator = recipe, Generator(seed=seed)
        with drawing_from(self.generator):
            self.samples: Iterator[Any] = iter(recipe.dataset)

    def fetch(self, indices: Any) -> Any:
        """The next batch of ``len(indices)`` samples, or the next sample. Raises StopIteration at the end."""
        with drawing_from(self.generator):
            if not self.recipe.batched:
                return self.recipe.collate(next(self.samples))
            batch = [sample for _, sample in zip(indices, self.samples, strict=False)]
        if not batch or (self.recipe.drop_last and len(batch) < len(indices)):
            raise StopIteration
        return self.recipe.collate(batch)
