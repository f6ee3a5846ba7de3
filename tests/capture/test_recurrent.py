"""The compiled kernels of recurrent cells against NumPy's, on random shapes, and layers on several threads."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine as torch
from engine.dispatch import OPS
from engine.kernels.native import native
from tests.capture.test_kernels import examples

pytestmark = pytest.mark.skipif(native() is None, reason="no compiled kernels on this machine, or EPOCHLINE_KERNELS=numpy")
GATES = {"tanh": 1, "relu": 1, "gru": 3, "lstm": 4}
Arrays = list[np.ndarray[Any, Any]]


def results(op: str, ins: Arrays, attrs: dict[str, Any], compiled: bool) -> Arrays:
    specs = OPS[op].infer(*ins, **attrs)
    outs = [np.full(shape, np.nan, dtype) for shape, dtype in (specs if isinstance(specs, list) else [specs])]
    kernel = OPS[op].overrides["numpy"] if compiled else OPS[op].kernel
    assert kernel is not None
    kernel(outs if len(outs) > 1 else outs[0], *ins, **attrs)
    return outs


def both(op: str, ins: Arrays, attrs: dict[str, Any]) -> Arrays:
    """The results of NumPy's kernel, which those of the compiled one resemble."""
    expected = results(op, ins, attrs, compiled=False)
    for found, right in zip(results(op, ins, attrs, compiled=True), expected, strict=True):
        np.testing.assert_allclose(found, right, atol=2e-5 * max(1.0, float(np.abs(right).max())))
    return expected


@examples
@given(
    st.sampled_from(sorted(GATES)), st.integers(0, 5), st.integers(1, 40), st.integers(1, 40), st.booleans(), st.booleans(), st.booleans()
)
def test_kernels_agree_with_numpy(cell: str, steps: int, n: int, h: int, reverse: bool, biased: bool, turned: bool) -> None:
    """Forward and back; without steps, one without a dimension for time. ``turned``: the gradient lies in memory the other way round."""
    random = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray[Any, Any]:
        return random.standard_normal(shape).astype(np.float32)

    time, width = (steps,) if steps else (), GATES[cell] * h
    x, w, first, b = normal(*time, n, width), normal(width, h) / h**0.5, normal(n, h), [normal(width)] * biased
    gy = normal(h, n, *time).T if turned else normal(*time, n, h)
    attrs: dict[str, Any] = {"reverse": reverse}
    if cell == "lstm":
        c = normal(n, h)
        _, cells, kept = both("lstm", [x, w, first, c, *b], attrs)
        both("lstm_data", [gy, w, normal(*time, n, h), c, cells, kept], attrs)
    elif cell == "gru":
        y, kept = both("gru", [x, w, first, *b], attrs)
        both("gru_data", [gy, w, first, y, kept], attrs)
    else:
        attrs["nonlinearity"] = cell
        (y,) = both("rnn", [x, w, first, *b], attrs)
        both("rnn_data", [gy, w, y], attrs)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_bits_depend_neither_on_threads_nor_on_capture(kind: str) -> None:
    torch.manual_seed(0)
    start: Any = getattr(torch.nn, kind)(20, 70, num_layers=2, bidirectional=True)
    x, found, before = torch.randn(9, 37, 20), [], torch.get_num_threads()

    def trained(compiled: bool) -> Arrays:
        net = copy.deepcopy(start)

        def step(x: Any) -> Any:
            net.zero_grad()
            y, _ = net(x)
            y.square().mean().backward()
            return y

        y = (torch.compile(step, fuse=False) if compiled else step)(x)
        return [y.detach().numpy(), *(p.grad.numpy() for p in net.parameters())]

    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(trained(compiled=threads == 3))
    finally:
        torch.set_num_threads(before)
    for one, two, three in zip(*found, strict=True):
        np.testing.assert_array_equal(two, one)
        np.testing.assert_array_equal(three, one)


def test_no_sequences_make_no_states() -> None:
    y, (h, c) = torch.nn.LSTM(3, 4)(torch.zeros(5, 0, 3))
    assert (y.shape, h.shape, c.shape) == ((5, 0, 4), (1, 0, 4), (1, 0, 4))
