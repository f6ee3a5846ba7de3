"""Recordings as pictures of their frequencies: resampled, cut to one length, as the logarithm of a mel spectrogram.

The names and formulas are torchaudio's (``Resample``, ``MelSpectrogram`` with HTK's mel scale).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.data.audio.wav import Recording, Samples

Array = np.ndarray[Any, Any]
_ZEROS, _ROLLOFF = 6, 0.99
_FLOOR = 1e-6
_FULL = 32767


@dataclass(frozen=True)
class Settings:
    """``sample_rate`` in Hz, ``seconds`` of a sample; a column of the picture is of ``n_fft`` samples, every ``hop_length``; ``n_mels`` rows from ``f_min`` to ``f_max`` Hz."""

    sample_rate: int
    seconds: float
    n_fft: int
    hop_length: int
    n_mels: int
    f_min: float
    f_max: float

    @property
    def length(self) -> int:
        """How many samples are looked at."""
        return max(1, round(self.seconds * self.sample_rate))

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of a picture: one channel, mels, columns."""
        return 1, self.n_mels, self.length // self.hop_length + 1


def stored(recording: Recording, rate: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    """A recording as a dataset keeps it: ``rate`` samples a second, 16 bits each."""
    return (np.clip(resample(recording.samples, recording.rate, rate), -1, 1) * _FULL).round().astype(np.int16)


def picture(kept: np.ndarray[Any, np.dtype[np.int16]], rate: int, settings: Settings) -> Array:
    """The picture of a recording that is kept so."""
    return log_mel(resample((kept / np.float32(_FULL)).astype(np.float32), rate, settings.sample_rate), settings)


def resample(x: Samples, rate: int, to: int) -> Samples:
    """``x`` with ``to`` samples a second in place of ``rate``: by a windowed sinc, so that frequencies above half of either rate are left out."""
    if rate == to or not len(x):
        return x
    common = math.gcd(rate, to)
    old, new = rate // common, to // common
    kernels, width = _kernels(old, new)
    count = -(-new * len(x) // old)
    steps = -(-count // new)
    around = np.zeros((steps - 1) * old + kernels.shape[1], np.float32)
    held = x[: len(around) - width]
    around[width : width + len(held)] = held
    frames = np.lib.stride_tricks.sliding_window_view(around, kernels.shape[1])[::old][:steps]
    found: Samples = (frames @ kernels.T).reshape(-1)[:count].astype(np.float32)
    return found


@functools.lru_cache(16)
def _kernels(old: int, new: int) -> tuple[Array, int]:
    """For each of ``new`` places between ``old`` samples the weights of the samples around it, and how many lie before the first."""
    cutoff = min(old, new) * _ROLLOFF
    width = math.ceil(_ZEROS * old / cutoff)
    at = np.arange(-width, width + old)[None] / old - np.arange(new)[:, None] / new
    t = np.clip(at * cutoff, -_ZEROS, _ZEROS)
    return (np.sinc(t) * np.cos(t * np.pi / _ZEROS / 2) ** 2 * cutoff / old).astype(np.float32), width


def log_mel(x: Samples, settings: Settings) -> Array:
    """The picture ``(1, n_mels, columns)`` of one recording, float32: the natural logarithm of the power in each band. Shorter recordings are followed by silence, longer cut."""
    held = np.zeros(settings.length, np.float32)
    held[: min(len(x), settings.length)] = x[: settings.length]
    half = settings.n_fft // 2
    around = np.pad(held, half, mode="reflect" if settings.length > half else "constant")
    frames = np.lib.stride_tricks.sliding_window_view(around, settings.n_fft)[:: settings.hop_length]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(settings.n_fft) / settings.n_fft)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    found: Array = np.log(_filters(settings) @ power.T + _FLOOR)[None].astype(np.float32)
    return found[:, :, : settings.shape[2]]


@functools.lru_cache(16)
def _filters(settings: Settings) -> Array:
    """How much of each frequency belongs to each band, ``(n_mels, n_fft // 2 + 1)``: triangles between points that are equally far on the mel scale."""
    low, high = (2595 * math.log10(1 + f / 700) for f in (settings.f_min, settings.f_max))
    points = 700 * (10 ** (np.linspace(low, high, settings.n_mels + 2) / 2595) - 1)
    frequencies = np.linspace(0, settings.sample_rate // 2, settings.n_fft // 2 + 1)
    slopes = points[:, None] - frequencies
    width = np.diff(points)
    return np.maximum(0, np.minimum(-slopes[:-2] / width[:-1, None], slopes[2:] / width[1:, None]))
