"""Attention, and the encoder made of it (Vaswani et al., "Attention is all you need", 2017)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Literal

from engine.creation import empty
from engine.dtypes import dtype as DType
from engine.nn import functional as F
from engine.nn import init
from engine.nn.activation import Dropout
from engine.nn.container import ModuleList
from engine.nn.linear import Linear
from engine.nn.module import Module, Parameter
from engine.nn.norm import LayerNorm
from engine.tensor import Tensor


class NonDynamicallyQuantizableLinear(Linear):
    """``Linear`` under the name that PyTorch prints for attention's output."""


class MultiheadAttention(Module):
    """Attention in ``num_heads`` parts: queries ``(L, N, E)``, keys and values ``(S, N, E)``, or batch first, or without a batch."""

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, batch_first: bool = False, device: Any = None, dtype: DType | None = None
    ) -> None:  # fmt: skip
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0 or embed_dim % num_heads:
            raise ValueError(
                f"embed_dim must be divisible by num_heads, and both positive, got embed_dim={embed_dim} and num_heads={num_heads}"
            )
        self.embed_dim, self.num_heads, self.dropout, self.batch_first = embed_dim, num_heads, dropout, batch_first
        self.head_dim = embed_dim // num_heads
        self.in_proj_weight = Parameter(empty(3 * embed_dim, embed_dim, device=device, dtype=dtype))
        self.register_parameter("in_proj_bias", Parameter(empty(3 * embed_dim, device=device, dtype=dtype)) if bias else None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias, device, dtype)
        init.xavier_uniform_(self.in_proj_weight)
        for b in (self.in_proj_bias, self.out_proj.bias):
            if b is not None:
                init.zeros_(b)

    def _heads(self, x: Tensor, part: int) -> Tensor:
        """Projects ``(N, L, E)`` by the part's rows of the weight, split into heads ``(N, heads, L, E / heads)``."""
        rows = slice(part * self.embed_dim, (part + 1) * self.embed_dim)
        bias = None if self.in_proj_bias is None else self.in_proj_bias[rows]
        y = F.linear(x, self.in_proj_weight[rows], bias)
        return y.reshape(*x.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)

    def _mask(self, padding: Tensor | None, mask: Tensor | None, n: int, like: Tensor) -> Tensor | None:
        """Both masks as numbers to add to the scores, broadcast to ``(N, heads, L, S)``."""
        total: Tensor | None = None
        if mask is not None:
            total = additive(mask, like)
            total = total.reshape(n, self.num_heads, *mask.shape[-2:]) if mask.ndim == 3 else total
        if padding is not None:
            columns = additive(padding, like).reshape(n, 1, 1, -1)
            total = columns if total is None else total + columns
        return total

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None = None, need_weights: bool = True, attn_mask: Tensor | None = None,
        average_attn_weights: bool = True, is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        """The attended values, and the weights ``(N, L, S)`` (of each head if not averaged) if needed."""
        batched = query.ndim == 3
        q, k, v = ((x if self.batch_first else x.transpose(0, 1)) if batched else x.unsqueeze(0) for x in (query, key, value))
        if q.shape[-1] != self.embed_dim:
            raise RuntimeError(f"was expecting embedding dimension of {self.embed_dim}, but got {q.shape[-1]}")
        mask = self._mask(key_padding_mask, attn_mask, q.shape[0], q)
        y, weights = attend(self._heads(q, 0), self._heads(k, 1), self._heads(v, 2), mask, self.dropout if self.training else 0.0)
        y = self.out_proj(y.transpose(1, 2).reshape(q.shape))
        y = (y if self.batch_first else y.transpose(0, 1)) if batched else y.squeeze(0)
        if not need_weights:
            return y, None
        weights = weights.mean(1) if average_attn_weights else weights
        return y, weights if batched else weights.squeeze(0)


def additive(mask: Tensor, like: Tensor) -> Tensor:
    """A mask as numbers to add to scores: minus infinity where a bool mask is true."""
    if mask.dtype.is_floating_point:
        return mask
    return like.new_zeros(mask.shape, dtype=like.dtype).masked_fill(mask, float("-inf"))


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout_p: float) -> tuple[Tensor, Tensor]:
    """``softmax(q k^T / sqrt(d) + mask) v`` and the weights, over the last two dimensions."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    weights = F.softmax(scores if mask is None else scores + mask, -1)
    weights = F.dropout(weights, dropout_p, dropout_p > 0)
    return weights @ v, weights


class TransformerEncoderLayer(Module):
    """Self-attention and a feed-forward network, each with a residual connection and layer normalization."""

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1, activation: Literal["relu", "silu"] = "relu", layer_norm_eps: float = 1e-5,
        batch_first: bool = False, norm_first: bool = False, bias: bool = True, device: Any = None, dtype: DType | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        known: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "silu": F.silu}
        if not callable(activation) and activation not in known:
            raise RuntimeError(f"activation should be one of {', '.join(known)}, or a function, not {activation}")
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first, device, dtype)
        self.linear1 = Linear(d_model, dim_feedforward, bias, device, dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, device, dtype)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype)
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)
        self.activation = activation if callable(activation) else known[activation]

    def _attended(self, x: Tensor, mask: Tensor | None, padding: Tensor | None) -> Tensor:
        return self.dropout1(self.self_attn(x, x, x, padding, False, mask)[0])

    def _fed(self, x: Tensor) -> Tensor:
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))

    def forward(
        self, src: Tensor, src_mask: Tensor | None = None, src_key_padding_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor:
        x = src
        if self.norm_first:
            x = x + self._attended(self.norm1(x), src_mask, src_key_padding_mask)
            return x + self._fed(self.norm2(x))
        x = self.norm1(x + self._attended(x, src_mask, src_key_padding_mask))
        return self.norm2(x + self._fed(x))


class TransformerEncoder(Module):
    """``num_layers`` copies of a layer, and a norm at the end if one is given."""

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = ModuleList(copy.deepcopy(encoder_layer) for _ in range(num_layers))
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self, src: Tensor, mask: Tensor | None = None, src_key_padding_mask: Tensor | None = None, is_causal: bool | None = None
    ) -> Tensor:
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask)
        return src if self.norm is None else self.norm(src)
