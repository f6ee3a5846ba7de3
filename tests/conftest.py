"""The tests compare what they train with what jobs do: like those, with one thread for linear algebra, which else gives other bits on some processors."""

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

assert "numpy" not in sys.modules, "the number of threads is read when NumPy is imported"
os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[Any]:
    """Skips what computes a special function where SciPy, an extra, is not installed."""
    from engine.backend.special import NeedsSciPy

    try:
        return (yield)
    except NeedsSciPy as error:
        pytest.skip(str(error))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--random-specs", type=int, default=200, help="how many random specs are checked and trained")


@pytest.fixture(params=["standin", pytest.param("cupy", marks=pytest.mark.gpu)])
def cuda(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A CUDA device: a real one, or what stands in for it."""
    from engine import backend
    from tests.engine import standin

    if request.param == "cupy":
        if not backend.cuda_device_count():
            pytest.skip("no CUDA device, or CuPy is not installed")
        yield
        return
    for cached in (backend.cupy, backend.cuda_device_count):
        cached.cache_clear()
    monkeypatch.setitem(sys.modules, "cupy", standin.cupy())
    monkeypatch.setitem(sys.modules, "cupyx.scipy.special", standin.special())
    yield
    for cached in (backend.cupy, backend.cuda_device_count):
        cached.cache_clear()
