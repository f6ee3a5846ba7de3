"""Samples that somebody gives to a finished model, read as those were that it was trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from engine.data.audio import wav
from engine.data.audio.spectrogram import Settings, picture, stored
from engine.data.batches import Pipeline
from engine.data.ingest import DIGEST
from engine.data.report import Report
from engine.data.source import Source
from engine.data.tables.columns import Column, encode_row
from engine.data.text.encoded import padded
from engine.data.text.tokenizers import from_json
from engine.tensor import Tensor
from engine.vision.decode import Picture, decode, plain
from engine.vision.io import to_array, to_pil

Array = np.ndarray[Any, Any]
_KEPT = ("format", "samples", "shape", "classes", "target", "channels", "scale", "ranges")
COLUMNS = "columns.json"


def described(source: Source) -> dict[str, Any]:
    """What it takes to read another sample as those of a dataset were read, as JSON: parts of its report, and the columns of a table."""
    found: dict[str, Any] = {k: getattr(source.report, k) for k in _KEPT}
    if (source.folder / DIGEST).exists():
        found["sha256"] = (source.folder / DIGEST).read_text()
    if (source.folder / COLUMNS).exists():
        found["columns"] = json.loads((source.folder / COLUMNS).read_text())
    return found


class _Samples(Source):
    """Samples in memory, as a prepared dataset has them."""

    def __init__(self, report: Report, samples: list[Array]) -> None:
        self.report, self.targets, self._samples = report, np.zeros(len(samples)), samples
        self.arrays = None if self.is_image else np.stack(samples)
        self._scale = report.scale or (255.0 if self.arrays is not None and self.arrays.dtype == np.uint8 else None)

    def raw(self, i: int) -> Tensor:
        return Tensor._wrap(self._samples[i])

    def _cache(self, pipeline: Pipeline) -> None:
        return None


class Reader:
    """Reads samples by what ``described`` said of a dataset, texts by the ``tokenizer`` of a model's file, recordings by its ``audio``."""

    def __init__(self, known: dict[str, Any], tokenizer: dict[str, Any] | None = None, audio: dict[str, Any] | None = None) -> None:
        self._audio = None if audio is None else Settings(**{k: v for k, v in audio.items() if k != "stored_rate"})
        self._stored_rate = 0 if audio is None else int(audio["stored_rate"])
        self._tokenizer = None if tokenizer is None else from_json(tokenizer)
        self._length = 0 if tokenizer is None else tokenizer["max_length"]
        self._report = Report(**{k: v for k, v in known.items() if k in _KEPT})
        self.columns = [Column(**c) for c in known.get("columns", ())]
        self.is_image = self._report.format == "imagefolder"
        self._shape = None if self.is_image else tuple(self._report.shape or ())

    @property
    def reads_text(self) -> bool:
        """Whether a sample is a text."""
        return self._tokenizer is not None

    def several(self, given: Any) -> list[Any] | None:
        """The samples of a list, or of an array with an axis more than one sample has; None for one sample."""
        if isinstance(given, Tensor):
            given = given.numpy()
        if isinstance(given, np.ndarray):
            one = given.ndim <= 3 if self._shape is None else given.ndim <= max(1, len(self._shape))
            return None if one else list(given)
        if not isinstance(given, list | tuple):
            return None
        is_row = self._shape is not None and len(given) > 0 and all(isinstance(v, int | float) for v in given)
        return None if is_row else list(given)

    def sample(self, given: Any) -> Array:
        """One sample as prepared datasets store it. Raises ValueError, or Pillow's errors for a file that is no image."""
        given = given.numpy() if isinstance(given, Tensor) else given
        if self.is_image:
            return _in_channels(_pixels(given, self._report.ranges), self._report.channels or 3)
        if self._tokenizer is not None and isinstance(given, str):
            return padded([self._tokenizer.encode(given)], self._length)[0]
        if self._audio is not None and isinstance(given, str | Path | bytes):
            found = wav.decode(given if isinstance(given, bytes) else Path(given).read_bytes())
            return picture(stored(found, self._stored_rate), self._stored_rate, self._audio)
        if isinstance(given, Mapping):
            if not self.columns:
                raise ValueError(f"expected an array of shape {self._shape}, got a row by names: the model was not trained on a table")
            return encode_row(self.columns, given)
        return self._array(given)

    def _array(self, given: Any) -> Array:
        shape = self._shape or ()
        if isinstance(given, str | Path | bytes | Image.Image):
            if len(shape) != 3 or shape[0] not in (1, 3):
                raise ValueError(f"expected an array of shape {shape}, got {type(given).__name__}: the model was not trained on images")
            given = _in_channels(_pixels(given, None), shape[0])
        x: Array = np.asarray(given)
        if x.shape != shape and len(shape) == 3 and x.ndim == 3 and (x.shape[2], *x.shape[:2]) == shape:
            x = x.transpose(2, 0, 1)
        if x.shape != shape or x.dtype.kind not in "iufb":
            raise ValueError(f"expected numbers of shape {shape}, got {x.dtype.name} of shape {x.shape}")
        if not self._report.scale:
            return x.astype(np.float32)
        if x.dtype != np.uint8 and not ((x >= 0) & (x <= 255) & (x == np.floor(x))).all():
            raise ValueError("expected pixels, whole numbers from 0 to 255")
        return x.astype(np.uint8)

    def source(self, samples: list[Array]) -> Source:
        """Samples as ``sample`` gives them, to be read in batches."""
        return _Samples(self._report, samples)


def _pixels(given: Any, ranges: Any) -> Array:
    """The pixels ``(1 or 3, H, W)`` of an image: of a file by its path or content, of Pillow, or of an array ``(H, W)``, ``(H, W, C)`` or ``(C, H, W)``."""
    picture: Picture
    if isinstance(given, str | Path):
        picture = decode(Path(given).read_bytes(), str(given), ranges)
    elif isinstance(given, bytes):
        picture = decode(given, "x.gif" if given.startswith(b"GIF8") else "", ranges)
    elif isinstance(given, Image.Image):
        picture = plain(given, ranges)
    elif isinstance(given, np.ndarray) and given.ndim in (2, 3):
        if given.ndim == 3 and given.shape[2] not in (1, 3, 4) and given.shape[0] in (1, 3, 4):
            given = np.ascontiguousarray(given.transpose(1, 2, 0))
        picture = plain(Image.fromarray(given[..., 0] if given.ndim == 3 and given.shape[2] == 1 else given), ranges)
    else:
        shape = f" of shape {given.shape}" if isinstance(given, np.ndarray) else ""
        raise ValueError(f"expected an image: a path, bytes, a Pillow image or an array (H, W, C), got {type(given).__name__}{shape}")
    return picture.pixels


def _in_channels(pixels: Array, channels: int) -> Array:
    """Grey pixels as three equal channels, coloured ones as their luminance, where the other is wanted."""
    if len(pixels) == channels:
        return pixels
    return np.repeat(pixels, 3, 0) if channels == 3 else to_array(to_pil(pixels).convert("L"))
