"""A trained network, built again from its job."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from engine.creation import from_numpy
from engine.nn.module import Module
from engine.random import fork_rng
from engine.spec import build_model, variants
from server.models import Checkpoint, JobDetail, JsonObject


def checkpoint(found: list[Checkpoint], step: int | str) -> Checkpoint:
    """The checkpoint that ``step`` names: its number, ``latest`` or ``best``. Raises ValueError where there is none."""
    newest = found[-1] if found else None
    wanted = {"latest": newest and newest.step, "best": newest and newest.best}.get(str(step), step)
    for c in found:
        if str(c.step) == str(wanted):
            return c
    known = ", ".join(str(c.step) for c in found) or "none yet"
    raise ValueError(f"there is no checkpoint {step!r}: expected best, latest, or one of the steps ({known})")


def network(job: JobDetail, variant: str | None, weights: Mapping[str, NDArray[np.generic]]) -> Module:
    """The module that a job's spec describes, with these weights, in eval mode, on the CPU.

    Raises ValueError for a job that has not begun: how large its layers are follows from its data.
    """
    shape = _input(job.model)
    if shape is None:
        raise ValueError(f"{job.id} does not say what shape a sample has: it has not begun")
    spec = dict(variants(job.spec))[variant]
    with fork_rng():  # what is drawn is overwritten, and is not taken from the caller's numbers
        module = build_model(spec, shape)
    module.load_state_dict({name: from_numpy(array) for name, array in weights.items()})
    return module.eval()


def _input(card: JsonObject | None) -> tuple[int, ...] | None:
    shape = (card or {}).get("input")
    return tuple(n for n in shape if isinstance(n, int)) if isinstance(shape, list) else None


__all__ = ["checkpoint", "network"]
