"""Decoded images kept on disk: one file of pixels that every process maps and adds to, so that each image is decoded once.

A process may be killed, or the machine lose power, in the middle of anything: an entry counts only if the checksum of its pixels is right, so what
was half written is decoded again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import mmap
import os
import threading
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from engine.vision.io import Pixels

_ALIGN = 64
_LEFT_FREE = 0.1  # of the disk


class PixelCache:
    """uint8 images ``(C, H, W)`` of any sizes by number; ``key`` names what was done to them. Safe between threads and processes of one machine."""

    def __init__(self, folder: Path, n: int, key: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
        self._pixels = os.open(folder / f"{name}.pixels", os.O_RDWR | os.O_CREAT, 0o666)
        index = os.open(folder / f"{name}.index", os.O_RDWR | os.O_CREAT, 0o666)
        os.ftruncate(index, n * 5 * 8)
        self._index = np.frombuffer(mmap.mmap(index, n * 5 * 8), np.int64).reshape(n, 5)
        os.close(index)
        self._map: np.ndarray[Any, np.dtype[np.uint8]] = np.empty(0, np.uint8)
        self._checked = np.zeros(n, bool)
        self._turn = threading.Lock()  # the file's lock is between processes only

    def __del__(self) -> None:
        if hasattr(self, "_pixels"):
            os.close(self._pixels)

    def get(self, i: int) -> Pixels | None:
        """The image, mapped; None if it is not here."""
        end, *shape, checksum = (int(v) for v in self._index[i])
        size = shape[0] * shape[1] * shape[2]
        if not end:
            return None
        if end > len(self._map):
            length = os.fstat(self._pixels).st_size
            if end > length:
                return None
            self._map = np.frombuffer(mmap.mmap(self._pixels, length, prot=mmap.PROT_READ), np.uint8)
        pixels = self._map[end - size : end]
        if not self._checked[i]:
            if zlib.crc32(pixels.data) != checksum:
                return None
            self._checked[i] = True
        return pixels.reshape(shape)

    def put(self, i: int, pixels: Pixels) -> None:
        """Keeps an image, unless the disk is nearly full."""
        disk = os.fstatvfs(self._pixels)
        if disk.f_bavail * disk.f_frsize < _LEFT_FREE * disk.f_blocks * disk.f_frsize + pixels.nbytes:
            return
        pixels = np.ascontiguousarray(pixels)
        with self._turn, suppress(OSError):  # training goes on without
            fcntl.flock(self._pixels, fcntl.LOCK_EX)
            try:
                start = -(-os.fstat(self._pixels).st_size // _ALIGN) * _ALIGN
                os.pwrite(self._pixels, pixels.data, start)
            finally:
                fcntl.flock(self._pixels, fcntl.LOCK_UN)
            self._index[i] = (start + pixels.nbytes, *pixels.shape, zlib.crc32(pixels.data))
