"""Recordings as training reads them: pictures of their frequencies."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.audio.reader import Sounds
from engine.data.audio.spectrogram import Settings, picture
from engine.data.source import Source
from engine.spec.problems import Problem, SpecError, pointer

Array = np.ndarray[Any, Any]
_LONGEST_S = 10.0
"""Seconds of a sample at most, where a spec does not say it."""


class SoundSource(Source):
    """Samples ``(1, n_mels, columns)``, float32: logarithms of mel spectrograms by the ``settings``."""

    def __init__(self, base: Source, settings: Settings, pictures: Array) -> None:
        self.__dict__.update(base.__dict__)
        self.settings, self.arrays, self._scale = settings, pictures, None
        self.report = dataclasses.replace(base.report, shape=list(settings.shape))

    index_limit = None

    @property
    def known(self) -> dict[str, Any]:
        """What it takes to make another picture alike."""
        assert self.report.audio is not None
        return {"audio": {"stored_rate": self.report.audio["sample_rate"], **dataclasses.asdict(self.settings)}}


def pictured(source: Source, spec: dict[str, Any]) -> SoundSource:
    """The pictures of a source of recordings by ``data.audio`` of a spec; kept in the dataset's cache. Raises SpecError for settings that cannot be."""
    settings = _settings(source, spec["data"]["audio"] or {})
    name = hashlib.sha256(json.dumps(dataclasses.asdict(settings)).encode()).hexdigest()[:16]
    kept = source.folder / "cache" / f"{name}.audio.npy"
    try:
        pictures = np.load(kept, mmap_mode="r")
        if pictures.shape == (len(source), *settings.shape):
            return SoundSource(source, settings, pictures.view(np.ndarray))
    except (OSError, ValueError):  # none yet, or one that was not written whole
        pass
    made = _pictures(source, settings)
    _keep(kept, made)
    return SoundSource(source, settings, made)


def _pictures(source: Source, settings: Settings) -> Array:
    assert source.report.audio is not None
    sounds, rate = Sounds(source.folder), source.report.audio["sample_rate"]
    out = np.empty((len(sounds), *settings.shape), np.float32)
    for i in range(len(sounds)):
        out[i] = picture(sounds[i], rate, settings)
    return out


def _keep(path: Path, pictures: Array) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(exist_ok=True)
        with part.open("wb") as file:
            np.save(file, pictures)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:  # a folder that cannot be written to
        part.unlink(missing_ok=True)


def _settings(source: Source, given: dict[str, Any]) -> Settings:
    """``data.audio`` with what it leaves open."""
    known = source.report.audio or {}
    rate = given.get("sample_rate") or known["sample_rate"]
    seconds = given.get("seconds") or min(_LONGEST_S, max(0.05, known["seconds"]["p95"]))
    n_fft = given.get("n_fft") or max(16, round(0.025 * rate))
    hop = given.get("hop_length") or max(1, round(0.01 * rate))
    settings = Settings(
        rate, float(seconds), n_fft, hop, given.get("n_mels") or 64, float(given.get("f_min") or 0), float(given.get("f_max") or rate / 2)
    )
    if not settings.f_min < settings.f_max <= rate / 2:
        detail = f"expected f_min < f_max <= {rate / 2:g}, half of the sample rate, got {settings.f_min:g} and {settings.f_max:g}"
        raise SpecError([Problem("/data/audio/f_max", "invalid", detail, rate / 2, settings.f_max)])
    if settings.shape[1] * settings.shape[2] > 1 << 24:
        raise SpecError(
            [
                Problem(
                    pointer("/data/audio", "seconds"), "too_large", f"a picture of {settings.shape[1]}x{settings.shape[2]}", None, seconds
                )
            ]
        )
    return settings
