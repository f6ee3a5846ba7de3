"""Gradients of embeddings' tables: only the rows named are not zero, whatever the size, with the same bits on any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

import engine as torch
from engine.kernels.native import address, native

pytestmark = pytest.mark.skipif(native() is None, reason="no compiled kernels on this machine, or EPOCHLINE_KERNELS=numpy")
MARK = 7.0


@pytest.mark.parametrize("kernel", ["embedding_gradient", "embedding_bag_gradient"])
@pytest.mark.parametrize(("rows", "width"), [(5, 1), (9, 3), (40, 64), (32_300, 65), (2_100_001, 1)], ids=str)
def test_all_rows_are_written(kernel: str, rows: int, width: int) -> None:
    """Tables that go past the caches, too, wherever they begin."""
    kernels, rng = native(), np.random.default_rng(0)
    assert kernels is not None
    bags = kernel == "embedding_bag_gradient"
    index, padding = rng.integers(0, rows, 300), int(rows > 5)
    index[:3] = 0, rows - 1, padding
    g = rng.standard_normal((len(index), width)).astype(np.float32)
    expected = np.zeros((rows, width))
    np.add.at(expected, index[index != padding], g[index != padding])
    starts, found = np.arange(len(index)), []
    for threads in (1, 2, 3):
        for begin in (16, 19):
            memory = np.full(rows * width + 64, MARK, np.float32)
            to = memory[begin:][: rows * width]
            described = [address(index), address(starts), len(index), len(index), rows, width, padding, 0, address(g)]
            plain = [address(g), address(index), len(index), rows, width, padding]
            torch.set_num_threads(threads)
            try:
                assert kernels.call(kernel, *(described if bags else plain), address(to)) == 0
            finally:
                torch.set_num_threads(1)
            assert (memory[:begin] == MARK).all() and (memory[begin + to.size :] == MARK).all()
            found.append(to.copy())
    np.testing.assert_allclose(found[0].reshape(rows, width), expected, rtol=1e-5, atol=1e-6)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
