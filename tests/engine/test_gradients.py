"""Every derivative against central differences, first and second order."""

import pytest

from engine.dispatch import OPS
from tests.engine.gradients import check
from tests.engine.samples import COMPOSITES, SAMPLES


@pytest.mark.parametrize(("name", "i"), [(n, i) for n, samples in SAMPLES.items() for i in range(len(samples))])
def test_first_and_second_derivative(name: str, i: int) -> None:
    function, inputs = SAMPLES[name][i]
    check(function, inputs)


@pytest.mark.parametrize("name", COMPOSITES)
def test_composites(name: str) -> None:
    function, inputs = COMPOSITES[name]
    check(function, inputs, rtol=1e-4)


def test_every_differentiable_op_has_a_sample() -> None:
    missing = {n for n, op in OPS.items() if op.vjps} - set(SAMPLES) - {n for n in OPS if n.startswith("cat")}
    assert missing == {"ctc"}  # whose gradient is one only through a softmax, and has none itself: tests/peers/test_ctc.py
