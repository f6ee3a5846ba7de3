"""MixUp and CutMix in training: which of a spec's mixtures a batch gets, drawn by the seed, the epoch and the number of the batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.creation import randint
from engine.ops.random import Generator, drawing_from
from engine.spec import registry
from engine.vision.transforms.mixing import BatchTransform, mix, mixed_targets, one_hot

Array = np.ndarray[Any, Any]


def made(transform: dict[str, Any]) -> BatchTransform:
    """The transform of one entry of ``data.mix``. Raises ValueError for an argument that is wrong."""
    found: BatchTransform = registry.batch_transforms()[transform["type"]].make(**{k: v for k, v in transform.items() if k != "type"})
    return found


class Mixing:
    """Mixes batches by ``data.mix`` of a spec, by one of its transforms each. ``classes``: how many classes targets that are classes become shares of."""

    def __init__(self, spec: dict[str, Any], stream: int, classes: int) -> None:
        self._transforms = [made(t) for t in spec["data"]["mix"]]
        self._seed, self._stream, self._classes = spec["seed"], stream, classes

    def __call__(self, x: Array, y: Array | None, epoch: int, number: int) -> Any:
        """Mixes the samples ``x (n, ..)`` in place; their targets, mixed, where there are some. ``number``: which batch of the epoch it is."""
        with drawing_from(Generator(seed=self._seed, stream=self._stream << 56 | epoch << 32 | number)):
            n = len(self._transforms)
            chosen = self._transforms[int(randint(n, (1,)).item()) if n > 1 else 0]
            mixture = chosen.draw(x.shape)
        mix(x, mixture)
        if y is None:
            return None
        return mixed_targets(one_hot(y, self._classes) if y.dtype.kind == "i" else y, mixture)
