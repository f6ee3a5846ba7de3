"""A classifier of texts by a recurrent network (Hochreiter and Schmidhuber, "Long short-term memory", 1997)."""

from __future__ import annotations

from engine import nn
from engine.models.architecture import OF_TEXT, architecture
from engine.tensor import Tensor


class LSTMClassifier(nn.Module):
    """Tokens ``(N, L)`` to scores ``(N, num_classes)``: an LSTM in both directions, and of each of its outputs the largest in the text.

    Where ``padding_idx`` names the token that fills up short texts, its positions do not count.
    """

    def __init__(
        self, num_embeddings: int, num_classes: int, embedding_dim: int, hidden_dim: int, num_layers: int, bidirectional: bool, dropout: float,
        padding_idx: int | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.padding_idx = padding_idx
        self.embedding = nn.Embedding(num_embeddings, embedding_dim, padding_idx)
        self.lstm = nn.LSTM(
            embedding_dim, hidden_dim, num_layers, batch_first=True, dropout=dropout if num_layers > 1 else 0.0, bidirectional=bidirectional
        )
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(hidden_dim * (2 if bidirectional else 1), num_classes)

    def forward(self, tokens: Tensor) -> Tensor:
        y, _ = self.lstm(self.embedding(tokens))
        if self.padding_idx is not None:
            y = y.masked_fill((tokens == self.padding_idx).unsqueeze(2), -1.0)  # no output of an LSTM is lower
        return self.fc(self.dropout(y.amax(1)))


@architecture(OF_TEXT)
def lstm_classifier(
    num_embeddings: int,
    num_classes: int = 2,
    embedding_dim: int = 128,
    hidden_dim: int = 128,
    num_layers: int = 1,
    bidirectional: bool = True,
    dropout: float = 0.5,
    padding_idx: int | None = 0,
) -> LSTMClassifier:
    """An LSTM of ``num_layers`` on embeddings of ``embedding_dim`` numbers; ``padding_idx`` is the token that fills up short texts."""
    return LSTMClassifier(num_embeddings, num_classes, embedding_dim, hidden_dim, num_layers, bidirectional, dropout, padding_idx)
