"""Convolutions and pooling of groups and volumes against NumPy's kernels: any geometry, only the working memory asked for, and the same bits on any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine as torch
from engine.capture.rules.convolution import DIRECT, GROUPED
from engine.kernels.native import address, native
from engine.nn import functional as F
from tests.capture.test_alone import agree as agree_with_numpy
from tests.capture.test_kernels import agree, examples, normal

pytestmark = pytest.mark.skipif(native() is None, reason="no compiled kernels on this machine, or EPOCHLINE_KERNELS=numpy")
BEYOND = 64
"""Floats behind the working memory, which no kernel may write to."""


def along(least: int, greatest: int, rank: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[st.integers(least, greatest)] * rank)


def geometry(rank: int) -> st.SearchStrategy[dict[str, tuple[int, ...]]]:
    """Windows that fit into sizes from 5 on."""
    numbers = {"kernel": along(1, 3, rank), "stride": along(1, 3, rank), "padding": along(0, 2, rank), "dilation": along(1, 2, rank)}
    return st.fixed_dictionaries(numbers)


@examples
@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), along(5, 9, 2), geometry(2), st.booleans())
def test_groups(n: int, groups: int, c: int, o: int, size: tuple[int, ...], shape: dict[str, Any], transposed: bool) -> None:
    """Any number of channels of a group, before and after."""
    kernel, stride, padding, dilation = shape["kernel"], shape["stride"], shape["padding"], shape["dilation"]
    if transposed:
        padding = tuple(map(min, padding, (k - 1 for k in kernel)))
        conv = F.conv_transpose2d
        weight = (groups * c, o, *kernel)
    else:
        conv = F.conv2d
        weight = (groups * o, c, *kernel)
    agree_with_numpy(
        lambda x, w, b: conv(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups),
        (n, groups * c, *size), weight, (groups * o,),
    )  # fmt: skip


@examples
@given(st.integers(1, 2), st.integers(1, 40), st.sampled_from([1, 2, 4, 8]), along(5, 12, 2), geometry(2), st.booleans())
def test_groups_within_a_vector(n: int, groups: int, width: int, size: tuple[int, ...], shape: dict[str, Any], biased: bool) -> None:
    def conv(x: Any, w: Any, b: Any) -> Any:
        y = F.conv2d(x, w, b if biased else None, shape["stride"], shape["padding"], shape["dilation"], groups=groups)
        return y if biased else y + b.sum()

    c = groups * width
    arrays = (n, c, *size), (c, width, *shape["kernel"]), (c,)
    agree_with_numpy(conv, *arrays)
    assert agree(conv, *(normal(*a, seed=i) for i, a in enumerate(arrays))).is_native


@examples
@given(st.integers(1, 3), st.integers(1, 18), st.integers(1, 20), st.sampled_from([1, 2, 4]), along(5, 8, 3), geometry(3), st.booleans())
def test_volumes(n: int, c: int, o: int, groups: int, size: tuple[int, ...], shape: dict[str, Any], same: bool) -> None:
    def conv(x: Any, w: Any, b: Any) -> Any:
        return F.conv3d(x, w, b, shape["stride"], shape["padding"], shape["dilation"], groups)

    c, o = groups * c, groups * (c if same else o)
    arrays = (n, c, *size), (o, c // groups, *shape["kernel"]), (o,)
    agree_with_numpy(conv, *arrays)
    assert agree(conv, *(normal(*a, seed=i) for i, a in enumerate(arrays))).is_native


@examples
@given(st.integers(1, 2), st.integers(1, 20), st.integers(1, 20), along(3, 6, 3), geometry(3))
def test_transposed_volumes(n: int, c: int, o: int, size: tuple[int, ...], shape: dict[str, Any]) -> None:
    kernel = shape["kernel"]
    padding = tuple(map(min, shape["padding"], (k - 1 for k in kernel)))
    agree_with_numpy(
        lambda x, w: F.conv_transpose3d(x, w, None, shape["stride"], padding, 0, 1, shape["dilation"]), (n, c, *size), (c, o, *kernel)
    )


@examples
@given(st.integers(1, 3), st.integers(1, 20), along(5, 8, 3), geometry(3), st.booleans())
def test_pooling_of_volumes(n: int, c: int, size: tuple[int, ...], shape: dict[str, Any], ceil_mode: bool) -> None:
    kernel, stride, dilation = shape["kernel"], shape["stride"], shape["dilation"]
    padding = tuple(min(p, k // 2) for p, k in zip(shape["padding"], kernel, strict=True))

    def greatest(x: Any) -> Any:
        return F.max_pool3d(x, kernel, stride, padding, dilation, ceil_mode)

    def average(x: Any) -> Any:
        return F.avg_pool3d(x, kernel, stride, padding, ceil_mode, count_include_pad=c % 2 == 0)

    x = np.random.default_rng(0).permutation(n * c * int(np.prod(size))).reshape(n, c, *size).astype(np.float32)
    for pool in (greatest, average):
        agree_with_numpy(pool, (n, c, *size))
        assert agree(pool, x).is_native
    agree_with_numpy(lambda x: F.max_pool3d(x, kernel, stride, padding, dilation, ceil_mode, return_indices=True), (n, c, *size))


@pytest.mark.parametrize("size", [(8, 8, 8), (7, 9, 5)])
def test_adaptive_pooling_of_volumes(size: tuple[int, ...]) -> None:
    for out in (1, (2, 4, 1), (3, 2, 5)):
        agree_with_numpy(lambda x, out=out: F.adaptive_avg_pool3d(x, out), (2, 9, *size))
        agree_with_numpy(lambda x, out=out: F.adaptive_max_pool3d(x, out), (2, 9, *size))


@examples
@given(st.integers(4, 9), st.integers(1, 20), along(2, 5, 3))
def test_batch_normalization_of_volumes(n: int, c: int, size: tuple[int, ...]) -> None:
    def norm(x: Any, w: Any, b: Any) -> Any:
        return F.relu(F.batch_norm(x, None, None, w, b, True))

    assert agree(norm, normal(n, c, *size) * 3 + 2, normal(c, seed=1), normal(c, seed=2), tolerance=2e-4).is_native


def test_a_group_does_not_see_the_others() -> None:
    """What is not finite in one group stays there, in results and gradients."""
    for width in (1, 4, 5, 16):
        x, w = torch.ones(1, 4 * width, 6, 6), torch.ones(4 * width, width, 3, 3)
        x[:, width : 2 * width] = torch.inf
        x.requires_grad, w.requires_grad = True, True
        y = F.conv2d(x, w, padding=1, groups=4)
        y.backward(torch.ones(*y.shape))
        for parts in (y[0].detach(), w.grad):
            finite = parts.isfinite().reshape(4, width, -1).all(2).all(1)
            assert finite.tolist() == [True, False, True, True]


# n, size, c, size of the result, o, kernel, stride, padding, dilation, groups, and the same of the depth
SHAPES = {
    "a group of 4": [3, 14, 14, 128, 14, 14, 128, 3, 3, 1, 1, 1, 1, 1, 1, 32, 1, 1, 1, 1, 0, 1],
    "each channel": [2, 9, 8, 90, 5, 4, 90, 3, 3, 2, 2, 1, 1, 1, 1, 90, 1, 1, 1, 1, 0, 1],
    "few channels in groups": [40, 9, 8, 8, 9, 8, 8, 3, 3, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 0, 1],
    "wide groups": [3, 14, 14, 60, 14, 14, 100, 3, 3, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 0, 1],
    "many channels from few": [3, 12, 12, 20, 8, 8, 64, 5, 5, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1],
    "one pixel each": [3, 9, 9, 20, 9, 9, 40, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1],
    "a stem": [2, 12, 12, 3, 12, 12, 33, 3, 3, 1, 1, 1, 1, 1, 1, 1, 7, 7, 3, 1, 1, 1],
    "a volume": [2, 9, 9, 32, 5, 5, 64, 3, 3, 2, 2, 1, 1, 1, 1, 1, 7, 4, 3, 2, 1, 1],
    "each channel of a volume": [2, 9, 9, 24, 9, 9, 24, 3, 3, 1, 1, 1, 1, 1, 1, 24, 5, 5, 3, 1, 1, 1],
}
KINDS = {"forward": "xwy", "data": "ywx", "weight": "xyw"}
"""What each kernel reads, and last what it writes."""


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("shape", list(SHAPES.values()), ids=list(SHAPES))
def test_the_number_of_threads_changes_no_bits(shape: list[int], kind: str) -> None:
    kernels = native()
    assert kernels is not None
    n, h, w, c, oh, ow, o, kh, kw, *_, groups, d, od, kd, _, _, _ = shape
    narrow = c == o and c // groups in (1, 4)
    numbers, algorithm = np.array(shape, np.int64), GROUPED if narrow else DIRECT
    arrays = {"x": normal(n, d, h, w, c), "w": normal(o, c // groups, kd, kh, kw, seed=1), "y": normal(n, od, oh, ow, o, seed=2)}
    *read, written = KINDS[kind]
    found = []
    for threads in (1, 2, 3, 8):
        work = np.full(kernels.conv_workspace(address(numbers), algorithm) + BEYOND, 7, np.float32)
        result = np.full(arrays[written].size + BEYOND, 7, np.float32)
        operands = [*(address(arrays[name]) for name in read)]
        if narrow:
            operands += [0] * (kind == "forward") + [address(result)] + [address(work)] * (kind == "weight")
            arguments = [*shape, *operands]
        else:
            arguments = [algorithm, *([0, 0, 0] if kind != "weight" else []), *shape, *operands, address(result), address(work)]
        torch.set_num_threads(threads)
        try:
            kernels.call(f"{'grouped' if narrow else 'conv'}_{kind}", *arguments)
        finally:
            torch.set_num_threads(1)
        assert (work[-BEYOND:] == 7).all() and (result[-BEYOND:] == 7).all()
        found.append(result[:-BEYOND])
    assert np.isfinite(found[0]).all()
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


@pytest.mark.parametrize(("pool", "size"), [(F.max_pool1d, (12,)), (F.max_pool2d, (12, 9)), (F.max_pool3d, (6, 7, 8))])
def test_a_relu_of_pooled_elements_masks_their_gradient(pool: Any, size: tuple[int, ...]) -> None:
    """In one kernel: its mask is the pooled elements."""
    x = np.random.default_rng(0).permutation(2 * 5 * int(np.prod(size))).reshape(2, 5, *size).astype(np.float32)
    assert agree(lambda x: F.relu(pool(x, 2, 2)), x - x.mean()).is_native
