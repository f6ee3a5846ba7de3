"""The compiled kernels for the CPU: which library fits the processor, and the few functions it has.

``EPOCHLINE_KERNELS=numpy`` leaves them out: NumPy is the reference and the fallback. They are built with the package
(``scripts/build_kernels.py``); where no build fits, everything runs on NumPy too. The name of a build, or the path of a library, takes that one.
``EPOCHLINE_THREADS`` is how many threads they start with, 1 unless it says otherwise; see ``set_num_threads``.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

_FOLDER = Path(__file__).parent / "cpu" / "build"


def _interface_address(array: np.ndarray[Any, Any]) -> int:
    return int(array.__array_interface__["data"][0])


def _field_address(array: np.ndarray[Any, Any]) -> int:
    return int(_int64_at(id(array) + _HEAD).value)


_int64_at = ctypes.c_int64.from_address
_HEAD = object.__basicsize__  # NumPy's ABI: the pointer to the elements comes right behind what all objects begin with
_sample = np.empty(3)
_is_field = sys.implementation.name == "cpython" and _field_address(_sample) == _interface_address(_sample)
address = _field_address if _is_field else _interface_address
"""Where an array lies; it must be held by a name while that is used. By NumPy's own attributes it takes seven times as long."""


class Native:
    """A loaded library. ``run(code, size)`` runs a program of ``size`` 64-bit numbers at the address ``code``, ``repeat`` does several times; 0, or what went wrong."""

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(str(path))
        library.epochline_kernel.restype = ctypes.c_char_p
        library.epochline_kernel.argtypes = [ctypes.c_int64]
        library.epochline_conv_workspace.restype = ctypes.c_int64
        library.epochline_conv_workspace.argtypes = [ctypes.c_void_p, ctypes.c_int64]
        library.epochline_vector.restype = ctypes.c_int64
        library.epochline_threads.argtypes = [ctypes.c_int64]
        self.run: Any = library.epochline_run
        self.run.argtypes = [ctypes.c_void_p, ctypes.c_int64]
        self.run.restype = ctypes.c_int64
        self.repeat: Any = library.epochline_repeat
        self.repeat.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64]
        self.repeat.restype = ctypes.c_int64
        self.conv_workspace: Any = library.epochline_conv_workspace
        self.vector = int(library.epochline_vector())
        self.path = path
        self.numbers: dict[str, int] = {}
        while name := library.epochline_kernel(len(self.numbers)):
            self.numbers[name.decode()] = len(self.numbers)
        self._threads = library.epochline_threads
        self.threads = 1

    def call(self, name: str, *arguments: int) -> int:
        """Runs one kernel; 0, or what went wrong. What the arguments point to must live as long as the call."""
        code = np.array([self.numbers[name], len(arguments), *arguments], np.int64)
        return int(self.run(address(code), len(code)))

    @functools.cached_property
    def peak(self) -> float:
        """Additions and multiplications a second that one thread cannot exceed: those of a product that stays in the cache, and a quarter."""
        m, n, k = 96, 128, 256
        a, b, c = (np.ones(size, np.float32) for size in (m * k, k * n, m * n))
        spent: list[float] = []
        for _ in range(20):
            began = time.perf_counter()
            self.call("matmul", 0, 0, 0, 1, m, n, k, address(a), address(b), address(c), k, 1, n, 1, n, 1, 0, 0, 0, 0, 0, 0)
            spent.append(time.perf_counter() - began)
        return 1.25 * 2 * m * n * k / min(spent)

    def set_threads(self, n: int) -> None:
        self._threads(n)
        self.threads = n


def _features() -> set[str]:
    """What the processor can do, by Linux's names."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return set()
    return {word for line in text.splitlines() if line.startswith(("flags", "Features")) for word in line.split(":", 1)[1].split()}


def _levels() -> list[str]:
    """The builds that run here, the best first."""
    machine = platform.machine().lower()
    if machine in ("aarch64", "arm64"):
        return ["arm64"]
    have = _features()
    wide = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"} <= have
    v3 = {"avx2", "fma", "bmi2", "f16c"} <= have
    return [level for level, fits in (("x86-64-v4", wide and v3), ("x86-64-v3", v3)) if fits]


@functools.cache
def native() -> Native | None:
    """The kernels for this processor; None where NumPy has to do."""
    wanted = os.environ.get("EPOCHLINE_KERNELS", "native")
    if wanted not in ("native", "numpy", "x86-64-v3", "x86-64-v4", "arm64") and not wanted.endswith(".so"):
        raise ValueError(f"EPOCHLINE_KERNELS: expected native, numpy, the name of a build or a library's path, got {wanted!r}")
    fitting = [level for level in _levels() if wanted in ("native", level)]
    path = next((p for p in [Path(wanted)] * wanted.endswith(".so") + [_FOLDER / f"{level}.so" for level in fitting] if p.exists()), None)
    if path is None:
        return None
    kernels = Native(path)
    kernels.set_threads(_threads(os.environ.get("EPOCHLINE_THREADS", "1")))
    return kernels


def _threads(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"EPOCHLINE_THREADS: expected a positive integer, got {text!r}")
    return int(text)


def set_num_threads(n: int) -> None:
    """How many threads compute at once in compiled kernels. Results do not depend on it. Raises RuntimeError below 1."""
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise RuntimeError(f"set_num_threads expects a positive integer, got {n!r}")
    kernels = native()
    if kernels is not None:
        kernels.set_threads(n)


def get_num_threads() -> int:
    kernels = native()
    return 1 if kernels is None else kernels.threads
