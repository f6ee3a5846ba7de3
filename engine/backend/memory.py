"""Where arrays lie: large ones begin with a line of the cache, and the C library keeps some of what arrays gave back for the next ones."""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

LINE = 64
"""Bytes of a line of the cache, and of the widest register."""
_LARGE = 1 << 14


def aligned(make: Callable[..., np.ndarray[Any, Any]], shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    """``make(shape, dtype)``, NumPy's ``empty`` or ``zeros``. A large one begins with a line of the cache, so that no vector of it lies in two."""
    dtype = np.dtype(dtype)
    size = math.prod(shape)
    if size * dtype.itemsize < _LARGE:
        return make(shape, dtype)
    whole = make(size + LINE // dtype.itemsize, dtype)
    skipped = -whole.__array_interface__["data"][0] % LINE // dtype.itemsize
    return whole[skipped : skipped + size].reshape(shape)


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's ``mallopt``."""


def keep_freed_memory() -> None:
    """Up to 256 MiB stay with the process, in pieces below 32 MiB; other C libraries than glibc, and limits from the environment, are left alone.

    A step of training allocates what the last one freed. By default glibc hands that to the system in between, and each page faults anew.
    """
    if {"MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"} & os.environ.keys() or "malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    try:
        adjust = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    adjust(_MMAP_THRESHOLD, 32 << 20)
    adjust(_TRIM_THRESHOLD, 256 << 20)


def available_memory() -> int:
    """Bytes of main memory that can be had without swapping."""
    try:
        with open("/proc/meminfo") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
