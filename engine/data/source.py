"""A prepared dataset as training reads it: samples by index, whole batches at a time."""

from __future__ import annotations

import contextlib
import functools
import json
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np

from engine.backend import copied
from engine.data.batches import Pipeline
from engine.data.cache import PixelCache
from engine.data.compiled import Compiled, Draws
from engine.data.images.pixels import ImageFiles
from engine.data.report import Report
from engine.tensor import Tensor
from engine.vision.io import Pixels

_PIECE_BYTES = 1 << 26
Kind = Literal["classes", "numbers"]
"""How targets are read: ``classes`` are int64 numbers from 0 on, ``numbers`` are float32 with a last axis of their own."""


class Source:
    """The samples of a prepared dataset folder. Decoded and resized images are kept in its folder ``cache``, for other jobs too.

    The folder holds ``dataset.json`` (the report), the samples as ``x.npy`` or under ``files/``, the targets ``y.npy``, the same targets in their other
    reading ``y_numbers.npy`` where there are two, and ``split.npy`` (the name of each sample's split) where the upload has splits of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.report = Report(**json.loads((folder / "dataset.json").read_text()))
        self.arrays: np.ndarray[Any, Any] | None = None
        self.folder = folder
        self.views: dict[str, Source] = {}
        """What specs have read it as, see ``engine.data.views``."""
        self._caches: dict[str, PixelCache | None] = {}
        if (folder / "x.npy").exists():
            self.arrays = np.load(folder / "x.npy", mmap_mode="r").view(np.ndarray)  # indexing a memmap costs more
            pixels = self.arrays.dtype == np.uint8  # all that was stored as bytes before reports had a scale
            self._scale = self.report.scale or (255.0 if pixels else None)
        elif self.is_text or self.report.audio:
            self._scale = None
        else:
            self._files = ImageFiles(folder)
        none = (self.is_text or self.report.masks) and not (folder / "y.npy").exists()  # a view has them: the texts' tokens, masks
        self.targets: np.ndarray[Any, Any] = np.zeros(self.report.samples, np.int64) if none else np.load(folder / "y.npy")

    def __len__(self) -> int:
        return len(self.targets)

    @functools.cached_property
    def splits(self) -> dict[str, np.ndarray[Any, Any]]:
        """The indices of each split (``train``, ``val``, ``test``) where the upload has its own; else empty."""
        if not (self.folder / "split.npy").exists():
            return {}
        names = np.load(self.folder / "split.npy")
        return {str(name): np.flatnonzero(names == name) for name in np.unique(names)}

    def targets_as(self, kind: Kind) -> np.ndarray[Any, Any] | None:
        """The targets as a loss wants them; None where they cannot be read so.

        Numbers of whole-number targets: ``y_numbers.npy`` where the upload's reader wrote it, two classes as 0 and 1 of shape ``(N, 1)``,
        and arrays of several whole numbers a sample (several labels, tokens, maps) as they are.
        """
        whole = self.targets.dtype.kind == "i"
        if kind == "classes":
            return self.targets if whole else None
        other = self.folder / "y_numbers.npy"
        if other.exists():
            return np.load(other)
        if not whole:
            return self.targets if self.targets.ndim > 1 else self.targets[:, None]
        if self.targets.ndim > 1:
            return self.targets.astype(np.float32)
        classes = self.report.classes
        return self.targets.astype(np.float32)[:, None] if classes is not None and len(classes) == 2 else None

    @functools.cached_property
    def index_limit(self) -> int | None:
        """Where samples are whole numbers from 0 on, which may be indices, the number that each is below; else None."""
        x = self.arrays
        if x is None or self._scale or x.dtype.kind not in "iuf" or not x.size:
            return None
        top, step = -1, max(1, _PIECE_BYTES // max(1, x[:1].nbytes))
        for start in range(0, len(x), step):
            piece = x[start : start + step]
            if piece.min() < 0 or (piece.dtype.kind == "f" and not (piece == np.floor(piece)).all()):
                return None
            top = max(top, int(piece.max()))
        return top + 1

    @property
    def is_image(self) -> bool:
        return self.report.format == "imagefolder"

    @functools.cached_property
    def lengths(self) -> np.ndarray[Any, Any] | None:
        """How long each sequence is, ``(N,)``, where they are padded with zeros; else None."""
        known = self.folder / "lengths.npy"
        return np.load(known) if known.exists() else None

    @property
    def is_text(self) -> bool:
        """Whether samples are texts, which a spec reads as tokens (``engine.data.views``)."""
        return self.report.text is not None

    predicts_next = False
    """Whether its targets are the elements that come next."""

    @property
    def known(self) -> dict[str, Any]:
        """What a model's file says of how samples are read, beside the report and the columns: the tokenizer of texts."""
        return {}

    @functools.cached_property
    def image_sizes(self) -> list[tuple[int, int]]:
        """The different ``(height, width)`` of images that are kept as files, by their headers; kept in the folder, since there may be many."""
        kept = self.folder / "sizes.json"
        if kept.exists():
            return [(h, w) for h, w in json.loads(kept.read_text())]
        found = self._files.sizes()
        with contextlib.suppress(OSError):  # a folder that cannot be written to
            part = kept.with_suffix(f".{os.getpid()}")
            part.write_text(json.dumps(found))
            part.replace(kept)
        return found

    def raw(self, i: int) -> Tensor:
        """One sample as stored: pixels ``(C, H, W)``, or an array of features."""
        if self.arrays is not None:
            return Tensor._wrap(np.array(self.arrays[i]))
        return Tensor._wrap(self._files.pixels(i))

    def sample(self, i: int, pipeline: Pipeline, draws: Draws | None = None) -> Tensor:
        """One transformed sample; without ``draws`` nothing is random."""
        return pipeline.finish(Tensor._wrap(self._prepared(i, pipeline)), draws.generator(i) if draws else None)

    def batch(self, indices: np.ndarray[Any, Any], pipeline: Pipeline, draws: Draws | None, shape: tuple[int, ...]) -> Tensor:
        """Transformed samples ``(n, *shape)``, in float32, or in int64 where they are kept so; without ``draws`` nothing is random."""
        if self.arrays is not None and pipeline.is_empty:
            rows = self.arrays[indices]
            if rows.dtype.kind == "i":  # tokens, categories: numbers are kept as float32
                return Tensor._wrap(rows)
            numbers = copied(rows, np.float32)
            if self._scale:
                numbers /= np.float32(self._scale)
            return Tensor._wrap(numbers)
        compiled = pipeline.compiled(draws is not None, shape[0]) if self.is_image else None
        if compiled is not None:
            whole = self._whole(compiled, indices, pipeline, draws, shape)
            if whole is not None:
                return whole
        return Tensor._wrap(np.stack([self.sample(int(i), pipeline, draws)._data for i in indices]))

    def targets_of(self, targets: np.ndarray[Any, Any], indices: np.ndarray[Any, Any], draws: Draws | None) -> np.ndarray[Any, Any]:
        """Those of some samples, out of the ``targets`` of all; for an epoch of training as the samples are transformed by its ``draws``."""
        return targets[indices]

    def _whole(
        self, compiled: Compiled, indices: np.ndarray[Any, Any], pipeline: Pipeline, draws: Draws | None, shape: tuple[int, ...]
    ) -> Tensor | None:
        """A batch whose tail is done in compiled code; None if an image does not come out in ``shape``."""
        prepared = [self._prepared(int(i), pipeline) for i in indices]
        if not pipeline.head(draws is not None):
            return compiled(prepared, indices, draws, [0] * len(prepared), shape)
        generators = [draws.generator(int(i)) if draws else None for i in indices]
        begun = [pipeline.begun(Tensor._wrap(x), g).numpy() for x, g in zip(prepared, generators, strict=True)]
        return compiled(begun, indices, draws, [g.get_state()[2] if g else 0 for g in generators], shape)

    def _prepared(self, i: int, pipeline: Pipeline) -> Pixels:
        """One sample's pixels after the pipeline's prefix, decoded no more than once."""
        if self.arrays is not None and not pipeline.prefix:
            return self.arrays[i]
        cache = self._cache(pipeline)
        found = cache.get(i) if cache else None
        if found is None:
            found = pipeline.prepare(self.raw(i)).numpy()
            if cache and found.dtype == np.uint8:
                cache.put(i, found)
        return found

    def _cache(self, pipeline: Pipeline) -> PixelCache | None:
        """The cache of a prefix; None in a folder that cannot be written to."""
        key = json.dumps(pipeline.key)
        if key not in self._caches:
            try:
                self._caches[key] = PixelCache(self.folder / "cache", len(self), pipeline.key)
            except OSError:
                self._caches[key] = None
        return self._caches[key]


def open_source(folder: Path) -> Source:
    """A prepared dataset. Raises FileNotFoundError where the folder is none."""
    if not (folder / "dataset.json").exists():
        raise FileNotFoundError(f"{folder} is not a prepared dataset")
    return Source(folder)
