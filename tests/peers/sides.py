"""The same program on the engine and on PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")


def both(run: Callable[[Any], Any]) -> Any:
    """What ``run(lib)`` gives, which must be the same on both sides."""
    ours, theirs = run(engine), run(torch)
    assert ours == theirs
    return ours


def values(x: Any) -> Any:
    return np.round(x.detach().numpy(), 5).tolist()


def refused(run: Callable[[], Any]) -> str:
    with pytest.raises(Exception) as caught:
        run()
    return type(caught.value).__name__
