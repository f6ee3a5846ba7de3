"""The engine beside results of PyTorch kept in a file: for machines without PyTorch."""

from typing import Any

import numpy as np
import pytest

import engine
from tests.golden import cases


@pytest.fixture(scope="module")
def golden() -> Any:
    with np.load(cases.FILE) as file:
        return dict(file)


def same(name: str, found: list[Any], golden: Any) -> None:
    assert cases.key(name, len(found)) not in golden
    for i, a in enumerate(found):
        np.testing.assert_allclose(np.asarray(a.detach().numpy()), golden[cases.key(name, i)], rtol=3e-7, atol=1e-6)


@pytest.mark.parametrize("text", cases.EXPRESSIONS)
def test_expression(text: str, golden: Any) -> None:
    same(text, cases.expression(engine, text), golden)


@pytest.mark.parametrize("text", cases.MODULES)
def test_module(text: str, golden: Any) -> None:
    same(text, cases.module(engine, text), golden)


@pytest.mark.parametrize("text", cases.OPTIMIZERS)
def test_optimizer(text: str, golden: Any) -> None:
    same(text, cases.trajectory(engine, text), golden)


@pytest.mark.peer
def test_the_file_is_what_pytorch_gives(golden: Any) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
    for name, parts in cases.results(torch).items():
        for i, a in enumerate(parts):
            np.testing.assert_allclose(a, golden[cases.key(name, i)], rtol=3e-7, atol=1e-6)
