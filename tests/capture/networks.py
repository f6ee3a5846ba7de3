"""Small networks of every kind that captured steps are made for: a model, the shape of its input, a loss, an optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import engine as torch
from engine import nn


class Bottleneck(nn.Module):
    """Without biases before normalization: their gradient is 0, and Adam steps by its sign."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, 4, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
            nn.Conv2d(4, width, 1, bias=False),
            nn.BatchNorm2d(width), nn.ReLU(),
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        return x + self.layers(x)


class Block(nn.Module):
    """A residual block whose shortcut may change size."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)) if stride > 1 else nn.Identity()
        )

    def forward(self, x: Any) -> Any:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + self.shortcut(x))


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True, activation="gelu")
        self.head = nn.Linear(16, 5)

    def forward(self, x: Any) -> Any:
        return self.head(self.encoder(x).mean(1))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.gru = nn.LSTM(6, 5, 2, bidirectional=True, batch_first=True), nn.GRU(10, 4, batch_first=True)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Any) -> Any:
        return self.head(self.gru(self.lstm(x)[0])[0][:, -1])


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(9, 16, padding_idx=2)
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.mask = nn.Transformer.generate_square_subsequent_mask(7)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Any) -> Any:
        return self.head(self.encoder(self.embedding(x), src_mask=self.mask).mean(1))


def head(width: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5)]


SGD: Callable[[Any], Any] = lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9)  # noqa: E731 - a table of factories
ADAM: Callable[[Any], Any] = lambda p: torch.optim.Adam(p, lr=0.01)  # noqa: E731 - a table of factories

NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], Callable[[Any], Any]]] = {
    "regression": (lambda: nn.Sequential(nn.Linear(1, 20), nn.Tanh(), nn.Linear(20, 1)), (32, 1), ADAM),
    "perceptron": (lambda: nn.Sequential(nn.Linear(30, 17), nn.ReLU(), nn.Linear(17, 5)), (13, 30), ADAM),
    "decay": (
        lambda: nn.Sequential(nn.Linear(30, 17), nn.Sigmoid(), nn.Linear(17, 5)), (13, 30),
        lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1, amsgrad=True),
    ),
    "rmsprop": (lambda: nn.Sequential(nn.Linear(30, 17), nn.GELU(), nn.Linear(17, 5)), (13, 30), lambda p: torch.optim.RMSprop(p, 0.01, centered=True, momentum=0.5)),
    "convolutions": (
        lambda: nn.Sequential(nn.Conv2d(1, 6, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(6, 9, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Flatten(), nn.Linear(81, 5)),
        (6, 1, 18, 18), SGD,
    ),
    "winograd": (lambda: nn.Sequential(nn.Conv2d(2, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(True), *head(32)), (3, 2, 9, 10), SGD),
    "bottleneck": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), Bottleneck(8), *head(8)), (4, 3, 7, 7), ADAM),
    "residual": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), Block(8, 8, 1), Block(8, 16, 2), *head(16)), (4, 3, 8, 8), SGD),
    "stride": (lambda: nn.Sequential(nn.Conv2d(1, 8, 7, 2, 3, bias=False), nn.ReLU(), nn.MaxPool2d(3, (3, 2), 1), nn.Conv2d(8, 12, 3, 1, 1), *head(12)), (2, 1, 40, 16), SGD),
    "dilation": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3, dilation=2, padding=1), nn.LeakyReLU(0.1), nn.AvgPool2d(2), *head(8)), (2, 3, 11, 11), SGD),
    "signals": (lambda: nn.Sequential(nn.Conv1d(3, 8, 5, stride=2, bias=False), nn.BatchNorm1d(8), nn.ELU(), nn.Flatten(), nn.Linear(8 * 9, 5)), (5, 3, 21), SGD),
    "attention": (Attention, (3, 7, 16), lambda p: torch.optim.AdamW(p, lr=0.01, eps=1e-3)),  # the keys' bias has no gradient but rounding
    "recurrent": (Recurrent, (4, 6, 6), ADAM),
    "tokens": (Tokens, (3, 7), SGD),
    "groups": (lambda: nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.GroupNorm(2, 8), nn.ReLU(), *head(8)), (3, 4, 6, 6), SGD),
    "depthwise": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 20, 3, padding=1), nn.ReLU(), nn.Conv2d(20, 20, 3, 2, 1, groups=20, bias=False), nn.BatchNorm2d(20), nn.ReLU(), nn.Conv2d(20, 8, 1), *head(8),
        ),
        (3, 3, 9, 8), SGD,
    ),
    "dropout": (lambda: nn.Sequential(nn.Linear(30, 40), nn.ReLU(), nn.Dropout(0.5), nn.Linear(40, 5)), (13, 30), ADAM),
}  # fmt: skip


class Training:
    """A network with its optimizer, ready to step."""

    def __init__(self, name: str, seed: int = 0) -> None:
        make, shape, optimizer = NETWORKS[name]
        torch.manual_seed(seed)
        self.model = make()
        self.optimizer = optimizer(self.model.parameters())
        self.regression, self.tokens = name == "regression", name == "tokens"
        self.loss: Any = nn.MSELoss() if self.regression else nn.CrossEntropyLoss()
        self.shape = shape
        torch.manual_seed(seed + 1)

    def batch(self, seed: int, size: int | None = None) -> tuple[Any, Any]:
        rng = np.random.default_rng(seed)
        shape = (size or self.shape[0], *self.shape[1:])
        x = rng.integers(0, 9, shape) if self.tokens else rng.standard_normal(shape).astype(np.float32)
        return torch.tensor(x), torch.tensor(x * x) if self.regression else torch.tensor(rng.integers(0, 5, len(x)))

    def step(self, x: Any, y: Any) -> Any:
        self.optimizer.zero_grad()
        loss = self.loss(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        return loss

    def state(self) -> dict[str, Any]:
        """Copies of parameters, buffers, and the optimizer's state."""
        slots = {
            f"{n}.{k}": v.detach().numpy().copy()
            for n, s in self.optimizer.state_dict()["state"].items()
            for k, v in s.items()
            if hasattr(v, "numpy")
        }
        return {**{k: v.detach().numpy().copy() for k, v in self.model.state_dict().items()}, **slots}
