"""Some columns of a table's rows, for a branch of their own."""

from __future__ import annotations

from engine.dtypes import int64
from engine.nn.facts import Facts
from engine.nn.module import Module
from engine.tensor import Tensor


class Columns(Module):
    """Rows ``(N, C)`` to those of their numbers that ``columns`` names ``(N, len(columns))``; with ``indices`` as whole numbers, which ``Embedding`` takes.

    In a spec columns may have the names that the dataset gives them.
    """

    spec_facts = Facts(range="kept")

    def __init__(self, columns: list[int | str], indices: bool = False) -> None:
        super().__init__()
        if not columns or not all(isinstance(c, int) and c >= 0 for c in columns):
            raise ValueError(f"columns must be numbers from 0 on, got {columns}")
        self.columns, self.indices = list(columns), indices

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim != 2:
            raise ValueError(f"Columns takes rows (N, C), got {input.ndim} dimensions {list(input.shape)}")
        chosen: Tensor = input[:, self.columns]
        return chosen.to(int64) if self.indices else chosen

    def extra_repr(self) -> str:
        return f"{self.columns}" + (", indices=True" if self.indices else "")
