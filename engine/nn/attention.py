"""Attention as a layer (Vaswani et al., "Attention is all you need", 2017)."""

from __future__ import annotations

from typing import Any

from engine.creation import empty
from engine.dtypes import dtype as DType
from engine.nn import functional as F
from engine.nn import init
from engine.nn.facts import Facts
from engine.nn.linear import Linear
from engine.nn.module import Module
from engine.nn.parameter import Parameter
from engine.ops.join import cat
from engine.tensor import Tensor


class NonDynamicallyQuantizableLinear(Linear):
    """``Linear`` under the name that PyTorch prints for attention's output."""


class MultiheadAttention(Module):
    """Attention in ``num_heads`` parts: queries ``(L, N, E)``, keys ``(S, N, kdim)`` and values ``(S, N, vdim)``, or batch first, or without a batch.

    ``add_bias_kv`` adds a learned key and value, ``add_zero_attn`` a key and value of zeros.
    """

    spec_facts = Facts(excluded="returns its weights beside its outputs: the layer of this type in specs yields one tensor")

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, add_bias_kv: bool = False, add_zero_attn: bool = False,
        kdim: int | None = None, vdim: int | None = None, batch_first: bool = False, device: Any = None, dtype: DType | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0 or embed_dim % num_heads:
            raise ValueError(
                f"embed_dim must be divisible by num_heads, and both positive, got embed_dim={embed_dim} and num_heads={num_heads}"
            )
        self.embed_dim, self.num_heads, self.dropout, self.batch_first = embed_dim, num_heads, dropout, batch_first
        self.kdim, self.vdim, self.add_zero_attn = kdim or embed_dim, vdim or embed_dim, add_zero_attn
        self.head_dim = embed_dim // num_heads
        widths = (embed_dim, self.kdim, self.vdim)
        joint = widths == (embed_dim,) * 3

        def matrix(*size: int) -> Parameter:
            return init.xavier_uniform_(Parameter(empty(*size, device=device, dtype=dtype)))  # type: ignore[return-value]  # the same object

        for name, width in zip(("q_proj_weight", "k_proj_weight", "v_proj_weight"), widths, strict=True):
            self.register_parameter(name, None if joint else matrix(embed_dim, width))
        self.register_parameter("in_proj_weight", matrix(3 * embed_dim, embed_dim) if joint else None)
        self.register_parameter("in_proj_bias", Parameter(empty(3 * embed_dim, device=device, dtype=dtype)) if bias else None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias, device, dtype)
        for name in ("bias_k", "bias_v"):
            extra = Parameter(empty(1, 1, embed_dim, device=device, dtype=dtype)) if add_bias_kv else None
            self.register_parameter(name, None if extra is None else init.xavier_normal_(extra))  # type: ignore[arg-type]  # a Parameter still
        for b in (self.in_proj_bias, self.out_proj.bias):
            if b is not None:
                init.zeros_(b)

    def _projected(self, x: Tensor, part: int) -> Tensor:
        """Projects ``(N, L, width)`` by the part's weight: ``(N, L, E)``."""
        rows = slice(part * self.embed_dim, (part + 1) * self.embed_dim)
        names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
        weight = getattr(self, names[part]) if self.in_proj_weight is None else self.in_proj_weight[rows]
        return F.linear(x, weight, None if self.in_proj_bias is None else self.in_proj_bias[rows])

    def _heads(self, x: Tensor) -> Tensor:
        """``(N, L, E)`` split into heads ``(N, heads, L, E / heads)``."""
        return x.reshape(*x.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)

    def _mask(self, padding: Tensor | None, mask: Tensor | None, n: int, like: Tensor, added: int) -> Tensor | None:
        """Both masks as numbers to add to the scores, broadcast to ``(N, heads, L, S)``; ``added`` keys may always be looked at."""
        total: Tensor | None = None
        if mask is not None:
            total = F.pad(additive(mask, like), (0, added))
            total = total.reshape(n, self.num_heads, *total.shape[-2:]) if mask.ndim == 3 else total
        if padding is not None:
            columns = F.pad(additive(padding, like), (0, added)).reshape(n, 1, 1, -1)
            total = columns if total is None else total + columns
        return total

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None = None, need_weights: bool = True, attn_mask: Tensor | None = None,
        average_attn_weights: bool = True, is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        """The attended values, and the weights ``(N, L, S)`` (of each head if not averaged) if needed."""
        if is_causal and attn_mask is None:
            raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
        batched = query.ndim == 3
        q, k, v = ((x if self.batch_first else x.transpose(0, 1)) if batched else x.unsqueeze(0) for x in (query, key, value))
        if q.shape[-1] != self.embed_dim:
            raise AssertionError(f"was expecting embedding dimension of {self.embed_dim}, but got {q.shape[-1]}")
        size = q.shape
        q, k, v = self._projected(q, 0), self._projected(k, 1), self._projected(v, 2)
        added = 0
        if self.bias_k is not None:
            k, v = (cat([x, b.expand(x.shape[0], 1, self.embed_dim)], 1) for x, b in ((k, self.bias_k), (v, self.bias_v)))
            added += 1
        if self.add_zero_attn:
            k, v = (cat([x, x.new_zeros(x.shape[0], 1, self.embed_dim)], 1) for x in (k, v))
            added += 1
        mask = self._mask(key_padding_mask, attn_mask, size[0], q, added)
        y, weights = attend(self._heads(q), self._heads(k), self._heads(v), mask, self.dropout if self.training else 0.0)
        y = self.out_proj(y.transpose(1, 2).reshape(size))
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
