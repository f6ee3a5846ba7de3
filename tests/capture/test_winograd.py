"""Winograd's algorithm against the direct one: every way in which its work is cut, with the same bits on any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine as torch
from engine.capture.rules.convolution import DIRECT, WINOGRAD
from engine.kernels.native import address, native
from engine.nn import functional as F
from tests.capture.test_kernels import agree, examples, normal

pytestmark = pytest.mark.skipif(native() is None, reason="no compiled kernels on this machine, or EPOCHLINE_KERNELS=numpy")
KINDS = {"forward": "xwy", "data": "ywx", "weight": "xyw"}
"""What each kernel reads, and last what it writes: inputs and outputs with channels last, weights (O, C, 3, 3)."""
BEYOND = 64
"""Floats behind the working memory, which no kernel may write to."""


@examples
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 17), st.integers(1, 17), st.integers(0, 2))
def test_small_shapes(n: int, c: int, o: int, h: int, w: int, padding: int) -> None:
    if min(h, w) + 2 * padding < 3:
        return
    vector = native().vector  # type: ignore[union-attr]  # the module is skipped without it
    c, o = c * vector, o * vector
    out = [size + 2 * padding - 2 for size in (h, w)]
    plan = {
        " ".join(map(str, [kind, n, h, w, c, *out, o, 3, 3, 1, 1, padding, padding, 1, 1])): WINOGRAD
        for kind in ("forward", "data", "weight")
    }
    agree(lambda x, k: F.conv2d(x, k, None, 1, padding), normal(n, c, h, w), normal(o, c, 3, 3, seed=1), plan=plan, tolerance=5e-5)


def run(kind: str, algorithm: int, shape: list[int], arrays: dict[str, np.ndarray[Any, Any]], threads: int) -> np.ndarray[Any, Any]:
    """The result of a convolution's kernel, in working memory of just the size that it asks for."""
    kernels = native()
    assert kernels is not None
    numbers = np.array(shape, np.int64)
    work = np.full(kernels.conv_workspace(address(numbers), algorithm) + BEYOND, 7, np.float32)
    *read, written = KINDS[kind]
    result = np.full_like(arrays[written], np.nan)
    finish = [] if kind == "weight" else [0, 0, 0]
    arguments = [algorithm, *finish, *shape, *(address(arrays[name]) for name in read), address(result), address(work)]
    code = np.array([kernels.numbers[f"conv_{kind}"], len(arguments), *arguments], np.int64)
    torch.set_num_threads(threads)
    try:
        assert kernels.run(address(code), len(code)) == 0
    finally:
        torch.set_num_threads(1)
    assert (work[-BEYOND:] == 7).all()
    return result


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize(
    ("n", "size", "c", "o"),
    [
        (32, 32, 64, 64),  # many groups of tiles, four chains
        (32, 16, 128, 128),  # two chains
        (40, 20, 128, 256),  # several groups, one chain
        (55, 8, 256, 256),  # one group, and the more so for fewer images
        (3, 10, 192, 176),  # one group; parts of channels and half a panel are left over
        (2, 9, 16, 48),  # fewer panels than threads
    ],
)
def test_ways_of_cutting(kind: str, n: int, size: int, c: int, o: int) -> None:
    shape = [n, size, size, c, size, size, o, 3, 3, 1, 1, 1, 1, 1, 1, 1, *[1] * 4, 0, 1]
    arrays = {"x": normal(n, size, size, c), "w": normal(o, c, 3, 3, seed=1), "y": normal(n, size, size, o, seed=2)}
    expected = run(kind, DIRECT, shape, arrays, 1)
    found = run(kind, WINOGRAD, shape, arrays, 1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-5 * float(np.abs(expected).max()))
    for threads in (2, 3, 4, 8):
        np.testing.assert_array_equal(run(kind, WINOGRAD, shape, arrays, threads), found, err_msg=f"{threads} threads")
