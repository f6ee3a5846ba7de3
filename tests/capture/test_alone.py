"""Eager launches by programs of one call against NumPy's kernels."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine as torch
from engine.capture import alone
from engine.capture.builder import Builder
from engine.capture.record import Tape
from engine.dispatch import OPS
from engine.kernels.native import native
from engine.nn import functional as F
from tests.capture.test_kernels import examples

pytestmark = pytest.mark.skipif(native() is None, reason="no compiled kernels on this machine, or EPOCHLINE_KERNELS=numpy")
NAMES = (
    "conv", "conv_data", "conv_weight", "avg_pool", "avg_pool_data", "max_pool", "unpool", "standardize", "standardize_data", "standardize_weight",
    "relu_gradient",
)  # fmt: skip
few, sizes = st.integers(1, 3), st.integers(5, 12)


def outcome(function: Callable[..., Any], arrays: list[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    """Results, and the gradients of a sum of them that weighs each element."""
    leaves = [torch.tensor(a, requires_grad=True) for a in arrays]
    results = function(*leaves)
    results = results if isinstance(results, tuple) else (results,)
    y = results[0]
    y.backward(torch.tensor(np.random.default_rng(1).standard_normal(tuple(y.shape)).astype(np.float32)))
    return [r.detach().numpy() for r in results] + [leaf.grad.numpy() for leaf in leaves if leaf.grad is not None]


def agree(function: Callable[..., Any], *shapes: tuple[int, ...]) -> None:
    """The results and gradients with programs are those of NumPy's kernels, integers to the bit."""
    arrays = [np.random.default_rng(i).standard_normal(s).astype(np.float32) for i, s in enumerate(shapes)]
    found = outcome(function, arrays)
    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            patch.delitem(OPS[name].overrides, "numpy")
        expected = outcome(function, arrays)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        if a.dtype == np.float32:
            np.testing.assert_allclose(a, b, atol=2e-5 * max(1.0, float(np.abs(b).max())))
        else:
            np.testing.assert_array_equal(a, b)


@examples
@given(
    few,
    st.sampled_from([1, 3, 16, 20, 32]),
    st.sampled_from([1, 4, 16, 32]),
    sizes,
    sizes,
    st.integers(1, 4),
    few,
    st.integers(0, 2),
    few,
    st.booleans(),
)
def test_convolutions(
    n: int, c: int, o: int, h: int, w: int, kernel: int, stride: int, padding: int, dilation: int, transposed: bool
) -> None:
    if dilation * (kernel - 1) + 1 > min(h, w):
        dilation = 1
    function = F.conv_transpose2d if transposed else F.conv2d
    weight = (c, o, kernel, kernel) if transposed else (o, c, kernel, kernel)
    agree(lambda x, k, b: function(x, k, b, stride=stride, padding=min(padding, kernel - 1), dilation=dilation), (n, c, h, w), weight, (o,))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_groups_and_other_ranks(rank: int, groups: int) -> None:
    conv = getattr(F, f"conv{rank}d")
    agree(lambda x, w: conv(x, w, groups=groups, padding=1), (2, 4, *(7,) * rank), (8, 4 // groups, *(3,) * rank))


@examples
@given(few, st.integers(1, 20), sizes, sizes, st.integers(2, 4), few, st.integers(0, 1), st.integers(1, 2), st.booleans())
def test_pools(n: int, c: int, h: int, w: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> None:
    if dilation * (kernel - 1) + 1 > min(h, w):
        dilation = 1
    agree(lambda x: F.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode, return_indices=True), (n, c, h, w))
    agree(lambda x: F.avg_pool2d(x, kernel, stride, padding, ceil_mode), (n, c, h, w))


@pytest.mark.parametrize("shape", [(8, 70, 9, 11), (130, 3, 30), (90, 60)])
def test_norms(shape: tuple[int, ...]) -> None:
    agree(lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), shape, shape[1:2], shape[1:2])
    agree(lambda x, w, b: F.layer_norm(x, shape[1:], w, b), shape, shape[1:], shape[1:])
    agree(lambda x: F.relu(x), shape)


def test_integers_are_left_to_numpy() -> None:
    for dtype in (torch.float32, torch.int64):  # shapes that a program is known for
        x = torch.arange(2 * 3 * 6 * 6).reshape(2, 3, 6, 6).to(dtype)
        assert F.max_pool2d(x, 2).sum().item() == 5994 and F.conv2d(x, x[:, :, :2, :2]).dtype is dtype


def test_an_image_lies_as_it_likes() -> None:
    x, w = torch.randn(2, 9, 11, 5), torch.randn(4, 5, 3, 3)
    turned = x.permute(0, 3, 1, 2)
    np.testing.assert_array_equal(F.conv2d(turned, w).numpy(), F.conv2d(turned.contiguous(), w).numpy())


@pytest.mark.parametrize(
    ("shape", "order"),
    [((2, 48, 9, 7), (0, 2, 3, 1)), ((2, 7, 48), (0, 2, 1)), ((3, 40), (1, 0)), ((5, 6, 7), (2, 1, 0)), ((4, 5, 6, 7), (3, 1, 2, 0))],
)
def test_a_turned_copy_goes_by_lines_of_both(shape: tuple[int, ...], order: tuple[int, ...]) -> None:
    """The two innermost loops are over what lies close in the source and over what lies close in the copy."""
    builder = Builder(Tape(), native(), True, {})
    for before, after in ((None, order), (order, None)):
        builder.copy(builder.temporary(shape, order=before), builder.temporary(shape, order=after))
        *_, from_next, _, _, _, to_last = builder.instructions[-1].arguments
        assert (from_next, to_last) == (1, 1)


def test_threads_of_python_do_not_share_memory() -> None:
    given_ = [(torch.randn(4, 16, n, n), torch.randn(16, 16, 3, 3)) for n in (9, 14, 20, 33)]
    right = [F.conv2d(x, w, padding=1).numpy() for x, w in given_]
    wrong: list[int] = []

    def work(i: int) -> None:
        for _ in range(40):
            if not np.array_equal(F.conv2d(*given_[i], padding=1).numpy(), right[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_programs_are_forgotten_before_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alone, "KEPT", 3)
    monkeypatch.setattr(alone, "_programs", {})
    for n in range(5, 12):
        F.conv2d(torch.randn(1, 1, n, n), torch.randn(1, 1, 3, 3))
        assert 0 < len(alone._programs) <= 3


def test_more_memory_than_is_kept_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alone, "MOST", 1000)
    monkeypatch.setattr(alone, "_memory", alone._Memory())
    agree(lambda x, w: F.conv2d(x, w), (2, 3, 9, 9), (4, 3, 3, 3))
    assert alone._memory.held.size <= 1000
