"""Attention and the transformer's layers as specs have them: batch first, one tensor out, and a mask made from what is said of the sequences."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

from engine.creation import arange
from engine.dtypes import dtype as DType
from engine.nn.attention import MultiheadAttention
from engine.nn.container import ModuleList
from engine.nn.facts import Facts
from engine.nn.module import Module
from engine.nn.norm import LayerNorm
from engine.nn.sequences import Padding, check_lengths, check_sequences
from engine.nn.transformer import Activation, TransformerDecoder, TransformerDecoderLayer, TransformerEncoder, TransformerEncoderLayer
from engine.tensor import Tensor

_MODEL = {"d_model": (0, -1)}
_DECODED = ("tgt", "memory", "tgt_lengths", "memory_lengths")


def causal_mask(x: Tensor) -> Tensor:
    """True for what comes later ``(L, L)``: no element of the sequences ``(N, L, C)`` may look at it."""
    time = arange(x.shape[1], device=x.device)
    return time > time.unsqueeze(1)


def padding_mask(x: Tensor, lengths: Tensor | None, who: str) -> Tensor | None:
    """True for padding ``(N, L)``. Raises ValueError for lengths that are none."""
    check_sequences(x, who)
    if lengths is None:
        return None
    check_lengths(lengths, x, who)
    return ~Padding(lengths, x.shape[1]).counts().transpose(0, 1)


class SequenceAttention(MultiheadAttention):
    """``MultiheadAttention`` in specs: of a sequence ``(N, L, E)`` to itself, or of queries to keys, which are the values too unless these are given.

    ``causal``: no element attends to a later one.
    """

    spec_facts = Facts(
        name="MultiheadAttention", inputs=("query", "key", "value"), infers={"embed_dim": (0, -1), "kdim": (1, -1), "vdim": (2, -1)}
    )

    def __init__(self, *args: Any, batch_first: Literal[True] = True, causal: bool = False, **options: Any) -> None:
        super().__init__(*args, **{**options, "batch_first": batch_first})
        self.causal = causal

    def forward(self, query: Tensor, key: Tensor | None = None, value: Tensor | None = None) -> Tensor:  # type: ignore[override]  # masks are its own
        key = query if key is None else key
        value = key if value is None else value
        for x in (query, key, value):
            check_sequences(x, "MultiheadAttention")
        if self.causal and key.shape[1] != query.shape[1]:
            raise ValueError(f"causal attention is of sequences of one length, got {query.shape[1]} queries and {key.shape[1]} keys")
        return super().forward(query, key, value, need_weights=False, attn_mask=causal_mask(query) if self.causal else None)[0]


class SequenceEncoderLayer(TransformerEncoderLayer):
    """``TransformerEncoderLayer`` in specs: ``(N, L, E)``, with ``lengths (N,)`` where they differ, to ``(N, L, E)``.

    ``causal``: no element attends to a later one.
    """

    spec_facts = Facts(name="TransformerEncoderLayer", inputs=("src", "lengths"), infers=_MODEL)

    def __init__(self, *args: Any, batch_first: Literal[True] = True, causal: bool = False, **options: Any) -> None:
        super().__init__(*args, **{**options, "batch_first": batch_first})
        self.causal = causal

    def forward(self, src: Tensor, lengths: Tensor | None = None) -> Tensor:  # type: ignore[override]  # masks are its own
        padding = padding_mask(src, lengths, "TransformerEncoderLayer")
        return super().forward(src, causal_mask(src) if self.causal else None, padding)


class SequenceEncoder(TransformerEncoder):
    """``TransformerEncoder`` in specs: ``num_layers`` encoder layers, each with its own start, and a ``LayerNorm`` at the end with ``final_norm``."""

    spec_facts = Facts(name="TransformerEncoder", inputs=("src", "lengths"), infers=_MODEL)

    def __init__(
        self, d_model: int, nhead: int, num_layers: int, dim_feedforward: int = 2048, dropout: float = 0.1, activation: Activation = "relu",
        layer_norm_eps: float = 1e-5, norm_first: bool = False, bias: bool = True, causal: bool = False, final_norm: bool = False,
        device: Any = None, dtype: DType | None = None,
    ) -> None:  # fmt: skip
        make = functools.partial(
            TransformerEncoderLayer,
            d_model,
            nhead,
            dim_feedforward,
            dropout,
            activation,
            layer_norm_eps,
            True,
            norm_first,
            bias,
            device,
            dtype,
        )
        layers = _stacked(make, num_layers)
        super().__init__(layers[0], 0, LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype) if final_norm else None)
        self.layers, self.num_layers, self.causal = layers, num_layers, causal

    def forward(self, src: Tensor, lengths: Tensor | None = None) -> Tensor:  # type: ignore[override]  # masks are its own
        padding = padding_mask(src, lengths, "TransformerEncoder")
        return super().forward(src, causal_mask(src) if self.causal else None, padding)


class SequenceDecoderLayer(TransformerDecoderLayer):
    """``TransformerDecoderLayer`` in specs: sequences ``(N, T, E)`` and what an encoder made, ``(N, S, E)``, with lengths ``(N,)`` of either, to ``(N, T, E)``.

    ``causal``: no element attends to a later one of its own sequence.
    """

    spec_facts = Facts(name="TransformerDecoderLayer", inputs=_DECODED, required=2, infers=_MODEL)

    def __init__(self, *args: Any, batch_first: Literal[True] = True, causal: bool = False, **options: Any) -> None:
        super().__init__(*args, **{**options, "batch_first": batch_first})
        self.causal = causal

    def forward(  # type: ignore[override]  # masks are its own
        self, tgt: Tensor, memory: Tensor, tgt_lengths: Tensor | None = None, memory_lengths: Tensor | None = None
    ) -> Tensor:
        own, other = (padding_mask(x, n, "TransformerDecoderLayer") for x, n in ((tgt, tgt_lengths), (memory, memory_lengths)))
        return super().forward(tgt, memory, causal_mask(tgt) if self.causal else None, None, own, other)


class SequenceDecoder(TransformerDecoder):
    """``TransformerDecoder`` in specs: ``num_layers`` decoder layers, each with its own start, and a ``LayerNorm`` at the end with ``final_norm``."""

    spec_facts = Facts(name="TransformerDecoder", inputs=_DECODED, required=2, infers=_MODEL)

    def __init__(
        self, d_model: int, nhead: int, num_layers: int, dim_feedforward: int = 2048, dropout: float = 0.1, activation: Activation = "relu",
        layer_norm_eps: float = 1e-5, norm_first: bool = False, bias: bool = True, causal: bool = False, final_norm: bool = False,
        device: Any = None, dtype: DType | None = None,
    ) -> None:  # fmt: skip
        make = functools.partial(
            TransformerDecoderLayer,
            d_model,
            nhead,
            dim_feedforward,
            dropout,
            activation,
            layer_norm_eps,
            True,
            norm_first,
            bias,
            device,
            dtype,
        )
        layers = _stacked(make, num_layers)
        super().__init__(layers[0], 0, LayerNorm(d_model, layer_norm_eps, bias=bias, device=device, dtype=dtype) if final_norm else None)
        self.layers, self.num_layers, self.causal = layers, num_layers, causal

    def forward(self, tgt: Tensor, memory: Tensor, tgt_lengths: Tensor | None = None, memory_lengths: Tensor | None = None) -> Tensor:
        own, other = (padding_mask(x, n, "TransformerDecoder") for x, n in ((tgt, tgt_lengths), (memory, memory_lengths)))
        return super().forward(tgt, memory, causal_mask(tgt) if self.causal else None, None, own, other)


def _stacked(make: Callable[[], Module], num_layers: int) -> ModuleList:
    """Layers in a stack, each with its own start. Raises ValueError for none."""
    if num_layers < 1:
        raise ValueError(f"num_layers must be at least 1, got {num_layers}")
    return ModuleList(make() for _ in range(num_layers))
