"""Layers that look rows up."""

from __future__ import annotations

from typing import Any

from engine.creation import empty
from engine.dtypes import INTEGER
from engine.dtypes import dtype as DType
from engine.modes import no_grad
from engine.nn import init
from engine.nn.module import Module, Parameter
from engine.tensor import Tensor


class Embedding(Module):
    """A vector for each index below ``num_embeddings``: ``(*)`` int to ``(*, embedding_dim)``; that of ``padding_idx`` starts at 0 and stays."""

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, device: Any = None, dtype: DType | None = None
    ) -> None:
        super().__init__()
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"padding_idx must be within num_embeddings ({num_embeddings}), got {padding_idx}")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.weight = Parameter(empty(num_embeddings, embedding_dim, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype.category > INTEGER:
            raise RuntimeError(f"Embedding: expected indices of an integer type, got {x.dtype.name}")
        y = self.weight[x]
        if self.padding_idx is None:
            return y
        kept = (x != self.padding_idx).to(y.dtype).unsqueeze(-1)  # no gradient reaches the padding's row
        return y * kept + y.detach() * (1 - kept)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
