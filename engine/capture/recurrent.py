"""What the kernels of ``kernels/cpu/recurrent.h`` are given for an op of ``engine.ops.recurrent``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from engine.dispatch import OPS

_RESULTS = {"rnn": "y", "gru": "y gates", "lstm": "y cells gates", "rnn_data": "dx dh", "gru_data": "dx dp dh", "lstm_data": "dx dh dc"}
_ORDER = {"recurrent_forward": "x w b h c y cells gates", "recurrent_backward": "gy gc w y h c cells gates dx dp dh dc"}
_CELLS = ("tanh", "relu", "gru", "lstm")
NAMES = tuple(_RESULTS)


def arguments(
    name: str, shape: Sequence[int], h: int, attrs: dict[str, Any], ins: Sequence[Any], outs: Sequence[Any]
) -> tuple[str, list[Any]]:
    """The kernel, and its arguments: the first input's ``shape`` says how many steps there are of how many sequences, each ``h`` wide. ``ins`` and
    ``outs`` are addresses, or whatever stands for them."""
    kernel = "recurrent_backward" if name.endswith("_data") else "recurrent_forward"
    given = {**dict(zip(OPS[name].inputs, ins, strict=False)), **dict(zip(_RESULTS[name].split(), outs, strict=True))}
    cell = _CELLS.index(attrs.get("nonlinearity", name.removesuffix("_data")))
    sizes = [cell, math.prod(shape[:-2]), shape[-2], h, int(attrs["reverse"])]
    return kernel, sizes + [given.get(n, 0) for n in _ORDER[kernel].split()]
