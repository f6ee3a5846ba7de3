"""Layers that look rows up."""

from __future__ import annotations

from typing import Any

from engine.creation import empty
from engine.dtypes import dtype as DType
from engine.modes import no_grad
from engine.nn import init
from engine.nn.functional.sparse import embedding
from engine.nn.module import Module
from engine.nn.parameter import Parameter
from engine.tensor import Tensor


class Embedding(Module):
    """A vector for each index below ``num_embeddings``: ``(*)`` int to ``(*, embedding_dim)``; that of ``padding_idx`` starts at 0 and stays."""

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0,
        scale_grad_by_freq: bool = False, sparse: bool = False, _weight: Tensor | None = None, device: Any = None, dtype: DType | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise AssertionError(f"Padding_idx must be within num_embeddings ({num_embeddings}), got {padding_idx}")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse = max_norm, norm_type, scale_grad_by_freq, sparse
        self.weight = Parameter(empty(num_embeddings, embedding_dim, device=device, dtype=dtype) if _weight is None else _weight)
        if _weight is None:
            self.reset_parameters()

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, **options: Any) -> Embedding:
        """A layer whose rows are given: ``(num_embeddings, embedding_dim)``."""
        if embeddings.ndim != 2:
            raise AssertionError(f"Embeddings parameter is expected to be 2-dimensional, got {embeddings.ndim}D")
        layer = cls(embeddings.shape[0], embeddings.shape[1], _weight=embeddings, **options)
        layer.weight.requires_grad = not freeze
        return layer

    def reset_parameters(self) -> None:
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0

    def forward(self, input: Tensor) -> Tensor:
        return embedding(input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse)

    def extra_repr(self) -> str:
        defaults = (("padding_idx", None), ("max_norm", None), ("norm_type", 2), ("scale_grad_by_freq", False), ("sparse", False))
        shown = "".join(f", {n}={getattr(self, n)}" for n, default in defaults if getattr(self, n) != default)
        return f"{self.num_embeddings}, {self.embedding_dim}{shown}"
