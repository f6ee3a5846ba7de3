"""Transforms of whole batches of images in compiled code: crops, flips, borders, the scaling to [0, 1], Normalize, RandomErasing."""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.backend import CPU, empty
from engine.creation import zeros
from engine.dtypes import float32, uint8
from engine.kernels.native import address, native
from engine.ops.random import Generator
from engine.tensor import Tensor
from engine.vision import transforms
from engine.vision.io import Pixels
from engine.vision.transforms.functional import erase

_CROP, _CENTER, _HFLIP, _VFLIP, _PAD, _ERASE = range(6)  # engine/kernels/cpu/images.h has the same list
_MAX_ERASED = 8  # as there
_POINTWISE = (transforms.ToTensor, transforms.Normalize)
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


def steps_of(t: transforms.Transform, late: bool = False) -> list[Step] | None:
    """The transform for compiled code, each step a code and six numbers; None if there is no such.

    ``late``: after pixels have become numbers, where zero is no pixel, so that nothing may get a border.
    """
    steps = _moves_of(t, late)
    return None if steps is None else [(*step, *(0,) * (7 - len(step))) for step in steps]


def _moves_of(t: transforms.Transform, late: bool) -> list[Step] | None:
    if type(t) is transforms.RandomCrop and not (late and t.padding):
        return [(_PAD, *[t.padding] * 4), (_CROP, *t.size)] if t.padding else [(_CROP, *t.size)]
    if type(t) is transforms.CenterCrop:
        return [(_CENTER, *t.size, int(late))]
    if type(t) is transforms.RandomHorizontalFlip:
        return [(_HFLIP, _real(t.p))]
    if type(t) is transforms.RandomVerticalFlip:
        return [(_VFLIP, _real(t.p))]
    if type(t) is transforms.RandomErasing and t.value != "random":
        return [(_ERASE, *map(_real, (t.p, *t.scale, *map(math.log, t.ratio))))]
    if type(t) is transforms.Pad and not late:
        width = t.padding
        four = (width,) * 4 if isinstance(width, int) else tuple(width) * (2 if len(width) == 2 else 1)
        return [(_PAD, *four)] if len(four) == 4 and min(four) >= 0 else None
    return None


@dataclass(frozen=True)
class Compiled:
    """What compiled code does to a batch: steps that move pixels, the pixel of borders, the number of each pixel value ``(C, 256)``, and what each erasing
    writes ``(erasings, C)``."""

    steps: np.ndarray[Any, np.dtype[np.int64]]
    border: int
    table: np.ndarray[Any, np.dtype[np.float32]]
    erased: np.ndarray[Any, np.dtype[np.float32]]

    def __call__(
        self, images: Sequence[Pixels], indices: Iterable[int], draws: Draws | None, starts: Iterable[int], shape: tuple[int, ...]
    ) -> Tensor | None:
        """The batch ``(n, *shape)``; None if an image does not come out in that shape. ``starts``: how many draws each sample has had."""
        kernels = native()
        assert kernels is not None
        if any(len(image) != shape[0] for image in images):
            return None
        images = [np.ascontiguousarray(image) for image in images]
        stream = 0 if draws is None else draws.stream
        rows = [(address(a), *a.shape[1:], stream | int(i), n) for a, i, n in zip(images, indices, starts, strict=True)]
        sample = np.array(rows, np.int64)
        out, wrong = empty((len(images), *shape), np.float32, CPU), np.empty(1, np.int64)
        seed = int(np.uint64((0 if draws is None else draws.seed) & (2**64 - 1)).astype(np.int64))
        moves = (address(self.steps), len(self.steps), address(self.table), address(self.erased))
        kernels.call("augment", len(images), *shape, address(sample), self.border, seed, *moves, address(out), address(wrong))
        return Tensor._wrap(out) if wrong[0] < 0 else None


def compile_transforms(
    before: list[transforms.Transform], scale: transforms.ToTensor, after: list[transforms.Transform], channels: int
) -> Compiled | None:
    """The transforms before and after pixels become numbers; None where compiled code has no such."""
    chain = [*before, scale, *after]
    moves = [steps_of(t, late=i > len(before)) for i, t in enumerate(chain) if not isinstance(t, _POINTWISE)]
    borders = {t.fill if isinstance(t, transforms.Pad) else 0 for t in before if any(s[0] in (_PAD, _CENTER) for s in steps_of(t) or [])}
    erasings = [i for i, t in enumerate(chain) if isinstance(t, transforms.RandomErasing)]
    if native() is None or None in moves or len(borders) > 1 or len(erasings) > _MAX_ERASED:
        return None
    if erasings and any(not isinstance(t, (*_POINTWISE, transforms.RandomErasing)) for t in chain[erasings[0] :]):
        return None  # what is erased would be moved
    values = Tensor._wrap(np.broadcast_to(np.arange(256, dtype=np.uint8), (channels, 1, 256)))
    table = _numbers(values, chain)
    border = borders.pop() if borders else 0
    if not 0 <= border < 256 or table.shape[0] != channels:
        return None
    erased = [
        _written(t, chain[i + 1 :], channels, i < len(before)) for i, t in enumerate(chain) if isinstance(t, transforms.RandomErasing)
    ]
    numbered = (s for m in moves for s in m or [])
    count = iter(range(len(erased)))
    steps = [(*s[:6], next(count)) if s[0] == _ERASE else s for s in numbered]
    return Compiled(
        np.array(steps, np.int64).reshape(-1, 7), border, np.ascontiguousarray(table.numpy().reshape(channels, 256)),
        np.array(erased, np.float32).reshape(len(erased), channels),
    )  # fmt: skip


def _numbers(values: Tensor, chain: Sequence[transforms.Transform]) -> Tensor:
    """What becomes of pixel values that nothing moves."""
    return functools.reduce(lambda x, t: t(x) if isinstance(t, _POINTWISE) else x, chain, values)


def _written(t: transforms.RandomErasing, rest: Sequence[transforms.Transform], channels: int, pixels: bool) -> Any:
    """The numbers ``(C,)`` that an erasing leaves in a batch."""
    blank = zeros(channels, 1, 1, dtype=uint8 if pixels else float32)
    value: Any = blank.new_tensor(t.value).reshape(-1, 1, 1) if isinstance(t.value, tuple) else t.value
    return _numbers(erase(blank, 0, 0, 1, 1, value), rest).numpy().reshape(channels)
