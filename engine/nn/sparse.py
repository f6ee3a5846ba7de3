"""Layers that look rows up."""

from __future__ import annotations

from typing import Any, Literal, Self

from engine.creation import empty
from engine.dtypes import dtype as DType
from engine.modes import no_grad
from engine.nn import init
from engine.nn.facts import Facts
from engine.nn.functional.sparse import embedding, embedding_bag
from engine.nn.module import Module
from engine.nn.parameter import Parameter
from engine.tensor import Tensor


class _Rows(Module):
    """A weight ``(num_embeddings, embedding_dim)``; the row of ``padding_idx`` starts at 0 and stays."""

    # max_norm looks at which rows are used, which no recorded step can
    spec_facts = Facts(
        takes="indices",
        covers={"num_embeddings": (0, None)},
        hides=("max_norm", "norm_type", "scale_grad_by_freq", "sparse", "include_last_offset", "_weight"),
    )

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None, max_norm: float | None, norm_type: float, scale_grad_by_freq: bool, sparse: bool,
        weight: Tensor | None, device: Any, dtype: DType | None,
    ) -> None:  # fmt: skip
        super().__init__()
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise AssertionError(f"Padding_idx must be within num_embeddings ({num_embeddings}), got {padding_idx}")
        if weight is not None and tuple(weight.shape) != (num_embeddings, embedding_dim):
            raise AssertionError(f"Shape of weight does not match num_embeddings and embedding_dim: {list(weight.shape)}")
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse = max_norm, norm_type, scale_grad_by_freq, sparse
        self.weight = Parameter(empty(num_embeddings, embedding_dim, device=device, dtype=dtype) if weight is None else weight)
        if weight is None:
            self.reset_parameters()

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, **options: Any) -> Self:
        """A layer whose rows are given: ``(num_embeddings, embedding_dim)``."""
        if embeddings.ndim != 2:
            raise AssertionError(f"Embeddings parameter is expected to be 2-dimensional, got {embeddings.ndim}D")
        make: Any = cls
        layer: Self = make(embeddings.shape[0], embeddings.shape[1], _weight=embeddings, **options)
        layer.weight.requires_grad = not freeze
        return layer

    def reset_parameters(self) -> None:
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0

    def _shown(self, *defaults: tuple[str, Any]) -> str:
        """The options that are not the default."""
        return "".join(f", {n}={getattr(self, n)!r}" for n, default in defaults if getattr(self, n) != default)


class Embedding(_Rows):
    """A vector for each index below ``num_embeddings``: ``(*)`` int to ``(*, embedding_dim)``; that of ``padding_idx`` starts at 0 and stays."""

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0,
        scale_grad_by_freq: bool = False, sparse: bool = False, _weight: Tensor | None = None, device: Any = None, dtype: DType | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight, device, dtype
        )

    def forward(self, input: Tensor) -> Tensor:
        return embedding(input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse)

    def extra_repr(self) -> str:
        options = (("padding_idx", None), ("max_norm", None), ("norm_type", 2), ("scale_grad_by_freq", False), ("sparse", False))
        return f"{self.num_embeddings}, {self.embedding_dim}{self._shown(*options)}"


class EmbeddingBag(_Rows):
    """The sum, mean or maximum of the vectors that a bag of indices names: ``(bags, length)``, or ``(indices)`` with offsets, to ``(bags, embedding_dim)``."""

    def __init__(
        self, num_embeddings: int, embedding_dim: int, max_norm: float | None = None, norm_type: float = 2.0, scale_grad_by_freq: bool = False,
        mode: Literal["sum", "mean", "max"] = "mean", sparse: bool = False, _weight: Tensor | None = None, include_last_offset: bool = False, padding_idx: int | None = None,
        device: Any = None, dtype: DType | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight, device, dtype
        )
        self.mode, self.include_last_offset = mode, include_last_offset

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        return embedding_bag(
            input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.mode, self.sparse, per_sample_weights,
            self.include_last_offset, self.padding_idx,
        )  # fmt: skip

    def extra_repr(self) -> str:
        options = self._shown(("max_norm", None), ("norm_type", 2), ("scale_grad_by_freq", False), ("mode", None), ("padding_idx", None))
        return f"{self.num_embeddings}, {self.embedding_dim}{options}"
