"""No size or stride of 0 ends the process, in any kernel."""

import subprocess
import sys

import pytest

from engine.kernels.native import native

pytestmark = pytest.mark.skipif(native() is None, reason="no compiled kernels on this machine, or EPOCHLINE_KERNELS=numpy")
BY_OTHER_TESTS = {"augment", "matmul_update"}  # tests/data; a product, and a formula like others behind it


def test_every_kernel_takes_sizes_and_strides_of_zero() -> None:
    kernels = native()
    assert kernels is not None
    ran = subprocess.run([sys.executable, "-m", "tests.capture.zeroed"], capture_output=True, text=True, timeout=100)
    lines = ran.stdout.splitlines()
    assert ran.returncode == 0, f"it ended at {lines[-1] if lines else 'the start'}\n{ran.stderr}"
    assert len(lines) > 2000
    assert set(kernels.numbers) - set(lines[-1].split()) <= BY_OTHER_TESTS
