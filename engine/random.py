"""The generator that random numbers come from unless another is given (``torch.random``)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from engine.ops.random import default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state


@contextlib.contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, device_type: str = "cuda") -> Iterator[None]:
    """Inside, numbers are drawn; afterwards the generator stands where it stood. One generator serves every device."""
    before = get_rng_state()
    try:
        yield
    finally:
        if enabled:
            set_rng_state(before)


__all__ = ["default_generator", "fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]
