"""Build step: compiles the CPU kernels with the compiler in the ``ziglang`` wheel, so that no machine needs one of its own.

One library for each level of processor; the package chooses when it is loaded. Run by the build hook, or by hand.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "engine" / "kernels" / "cpu"
FLAGS = [
    "-x", "c++", "-std=c++20", "-O3", "-ffp-contract=fast", "-fPIC", "-shared", "-fvisibility=hidden", "-fomit-frame-pointer", "-fno-exceptions", "-fno-rtti", "-nostdlib++",
    "-Wall", "-Wextra", "-Werror", "-s",
]  # fmt: skip
BUILDS = {
    ("linux", "x86_64"): {"x86-64-v3": ["x86_64-linux-gnu.2.17", "x86_64_v3"], "x86-64-v4": ["x86_64-linux-gnu.2.17", "x86_64_v4"]},
    ("linux", "aarch64"): {"arm64": ["aarch64-linux-gnu.2.17", "generic"]},
    ("darwin", "arm64"): {"arm64": ["aarch64-macos", "apple_m1"]},
}


def build(folder: Path = SOURCES / "build") -> list[Path]:
    """Compiles what this kind of machine can use; nothing where the sources have not changed. Raises CalledProcessError."""
    targets = BUILDS.get((sys.platform, platform.machine()), {})
    sources = sorted(p for p in SOURCES.iterdir() if p.suffix in (".h", ".inc", ".cpp"))
    stamp = hashlib.sha256(b"".join(p.read_bytes() for p in [*sources, Path(__file__)])).hexdigest()
    mark = folder / "SOURCES"
    libraries = [folder / f"{name}.so" for name in targets]
    if mark.exists() and mark.read_text() == stamp and all(p.exists() for p in libraries):
        return libraries
    folder.mkdir(exist_ok=True)

    def compile_one(name: str) -> None:
        target, processor = targets[name]
        command = [sys.executable, "-m", "ziglang", "cc", "-target", target, f"-mcpu={processor}", *FLAGS]
        subprocess.run([*command, "-o", str(folder / f"{name}.so"), str(SOURCES / "kernels.cpp"), "-lpthread"], check=True)

    with ThreadPoolExecutor() as pool:
        list(pool.map(compile_one, targets))
    mark.write_text(stamp)
    return libraries


if __name__ == "__main__":
    for path in build():
        print(path, path.stat().st_size, "bytes")
