"""Attention as a function."""

from __future__ import annotations

import math

from engine.modes import lowered
from engine.nn.functional.dropout import dropout
from engine.ops.elementwise import where
from engine.ops.loss import softmax
from engine.tensor import Tensor


def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    """``softmax(query key^T scale + mask) value``: ``(*, L, E) (*, S, E) (*, S, V)`` to ``(*, L, V)`` (Vaswani et al., 2017)."""
    if is_causal and attn_mask is not None:
        raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if query.ndim < 2 or key.ndim < 2 or value.ndim < 2:
        raise RuntimeError(
            f"scaled_dot_product_attention: expected query, key and value of at least 2 dimensions, got {query.ndim}, {key.ndim} and {value.ndim}"
        )
    query, key, value = lowered(query, key, value)
    if not query.dtype is key.dtype is value.dtype:
        raise RuntimeError(
            f"Expected query, key, and value to have the same dtype, but got query.dtype: {query.dtype.name} key.dtype: {key.dtype.name} and value.dtype: {value.dtype.name} instead."
        )
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
        value = value.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    scores = (query * (1 / math.sqrt(max(1, query.shape[-1])) if scale is None else scale)) @ key.transpose(-2, -1)
    if is_causal:
        attn_mask = query.new_ones(query.shape[-2], key.shape[-2]).tril().bool()
    if attn_mask is not None:
        scores = where(attn_mask, scores, -math.inf) if attn_mask.dtype.name == "bool" else scores + attn_mask
    weights = softmax(scores, -1)
    if attn_mask is not None and attn_mask.dtype.name == "bool" and not is_causal:  # there everybody may look at the first
        weights = where(attn_mask.any(-1, keepdim=True), weights, 0)  # a row that may look at nothing sees zeros
    return dropout(weights, dropout_p, dropout_p > 0) @ value


__all__ = ["scaled_dot_product_attention"]
