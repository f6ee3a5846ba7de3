"""Batches of images: the transforms of a spec, on one sample after the other or on a whole batch in compiled code, with the same bits.

Compiled are crops, flips and borders, the scaling to [0, 1] and Normalize. What comes before them and is not random (a Resize, say) is
the pipeline's *prefix*: done once for each image and kept, see ``engine.data.cache``.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.backend import CPU, empty
from engine.kernels.native import address, native
from engine.ops.random import Generator, drawing_from
from engine.tensor import Tensor
from engine.vision import transforms
from engine.vision.io import Pixels

_CROP, _CENTER, _HFLIP, _VFLIP, _PAD = range(5)  # engine/kernels/cpu/images.h has the same list
Step = tuple[int, ...]


@dataclass(frozen=True)
class Draws:
    """Where random transforms draw from: sample ``i`` has the stream ``stream | i`` of ``seed``, from its beginning."""

    seed: int
    stream: int

    def generator(self, i: int) -> Generator:
        return Generator(seed=self.seed, stream=self.stream | i)


def _real(x: float) -> int:
    return int.from_bytes(struct.pack("<d", x), "little", signed=True)


def _steps_of(t: transforms.Transform, late: bool = False) -> list[Step] | None:
    """The transform for compiled code, each step a code and four numbers; None if there is no such.

    ``late``: after pixels have become numbers, where zero is no pixel, so that nothing may get a border.
    """
    if type(t) is transforms.RandomCrop and not (late and t.padding):
        return [(_PAD, *[t.padding] * 4), (_CROP, *t.size, 0, 0)] if t.padding else [(_CROP, *t.size, 0, 0)]
    if type(t) is transforms.CenterCrop:
        return [(_CENTER, *t.size, int(late), 0)]
    if type(t) is transforms.RandomHorizontalFlip:
        return [(_HFLIP, _real(t.p), 0, 0, 0)]
    if type(t) is transforms.RandomVerticalFlip:
        return [(_VFLIP, _real(t.p), 0, 0, 0)]
    if type(t) is transforms.Pad and not late:
        width = t.padding
        four = (width,) * 4 if isinstance(width, int) else tuple(width) * (2 if len(width) == 2 else 1)
        return [(_PAD, *four)] if len(four) == 4 and min(four) >= 0 else None
    return None


@dataclass(frozen=True)
class Compiled:
    """What compiled code does to a batch: steps that move pixels, the pixel of borders, and the number of each pixel value ``(C, 256)``."""

    steps: np.ndarray[Any, np.dtype[np.int64]]
    border: int
    table: np.ndarray[Any, np.dtype[np.float32]]

    def __call__(self, images: Sequence[Pixels], indices: Iterable[int], draws: Draws | None, shape: tuple[int, ...]) -> Tensor | None:
        """The batch ``(n, *shape)``; None if an image does not come out in that shape."""
        kernels = native()
        assert kernels is not None
        if any(len(image) != shape[0] for image in images):
            return None
        images = [np.ascontiguousarray(image) for image in images]
        stream = 0 if draws is None else draws.stream
        sample = np.array([(address(a), *a.shape[1:], stream | int(i)) for a, i in zip(images, indices, strict=True)], np.int64)
        out, wrong = empty((len(images), *shape), np.float32, CPU), np.empty(1, np.int64)
        seed = int(np.uint64((0 if draws is None else draws.seed) & (2**64 - 1)).astype(np.int64))
        moves = (address(self.steps), len(self.steps), address(self.table))
        kernels.call("augment", len(images), *shape, address(sample), self.border, seed, *moves, address(out), address(wrong))
        return Tensor._wrap(out) if wrong[0] < 0 else None


class Pipeline:
    """The transforms of a spec, with ToTensor where pixels become numbers."""

    def __init__(self, spec: list[dict[str, Any]]) -> None:
        made = [getattr(transforms, t["type"])(**{k: v for k, v in t.items() if k != "type"}) for t in spec]
        at = next((i for i, t in enumerate(made) if isinstance(t, transforms.ToTensor | transforms.Normalize)), len(made))
        before, self.after = made[:at], [t for t in made[at:] if not isinstance(t, transforms.ToTensor)]
        still = next((i for i, t in enumerate(before) if t.still() is not t), len(before))
        while still and _steps_of(before[still - 1]) is not None:
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
    def compiled(self, training: bool, channels: int) -> Compiled | None:
        """All but the prefix for whole batches; None where compiled code has no such transform."""
        before, after = self._steps(training)
        moves = [_steps_of(t) for t in before] + [_steps_of(t, late=True) for t in after if not isinstance(t, transforms.Normalize)]
        borders = {
            t.fill if isinstance(t, transforms.Pad) else 0 for t in before if any(s[0] in (_PAD, _CENTER) for s in _steps_of(t) or [])
        }
        if native() is None or None in moves or len(borders) > 1:
            return None
        steps = [step for m in moves for step in m or []]
        values = Tensor._wrap(np.broadcast_to(np.arange(256, dtype=np.uint8), (channels, 1, 256)))
        table = functools.reduce(_normalized, after, self._scale(values))
        border = borders.pop() if borders else 0
        if not 0 <= border < 256 or table.shape[0] != channels:
            return None
        return Compiled(np.array(steps, np.int64).reshape(-1, 5), border, np.ascontiguousarray(table.numpy().reshape(channels, 256)))


def _normalized(values: Tensor, t: Callable[[Any], Any]) -> Tensor:
    return t(values) if isinstance(t, transforms.Normalize) else values


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
