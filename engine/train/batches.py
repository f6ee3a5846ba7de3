"""The batches of an epoch: which samples, in which order, and their tensors on the device."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from engine.backend import transfer
from engine.check import takes_classes
from engine.data.balance import balanced
from engine.data.batches import Pipeline, ahead
from engine.data.compiled import Draws
from engine.data.mixing import Mixing
from engine.data.source import Source
from engine.dtypes import int64
from engine.ops.random import Generator, permutation
from engine.spec.heads import heads
from engine.spec.inputs import limit_of
from engine.tensor import Tensor

_ORDER, _AUGMENT, _BALANCE, _MIX = 2, 3, 4, 5  # streams of the seed; 0 is the default generator's, 1 the split's
Array = np.ndarray[Any, Any]
Batch = tuple[Tensor, tuple[Tensor, ...], tuple[Array, ...]]
"""Samples, and the targets of each output, on the device; the targets on the host."""


class Batches:
    """The samples of a spec's dataset as tensors. What is random depends on the seed, the epoch and the sample alone."""

    def __init__(
        self, spec: dict[str, Any], source: Source, targets: Sequence[Array], shape: tuple[int, ...], outputs: int, device: Any, dtype: Any
    ) -> None:
        self.spec, self.source, self.targets = spec, source, targets
        self._shape, self._device, self._dtype = shape, device, dtype
        self._pipeline = Pipeline(spec["data"]["transform"])
        self._mixing = Mixing(spec, _MIX, outputs) if spec["data"]["mix"] else None
        self._heads = [(takes_classes(h), h["data"]["target"] == "input") for h in heads(spec).values()]

    def _read(self, part: tuple[int, Array], epoch: int | None) -> tuple[Tensor, tuple[Array, ...]]:
        """A batch on the host: augmented for an epoch of training, where it begins with the sample ``part[0]``; plain for evaluation."""
        start, indices = part
        draws = None if epoch is None else Draws(self.spec["seed"], _AUGMENT << 56 | epoch << 32)
        x = self.source.batch(indices, self._pipeline, draws, self._shape)
        pixels = x.numpy()
        found = tuple(
            pixels if itself else self.source.targets_of(y, indices, draws)
            for y, (_, itself) in zip(self.targets, self._heads, strict=True)
        )
        return x, found if epoch is None or self._mixing is None else (self._mixed(pixels, found[0], epoch, start),)

    def _mixed(self, x: Array, y: Array, epoch: int, start: int) -> Array:
        """Mixes the batches that ``x`` is made of, in place; their targets, which may be ``x`` itself."""
        assert self._mixing is not None
        size = self.spec["data"]["batch_size"]
        places = [slice(i, i + size) for i in range(0, len(x), size)]
        mixed = [self._mixing(x[at], None if y is x else y[at], epoch, (start + at.start) // size) for at in places]
        return x if y is x else np.concatenate(mixed)

    def _loaded(self, batches: Iterable[tuple[int, Array]], epoch: int | None) -> Iterator[Batch]:
        """Batches on the device; images are read one batch ahead, while the one before is computed with."""
        read = functools.partial(self._read, epoch=epoch)
        for x, targets in ahead(read, batches) if self.source.is_image else map(read, batches):
            held = zip((Tensor._wrap(transfer(y, self._device)) for y in targets), self._heads, strict=True)
            on = tuple(y if classes and not y.is_floating_point() else y.to(self._dtype) for y, (classes, _) in held)
            yield x.to(self._device, self._dtype if limit_of(self._shape) is None else int64), on, targets

    def training(self, indices: Array, epoch: int, done: int = 0) -> Iterator[Batch]:
        """What each step of an epoch trains on, from step ``done`` on: as many batches as a step accumulates, as one."""
        order, stop, size = self._order(indices, epoch), usable(len(indices), self.spec), step_size(self.spec)
        return self._loaded(((i, order[i : min(i + size, stop)]) for i in range(done * size, stop, size)), epoch)

    def plain(self, indices: Array, size: int) -> Iterator[Batch]:
        """Samples in order, without what is random."""
        return self._loaded(((i, indices[i : i + size]) for i in range(0, len(indices), size)), None)

    def _order(self, indices: Array, epoch: int) -> Array:
        data, seed = self.spec["data"], self.spec["seed"]
        if data["sampler"] == "balanced":
            classes = self.source.targets_as("classes")
            assert classes is not None  # by the check
            return balanced(indices, classes[indices], Generator(seed=seed, stream=_BALANCE << 56 | epoch))
        return indices[permutation(len(indices), Generator(seed=seed, stream=_ORDER << 56 | epoch))] if data["shuffle"] else indices


def usable(n: int, spec: dict[str, Any]) -> int:
    """How many of ``n`` training samples an epoch sees: all, or those of whole batches."""
    size = spec["data"]["batch_size"]
    return int(n // size * size if spec["data"]["drop_last"] else n)


def step_size(spec: dict[str, Any]) -> int:
    """How many samples a step of the optimizer takes."""
    return int(spec["data"]["batch_size"] * spec["gradient_accumulation"])


def steps_an_epoch(n: int, spec: dict[str, Any]) -> int:
    """How many steps of the optimizer an epoch of ``n`` training samples has."""
    return -(-usable(n, spec) // step_size(spec))
