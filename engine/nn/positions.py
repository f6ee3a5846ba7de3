"""Where in a sequence an element stands, added to its vector: attention alone does not know."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.creation import empty, from_numpy
from engine.dtypes import dtype as DType
from engine.dtypes import float32
from engine.nn import functional as F
from engine.nn import init
from engine.nn.facts import Facts
from engine.nn.module import Module
from engine.nn.parameter import Parameter
from engine.nn.sequences import check_sequences
from engine.tensor import Tensor

_FACTS = Facts(infers={"d_model": (0, -1)}, covers={"max_len": (0, 1)})


class _Positions(Module):
    """``x + table[:L]``: ``(N, L, d_model)`` to the same, L at most ``max_len``."""

    spec_facts = _FACTS

    def _added(self, x: Tensor, table: Tensor) -> Tensor:
        name = type(self).__name__
        check_sequences(x, name)
        if x.shape[1] > len(table) or x.shape[2] != table.shape[1]:
            raise ValueError(
                f"{name} has {len(table)} positions of {table.shape[1]} numbers, got sequences of {x.shape[1]} by {x.shape[2]}"
            )
        return x + table[: x.shape[1]]


class PositionalEncoding(_Positions):
    """Sines and cosines of the position, of wavelengths from 2 pi to 20000 pi (Vaswani et al., 2017, 3.5), then dropout; nothing is learned."""

    def __init__(self, d_model: int, max_len: int, dropout: float = 0.0, device: Any = None, dtype: DType | None = None) -> None:
        super().__init__()
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout must be from 0 to 1, got {dropout}")
        self.d_model, self.max_len, self.dropout = d_model, max_len, dropout
        table = empty(max_len, d_model, device=device, dtype=dtype or float32)
        if table.device.type != "meta":  # where a size costs nothing
            table = from_numpy(sinusoids(max_len, d_model)).to(table.device, table.dtype)
        self.register_buffer("table", table, persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(self._added(input, self.table), self.dropout, self.training)

    def extra_repr(self) -> str:
        return f"d_model={self.d_model}, max_len={self.max_len}, dropout={self.dropout}"


def sinusoids(steps: int, width: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The table ``(steps, width)``: even columns are sines, odd ones cosines."""
    angles = np.arange(steps)[:, None] * 10_000.0 ** (-np.arange(0, width, 2) / width)
    table = np.empty((steps, width))
    table[:, 0::2] = np.sin(angles)
    table[:, 1::2] = np.cos(angles[:, : width // 2])
    return table


class PositionalEmbedding(_Positions):
    """A learned vector for each position (Gehring et al., 2017), starting from N(0, 0.02)."""

    def __init__(self, d_model: int, max_len: int, device: Any = None, dtype: DType | None = None) -> None:
        super().__init__()
        self.d_model, self.max_len = d_model, max_len
        self.weight = Parameter(empty(max_len, d_model, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.normal_(self.weight, std=0.02)

    def forward(self, input: Tensor) -> Tensor:
        return self._added(input, self.weight)

    def extra_repr(self) -> str:
        return f"d_model={self.d_model}, max_len={self.max_len}"
