"""Every op's sample with dimensions of no elements, compiled and on NumPy: as PyTorch where it takes the shapes, else an error of Python's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import engine
from engine.dispatch import OPS
from tests.peers.empties import CASES, emptied, on_pytorch, outcome

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]
NUMPY = "numpy"
WITHOUT_CHANNELS = {"conv-1", "conv-2"}
"""Whose images without channels have the shape that the weight says here, and no channels in PyTorch."""
ALL = [(name, shapes) for name, (_, inputs) in CASES.items() for shapes in emptied([tuple(x.shape) for x in inputs])]


def agree(ours: Any, theirs: Any) -> bool:
    """Whether results and gradients are the same."""
    if isinstance(ours, str):
        return False
    for one, other in zip(ours, theirs, strict=True):
        if len(one) != len(other):
            return False
        for a, b in zip(one, other, strict=True):
            if (a is None) != (b is None):
                return False
            if a is not None and not (a.shape == b.shape and a.dtype == b.dtype and np.allclose(a, b, atol=1e-5, equal_nan=True)):
                return False
    return True


def check(name: str, shapes: list[tuple[int, ...]], dtype: str = "float32") -> Any:
    """What the engine gives, after it was held against PyTorch."""
    function = CASES[name][0]
    ours, same = outcome(engine, function, shapes, dtype), on_pytorch(function, torch)
    theirs = None if same is None else outcome(torch, same, shapes, dtype)
    if theirs is not None and not isinstance(theirs, str) and not (name in WITHOUT_CHANNELS and shapes[0][1] == 0):
        assert agree(ours, theirs), f"{name} of {shapes}:\n  here    {ours}\n  PyTorch {theirs}"
    return ours


@pytest.mark.parametrize("name", CASES)
def test_dimensions_without_elements(name: str) -> None:
    for shapes in (s for n, s in ALL if n == name):
        check(name, shapes)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(ALL), st.sampled_from(["float32", "float64", "float16"]))
def test_compiled_kernels_give_what_numpy_gives(case: tuple[str, list[tuple[int, ...]]], dtype: str) -> None:
    name, shapes = case
    found = outcome(engine, CASES[name][0], shapes, dtype)
    with pytest.MonkeyPatch.context() as patch:
        for op in OPS.values():
            patch.setattr(op, "overrides", {})
        expected = outcome(engine, CASES[name][0], shapes, dtype)
    assert found == expected if isinstance(expected, str) else agree(found, expected)
