"""Images and their masks as training reads them: what moves the pixels of an image moves those of its mask, by the same draws."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.data.batches import Pipeline
from engine.data.compiled import Draws
from engine.data.images.masks import Masks
from engine.data.source import Kind, Source
from engine.spec.problems import Problem, SpecError, said

Array = np.ndarray[Any, Any]


class MaskSource(Source):
    """``targets (N, H, W)`` are the masks as evaluation sees them, int16. Raises ValueError for transforms that a mask cannot follow."""

    def __init__(self, base: Source, transforms: list[dict[str, Any]]) -> None:
        self.__dict__.update(base.__dict__)
        self._masks, self._moving = Masks(base.folder), Pipeline(transforms)
        found = [self._moving.masked(mask, 1, None) for mask in self._masks]
        if len({m.shape for m in found}) > 1:
            raise ValueError("the masks have several sizes; add a Resize to [height, width]")
        self.targets = np.stack(found).astype(np.int16)
        if transforms:
            self._follow(0, Draws(0, 0))

    def targets_as(self, kind: Kind) -> Array | None:
        return self.targets if kind == "classes" else self.targets[:, None].astype(np.float32)

    def targets_of(self, targets: Array, indices: Array, draws: Draws | None) -> Array:
        if draws is None or self._moving.is_empty:
            return targets[indices].astype(np.int64 if targets.dtype.kind == "i" else np.float32)
        return _as(targets, np.stack([self._follow(int(i), draws) for i in indices]).astype(np.int64))

    def _follow(self, i: int, draws: Draws) -> Array:
        return self._moving.masked(self._masks[i], self.report.channels or 3, draws.generator(i))


def _as(targets: Array, masks: Array) -> Array:
    """Masks ``(n, H, W)`` in the reading that ``targets`` of all samples have: classes, their numbers ``(n, 1, H, W)``, or an indicator of each ``(n, C, H, W)``."""
    if targets.dtype.kind == "i":
        return masks
    columns = targets.shape[1]
    found = masks[:, None] if columns == 1 else masks[:, None] == np.arange(columns)[:, None, None]
    signs = bool(targets[:1].min() < 0)
    return found.astype(np.float32) * (2 if signs else 1) - signs


def masked(source: Source, spec: dict[str, Any]) -> MaskSource:
    """Images with masks that follow the transforms of a spec. Raises SpecError where they cannot."""
    try:
        return MaskSource(source, spec["data"]["transform"])
    except Exception as error:  # whatever a transform throws
        raise SpecError([Problem("/data/transform", "does_not_fit", f"the masks cannot follow the transforms: {said(error)}")]) from None
