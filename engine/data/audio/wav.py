"""Wave files: whole numbers of 8, 16, 24 and 32 bits, and floating-point numbers (which the standard library's ``wave`` does not read)."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np

Samples = np.ndarray[Any, np.dtype[np.float32]]
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
MAX_CHANNELS = 64


class Recording(NamedTuple):
    """One channel from -1 to 1, how many samples a second it has, and of how many channels it is the mean."""

    samples: Samples
    rate: int
    channels: int


def decode(content: bytes) -> Recording:
    """The recording in a file's ``content``; one that is cut off is read as far as it goes. Raises ValueError for what is no wave file."""
    if content[:4] not in (b"RIFF", b"RF64") or content[8:12] != b"WAVE":
        raise ValueError("not a wave file: it does not begin with RIFF and WAVE")
    chunks = dict(_chunks(content))
    if b"fmt " not in chunks or len(chunks[b"fmt "]) < 16 or b"data" not in chunks:
        raise ValueError("not a whole wave file: it has no format or no data")
    kind, channels, rate, _, frame, bits = struct.unpack("<HHIIHH", chunks[b"fmt "][:16])
    if kind == _EXTENSIBLE and len(chunks[b"fmt "]) >= 26:
        kind = struct.unpack("<H", chunks[b"fmt "][24:26])[0]
    if not 1 <= channels <= MAX_CHANNELS or not rate or frame != channels * ((bits + 7) // 8):
        raise ValueError(f"a wave file of {channels} channels, {rate} samples a second and {bits} bits, which cannot be")
    values = _numbers(chunks[b"data"][: len(chunks[b"data"]) // frame * frame], kind, bits)
    if not len(values):
        raise ValueError("a wave file without a sample")
    if not np.isfinite(values).all():
        raise ValueError("a wave file with samples that are NaN or infinite")
    mixed = values.reshape(-1, channels).mean(1, dtype=np.float64).astype(np.float32)
    return Recording(mixed, rate, channels)


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 12
    while at + 8 <= len(content):
        name, size = content[at : at + 4], struct.unpack("<I", content[at + 4 : at + 8])[0]
        found.append((name, content[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return found[::-1]  # of several of one name, the first counts


def _numbers(data: bytes, kind: int, bits: int) -> Samples:
    """Samples from -1 to 1."""
    if kind == _FLOAT and bits in (32, 64):
        return np.frombuffer(data, f"<f{bits // 8}").astype(np.float32)
    if kind == _PCM and bits == 8:
        return ((np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128).astype(np.float32)
    if kind == _PCM and bits in (16, 32):
        return (np.frombuffer(data, f"<i{bits // 8}") / 2.0 ** (bits - 1)).astype(np.float32)
    if kind == _PCM and bits == 24:
        three = np.frombuffer(data, np.uint8).reshape(-1, 3)
        wide = np.zeros((len(three), 4), np.uint8)
        wide[:, 1:] = three  # the upper bytes of 32 bits, so that the sign is right
        return (wide.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
    raise ValueError(f"a wave file of format {kind} with {bits} bits: expected uncompressed PCM, or floating-point numbers")
