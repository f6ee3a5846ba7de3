"""What the C library does with memory that arrays gave back: it keeps some for the next ones."""

from __future__ import annotations

import ctypes
import os

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
