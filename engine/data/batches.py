"""Batches of images: the transforms of a spec, on one sample after the other or on a whole batch in compiled code, with the same bits.

What comes first and is not random (a Resize, say) is the pipeline's *prefix*: done once for each image and kept, see ``engine.data.cache``. Then come
transforms that compiled code does not have, the *head* (a RandAugment, say), done sample by sample; the rest, the *tail*, is done to the whole batch, see
``engine.data.compiled``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from engine.creation import zeros
from engine.data.compiled import Compiled, compile_transforms, steps_of
from engine.dtypes import uint8
from engine.ops.random import Generator, drawing_from
from engine.tensor import Tensor
from engine.vision import transforms
from engine.vision.io import Pixels


class Pipeline:
    """The transforms of a spec, with ToTensor where pixels become numbers."""

    def __init__(self, spec: list[dict[str, Any]]) -> None:
        made = [getattr(transforms, t["type"])(**{k: v for k, v in t.items() if k != "type"}) for t in spec]
        at = next((i for i, t in enumerate(made) if isinstance(t, transforms.ToTensor | transforms.Normalize)), len(made))
        before, self.after = made[:at], [t for t in made[at:] if not isinstance(t, transforms.ToTensor)]
        still = next((i for i, t in enumerate(before) if t.still() is not t), len(before))
        while still and steps_of(before[still - 1]) is not None:
            still -= 1
        self.prefix, self.before = before[:still], before[still:]
        self.key = [t for t in spec if t["type"] != "ToTensor"][:still]
        self._scale = transforms.ToTensor()

    @property
    def is_empty(self) -> bool:
        return not (self.prefix or self.before or self.after)

    @property
    def only_numbers(self) -> bool:
        """Whether no transform needs images."""
        return all(isinstance(t, transforms.Normalize) for t in (*self.prefix, *self.before, *self.after))

    def _steps(self, training: bool) -> tuple[list[Any], list[Any]]:
        """The transforms before and after pixels become numbers, without the prefix."""
        if training:
            return self.before, self.after
        return [s for t in self.before if (s := t.still())], [s for t in self.after if (s := t.still())]

    def prepare(self, sample: Tensor) -> Tensor:
        """The prefix of one sample of pixels."""
        return functools.reduce(lambda x, t: t(x), self.prefix, sample)

    def finish(self, sample: Tensor, draws: Generator | None) -> Tensor:
        """All but the prefix; random transforms draw from ``draws``, and without it they are left out or stand still (a random crop is central)."""
        before, after = self._steps(draws is not None)
        with drawing_from(draws or Generator()):
            for t in before:
                sample = t(sample)
            sample = self._scale(sample)
            for t in after:
                sample = t(sample)
        return sample

    @functools.cache  # noqa: B019 - a pipeline lives as long as its job
    def head(self, training: bool) -> list[transforms.Transform]:
        """The transforms of pixels up to the last that compiled code does not have."""
        before, _ = self._steps(training)
        n = next((i for i in range(len(before), 0, -1) if steps_of(before[i - 1]) is None), 0)
        return before[:n]

    def masked(self, mask: Pixels, channels: int, draws: Generator | None) -> Pixels:
        """The mask ``(H, W)`` of an image of so many channels, moved as the image is that draws the same.

        What changes colours is done to a blank image of the same size, since how much is drawn depends on the size alone.
        """
        before, after = self._steps(draws is not None)
        chain = [*self.prefix, *before, self._scale, *after]
        last = max((i for i, t in enumerate(chain) if t.moves), default=-1)
        x, y = zeros(channels, 1, 1, dtype=uint8), Tensor._wrap(np.ascontiguousarray(mask[None]))
        with drawing_from(draws or Generator()):
            for t in chain[: last + 1]:
                if t.moves:
                    y = t.on_mask(y)
                else:
                    x = t(x.new_zeros((x.shape[0], *y.shape[1:])))
        found: Pixels = y.numpy()[0]
        return found

    def begun(self, sample: Tensor, draws: Generator | None) -> Tensor:
        """The head, on what ``prepare`` gave; the tail goes on drawing where it ends."""
        with drawing_from(draws or Generator()):
            return functools.reduce(lambda x, t: t(x), self.head(draws is not None), sample)

    @functools.cache  # noqa: B019 - as above
    def compiled(self, training: bool, channels: int) -> Compiled | None:
        """The tail for whole batches of images of so many channels; None where compiled code does not have it."""
        before, after = self._steps(training)
        return compile_transforms(before[len(self.head(training)) :], self._scale, after, channels)


def ahead(read: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
    """``map(read, items)``, in another thread and one item ahead."""
    with ThreadPoolExecutor(1, "epochline-batches") as pool:
        waiting: Future[Any] | None = None
        for item in items:
            ready, waiting = waiting, pool.submit(read, item)
            if ready is not None:
                yield ready.result()
        if waiting is not None:
            yield waiting.result()
