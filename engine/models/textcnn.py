"""TextCNN (Kim, "Convolutional neural networks for sentence classification", 2014)."""

from __future__ import annotations

from engine import nn
from engine.models.architecture import OF_TEXT, architecture
from engine.ops.join import cat
from engine.tensor import Tensor


class TextCNN(nn.Module):
    """Tokens ``(N, L)`` to scores ``(N, num_classes)``: filters over neighbouring tokens, of each the largest response in the text."""

    def __init__(
        self, num_embeddings: int, num_classes: int, hidden_dim: int, filters: int, kernel_sizes: tuple[int, ...], dropout: float, padding_idx: int | None
    ) -> None:  # fmt: skip
        super().__init__()
        if not kernel_sizes:
            raise ValueError("kernel_sizes must name one size at least, got none")
        self.embedding = nn.Embedding(num_embeddings, hidden_dim, padding_idx)
        self.convs = nn.ModuleList(nn.Conv1d(hidden_dim, filters, k, padding=k // 2) for k in kernel_sizes)
        self.relu, self.dropout = nn.ReLU(), nn.Dropout(dropout)
        self.fc = nn.Linear(filters * len(kernel_sizes), num_classes)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens).transpose(1, 2)
        found = cat([self.relu(conv(x)).amax(2) for conv in self.convs], 1)
        return self.fc(self.dropout(found))


@architecture(OF_TEXT)
def textcnn(
    num_embeddings: int,
    num_classes: int = 2,
    hidden_dim: int = 128,
    filters: int = 100,
    kernel_sizes: tuple[int, ...] = (3, 4, 5),
    dropout: float = 0.5,
    padding_idx: int | None = 0,
) -> TextCNN:
    """TextCNN on embeddings of ``hidden_dim`` numbers, ``filters`` of each of ``kernel_sizes``; ``padding_idx`` is the token that fills up short texts."""
    return TextCNN(num_embeddings, num_classes, hidden_dim, filters, kernel_sizes, dropout, padding_idx)
