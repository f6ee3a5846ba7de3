"""Memory that arrays gave back is there for the next ones."""

import os
import platform
import subprocess
import sys

import pytest

STEPS = """
import resource
import engine as torch

def step():
    held = [torch.ones(512, 1024) for _ in range(20)]

step()
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library keeps memory in its own way")
def test_pages_do_not_fault_anew_at_each_step() -> None:
    """Five steps of 40 MiB are 51,200 pages of 4 KiB; whoever asks for glibc's own way gets it."""

    def faults(**environment: str) -> int:
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
        return int(subprocess.run([sys.executable, "-c", STEPS], env=plain | environment, check=True, capture_output=True).stdout)

    assert faults() < 500
    assert faults(MALLOC_TRIM_THRESHOLD_="131072", MALLOC_MMAP_THRESHOLD_="1048576") > 5_000
