"""``python -m worker.doctor``: looks at what this machine offers the service, and prints what it finds as JSON."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import click
import numpy as np

import engine
from engine.backend import available_memory, cuda_device_count
from engine.creation import ones
from engine.kernels.native import address, native
from worker.embedded import Store, binary

Status = Literal["ok", "note", "warning", "error"]
Finding = tuple[str, Status, str]
_SLOW_FSYNC_S = 0.05
_LITTLE_BYTES = 1 << 30
_EXTRAS = {"simplejpeg": "faster decoding of JPEG", "scipy": "special functions", "fastmcp": "`epochline mcp`"}


def _versions() -> Iterator[Finding]:
    yield "epochline", "ok", f"{engine.__version__} in {Path(engine.__file__).parents[1]}"
    names = ("numpy", "pydantic", "fastapi", "redis", "rq")
    packages = ", ".join(f"{n} {importlib.metadata.version(n)}" for n in names)
    yield "Python", "ok", f"{platform.python_version()} on {platform.platform()}, {packages}"
    missing = [f"{n} ({what})" for n, what in _EXTRAS.items() if not _installed(n)]
    if missing:
        yield "extras", "note", f"not installed: {', '.join(missing)}"


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _kernels() -> Iterator[Finding]:
    """Loads the compiled kernels, and has one compute."""
    kernels = native()
    if kernels is None:
        reason = "EPOCHLINE_KERNELS says so" if os.environ.get("EPOCHLINE_KERNELS") == "numpy" else "no build fits this processor"
        yield "kernels", "warning", f"not used, {reason}: everything runs on NumPy, several times slower"
        return
    m, n, k = 3, 5, 7
    a, b, c = np.arange(m * k, dtype=np.float32), np.arange(k * n, dtype=np.float32), np.zeros(m * n, np.float32)
    kernels.call("matmul", 0, 0, 0, 1, m, n, k, address(a), address(b), address(c), k, 1, n, 1, n, 1, 0, 0, 0, 0, 0, 0)
    if not np.array_equal(c.reshape(m, n), a.reshape(m, k) @ b.reshape(k, n)):
        yield "kernels", "error", f"{kernels.path.name} computes wrong products on this processor; EPOCHLINE_KERNELS=numpy does without"
        return
    yield "kernels", "ok", f"{kernels.path.name}, {len(kernels.numbers)} kernels, used; a product computed right"


def _machine() -> Iterator[Finding]:
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = available_memory()
    yield "machine", "ok" if memory >= _LITTLE_BYTES else "warning", f"{cpus} CPUs, {memory / (1 << 30):.1f} GiB of memory available"


def _gpu() -> Iterator[Finding]:
    """CuPy, and what ``nvidia-smi`` sees."""
    seen = _seen_by_driver()
    count = cuda_device_count()
    if count:
        x = ones(64, 64, device="cuda")
        right = float((x @ x).sum()) == 64.0**3
        status: Status = "ok" if right else "error"
        yield "GPU", status, f"{count} usable: {seen or 'CUDA'}; a product computed {'right' if right else 'wrong'}"
    elif seen:
        yield "GPU", "warning", f"{seen}, but CuPy cannot use it: pip install 'epochline[cuda]'"
    else:
        yield "GPU", "note", "none"


def _seen_by_driver() -> str:
    if shutil.which("nvidia-smi") is None:
        return ""
    done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20)
    return "; ".join(line.split(" (UUID")[0] for line in done.stdout.splitlines()) if done.returncode == 0 else ""


def _store() -> Iterator[Finding]:
    """Starts the embedded store, writes and reads."""
    path = binary()
    with tempfile.TemporaryDirectory(prefix="epochline-", dir="/tmp" if os.path.isdir("/tmp") else None) as folder:
        store = Store(Path(folder))
        try:
            store.start()
        finally:
            store.stop()
    version = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20).stdout
    number = next((w for w in version.split() if w.startswith("v=")), version.strip()[:60])
    yield "store", "ok", f"{path} ({number}) starts and answers"


def _folder(data: Path) -> Iterator[Finding]:
    """Whether the data folder can be written, how much room there is, and how long a write takes that is safe."""
    there = data
    while not there.exists():
        there = there.parent
    missing = "" if there == data else f"; {data} will be made there"
    with tempfile.NamedTemporaryFile(dir=there, prefix=".doctor-") as file:
        spent = []
        for _ in range(5):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            spent.append(time.perf_counter() - began)
    fsync_s, free = statistics.median(spent), shutil.disk_usage(there).free
    little, slow = free < _LITTLE_BYTES, fsync_s > _SLOW_FSYNC_S
    detail = f"{there.resolve()} can be written, {free / (1 << 30):.1f} GiB free, fsync takes {fsync_s * 1000:.1f} ms{missing}"
    yield (
        "data",
        "warning" if little or slow else "ok",
        detail + ("; little room" if little else "") + ("; a slow disk slows every record" if slow else ""),
    )


def findings(data: Path) -> Iterator[Finding]:
    """Everything, one after the other; what fails is an error, and the others are looked at all the same."""
    parts: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("epochline", _versions), ("kernels", _kernels), ("machine", _machine), ("GPU", _gpu), ("store", _store),
        ("data", lambda: _folder(data)),
    )  # fmt: skip
    for name, part in parts:
        try:
            yield from part()
        except OSError as error:
            yield name, "error", f"{error.filename or ''}: {error.strerror or error}".removeprefix(": ")
        except Exception as error:  # whatever is wrong here, the other findings are needed all the more
            yield name, "error", f"{type(error).__name__}: {error}"


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=Path("data"), envvar="EPOCHLINE_DATA")
def main(data: Path) -> None:
    """Prints a line of JSON for each finding."""
    for finding in findings(data.absolute()):
        sys.stdout.write(json.dumps(finding) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
