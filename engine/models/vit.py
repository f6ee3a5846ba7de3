"""Vision Transformer (Dosovitskiy et al., "An image is worth 16x16 words", 2021); state-dict keys and initialization are torchvision's."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

from engine import nn
from engine.creation import empty, zeros
from engine.models.architecture import architecture
from engine.nn import init
from engine.nn.facts import Facts
from engine.ops.join import cat
from engine.tensor import Tensor


class MLPBlock(nn.Sequential):
    """Two linear layers, GELU between them; takes the names ``linear_1`` and ``linear_2`` of torchvision's published weights too."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__(nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width), nn.Dropout(dropout))
        for m in (self[0], self[3]):
            init.xavier_uniform_(m.weight)
            init.normal_(m.bias, std=1e-6)

    def _upgrade(self, given: dict[str, Any], prefix: str, version: int) -> None:
        for old, new in (("linear_1", "0"), ("linear_2", "3")):
            for kind in ("weight", "bias"):
                if f"{prefix}{old}.{kind}" in given:
                    given[f"{prefix}{new}.{kind}"] = given.pop(f"{prefix}{old}.{kind}")


class EncoderBlock(nn.Module):
    """Self-attention and a feed-forward network, each after a norm and beside a shortcut: ``(N, L, width)``."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(width, heads, attention_dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = MLPBlock(width, hidden, dropout)

    def forward(self, input: Tensor) -> Tensor:
        x = self.ln_1(input)
        x, _ = self.self_attention(x, x, x, need_weights=False)
        x = self.dropout(x) + input
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Adds learned positions, then block after block, then a norm: ``(N, length, width)``."""

    def __init__(self, length: int, blocks: list[EncoderBlock], width: int, dropout: float) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(empty(1, length, width))
        init.normal_(self.pos_embedding, std=0.02)
        self.dropout = nn.Dropout(dropout)
        named: OrderedDict[str, nn.Module] = OrderedDict((f"encoder_layer_{i}", block) for i, block in enumerate(blocks))
        self.layers = nn.Sequential(named)
        self.ln = nn.LayerNorm(width, eps=1e-6)

    def forward(self, input: Tensor) -> Tensor:
        return self.ln(self.layers(self.dropout(input + self.pos_embedding)))


class VisionTransformer(nn.Module):
    """``(N, in_channels, image_size, image_size)`` to scores ``(N, num_classes)``. Raises ValueError where patches do not tile the image."""

    def __init__(
        self, num_classes: int, in_channels: int, image_size: int, patch_size: int, num_layers: int, num_heads: int, hidden_dim: int, mlp_dim: int, dropout: float,
        attention_dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        if image_size < 1 or patch_size < 1 or image_size % patch_size:
            raise ValueError(f"image_size must be divisible by patch_size, got image_size={image_size} and patch_size={patch_size}")
        self.image_size, self.patch_size = image_size, patch_size
        self.conv_proj = nn.Conv2d(in_channels, hidden_dim, patch_size, patch_size)
        self.class_token = nn.Parameter(zeros(1, 1, hidden_dim))
        blocks = [EncoderBlock(hidden_dim, num_heads, mlp_dim, dropout, attention_dropout) for _ in range(num_layers)]
        self.encoder = Encoder((image_size // patch_size) ** 2 + 1, blocks, hidden_dim, dropout)
        self.heads = nn.Sequential(OrderedDict(head=nn.Linear(hidden_dim, num_classes)))
        init.trunc_normal_(self.conv_proj.weight, std=1 / math.sqrt(in_channels * patch_size**2))
        for p in (self.conv_proj.bias, self.heads.head.weight, self.heads.head.bias):
            init.zeros_(p)

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        if (height, width) != (self.image_size, self.image_size):
            raise ValueError(f"expected images of {self.image_size}x{self.image_size} pixels (image_size), got {height}x{width}")
        patches = self.conv_proj(x).flatten(2).transpose(1, 2)
        x = self.encoder(cat([self.class_token.expand(n, -1, -1), patches], 1))
        return self.heads(x[:, 0])


@architecture(Facts(infers={"in_channels": (0, 1), "image_size": (0, 2)}, outputs="num_classes"))
def vit_b_16(
    num_classes: int = 1000,
    in_channels: int = 3,
    image_size: int = 224,
    patch_size: int = 16,
    num_layers: int = 12,
    num_heads: int = 12,
    hidden_dim: int = 768,
    mlp_dim: int = 3072,
    dropout: float = 0.0,
    attention_dropout: float = 0.0,
) -> VisionTransformer:
    """ViT-B/16: 86.6 million parameters, for square images of ``image_size`` in patches of ``patch_size`` pixels."""
    return VisionTransformer(
        num_classes, in_channels, image_size, patch_size, num_layers, num_heads, hidden_dim, mlp_dim, dropout, attention_dropout
    )
