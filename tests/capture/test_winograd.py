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
from tests.capture.test_alone import agree as agree_with_numpy
from tests.capture.test_kernels import agree, examples, normal

pytestmark = pytest.mark.skipif(native() is None, reason="no compiled kernels on this machine, or EPOCHLINE_KERNELS=numpy")
KINDS = {"forward": "xwy", "data": "ywx", "weight": "xyw"}
"""What each kernel reads, and last what it writes: inputs and outputs with channels last, weights (O, C, 3, 3) or (O, C, KD, 3, 3)."""
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
    agree_with_numpy(
        lambda x, k: F.conv2d(x, k, None, 1, padding), (n, c, h, w), (o, c, 3, 3)
    )  # Winograd's is the first choice of eager steps


@examples
@given(
    st.integers(1, 2),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 7),
    st.integers(1, 5),
    st.data(),
)
def test_small_volumes(n: int, c: int, o: int, h: int, w: int, d: int, kd: int, data: st.DataObject) -> None:
    padding = data.draw(st.tuples(st.integers(0, kd - 1), st.integers(0, 2), st.integers(0, 2)))
    if any(size + 2 * p < k for size, p, k in zip((d, h, w), padding, (kd, 3, 3), strict=True)):
        return
    vector = native().vector  # type: ignore[union-attr]  # the module is skipped without it
    c, o = c * vector, o * vector
    agree_with_numpy(lambda x, k: F.conv3d(x, k, None, 1, padding), (n, c, d, h, w), (o, c, kd, 3, 3))


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
    check(kind, [n, size, size, c, size, size, o, 3, 3, 1, 1, 1, 1, 1, 1, 1, *[1] * 4, 0, 1])


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize(
    ("n", "d", "size", "c", "o", "kd", "padding"),
    [
        (8, 8, 16, 32, 64, 3, 1),  # many groups of places, two chains
        (3, 2, 8, 128, 256, 3, 1),  # one group, some channels at a time
        (2, 5, 10, 48, 80, 2, 1),  # more slices than before; half a panel is left over
        (1, 64, 9, 16, 16, 5, 0),  # more slices than tiles are together
    ],
)
def test_ways_of_cutting_volumes(kind: str, n: int, d: int, size: int, c: int, o: int, kd: int, padding: int) -> None:
    check(kind, [n, size, size, c, size, size, o, 3, 3, 1, 1, 1, 1, 1, 1, 1, d, d + 2 * padding - kd + 1, kd, 1, padding, 1])


def check(kind: str, shape: list[int]) -> None:
    """Agrees with the direct algorithm, with the same bits on any number of threads."""
    n, h, w, c, oh, ow, o = shape[:7]
    d, od, kd = shape[16:19]
    arrays = {"x": normal(n, d, h, w, c), "w": normal(o, c, kd, 3, 3, seed=1), "y": normal(n, od, oh, ow, o, seed=2)}
    expected = run(kind, DIRECT, shape, arrays, 1)
    found = run(kind, WINOGRAD, shape, arrays, 1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-5 * float(np.abs(expected).max()))
    for threads in (2, 3, 4, 8):
        np.testing.assert_array_equal(run(kind, WINOGRAD, shape, arrays, threads), found, err_msg=f"{threads} threads")
