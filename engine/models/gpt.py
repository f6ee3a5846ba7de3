"""GPT, a Transformer that predicts the next token (Radford et al., "Language models are unsupervised multitask learners", 2019).

Sizes and initialization are GPT-2's; state-dict keys are GPT-2's as nanoGPT has them: weights of linear layers are ``(out, in)``.
"""

from __future__ import annotations

import math

from engine import nn
from engine.creation import arange
from engine.models.architecture import architecture
from engine.nn import functional as F
from engine.nn import init
from engine.nn.facts import Facts
from engine.tensor import Tensor


class CausalSelfAttention(nn.Module):
    """Attention of each position to itself and those before it: ``(N, L, width)``."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ValueError(f"hidden_dim must be divisible by num_heads, got hidden_dim={width} and num_heads={heads}")
        self.num_heads, self.dropout = heads, dropout
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.resid_dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        q, k, v = (
            part.reshape(n, length, self.num_heads, width // self.num_heads).transpose(1, 2) for part in self.c_attn(x).split(width, 2)
        )
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0, is_causal=True)
        return self.resid_dropout(self.c_proj(y.transpose(1, 2).reshape(n, length, width)))


class MLP(nn.Module):
    """Two linear layers, GELU between them: ``(N, L, width)``."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.gelu, self.dropout = nn.GELU(approximate="tanh"), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.c_proj(self.gelu(self.c_fc(x))))


class Block(nn.Module):
    """Attention and a feed-forward network, each after a norm and beside a shortcut."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(width), CausalSelfAttention(width, heads, dropout)
        self.ln_2, self.mlp = nn.LayerNorm(width), MLP(width, dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    """Tokens ``(N, L)`` of at most ``context`` positions to scores of the next token at each, ``(N, L, num_embeddings)``.

    The embedding of tokens is also the weight of the last layer. Raises ValueError for a text that is longer than ``context``.
    """

    def __init__(self, num_embeddings: int, context: int, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.context = context
        parts = {
            "wte": nn.Embedding(num_embeddings, width),
            "wpe": nn.Embedding(context, width),
            "drop": nn.Dropout(dropout),
            "h": nn.ModuleList(Block(width, heads, dropout) for _ in range(layers)),
            "ln_f": nn.LayerNorm(width),
        }
        self.transformer = nn.ModuleDict(parts)
        self.lm_head = nn.Linear(width, num_embeddings, bias=False)
        self.transformer["wte"].weight = self.lm_head.weight
        for name, p in self.named_parameters():
            if name.endswith("bias"):
                init.zeros_(p)
            elif p.ndim > 1:  # what is added to the residual stream is smaller, the more layers add to it
                init.normal_(p, std=0.02 / math.sqrt(2 * layers) if name.endswith("c_proj.weight") else 0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        length = tokens.shape[1]
        if length > self.context:
            raise ValueError(f"expected at most {self.context} tokens (context), got {length}")
        parts = self.transformer
        x = parts["drop"](parts["wte"](tokens) + parts["wpe"](arange(length, device=tokens.device)))
        for block in parts["h"]:
            x = block(x)
        return self.lm_head(parts["ln_f"](x))


@architecture(Facts(takes="indices", covers={"num_embeddings": (0, None), "context": (0, 1)}))
def gpt(
    num_embeddings: int, context: int = 1024, hidden_dim: int = 768, num_layers: int = 12, num_heads: int = 12, dropout: float = 0.0
) -> GPT:
    """GPT-2: 124 million parameters for ``num_embeddings`` 50257; a score of each token for the one that comes next, at every position."""
    return GPT(num_embeddings, context, hidden_dim, num_layers, num_heads, dropout)
