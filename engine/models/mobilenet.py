"""MobileNetV2 (Sandler et al., "MobileNetV2: Inverted residuals and linear bottlenecks", 2018); state-dict keys and initialization are torchvision's."""

from __future__ import annotations

from functools import partial

from engine import nn
from engine.models.architecture import OF_IMAGES, architecture
from engine.models.blocks import ConvNormActivation, check_multiplier, divisible, init_convolutions, init_linear
from engine.tensor import Tensor

_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""The factor of expansion, channels, blocks, and the stride of the first one (table 2 of the paper)."""
_conv = partial(ConvNormActivation, activation=partial(nn.ReLU6, inplace=True))


class InvertedResidual(nn.Module):
    """Expands by ``ratio``, convolves each channel by itself, projects; with a shortcut where the size stays."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, ratio: int) -> None:
        super().__init__()
        hidden = in_channels * ratio
        self.conv = nn.Sequential(
            *([_conv(in_channels, hidden, 1)] if ratio != 1 else []),
            _conv(hidden, hidden, 3, stride, hidden),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.keeps_size = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return x + y if self.keeps_size else y


class MobileNetV2(nn.Module):
    """``(N, in_channels, H, W)`` to scores ``(N, num_classes)``."""

    def __init__(self, num_classes: int, in_channels: int, width_mult: float, dropout: float) -> None:
        super().__init__()
        check_multiplier(width_mult)
        channels, last = divisible(32 * width_mult), divisible(1280 * max(1.0, width_mult))
        layers: list[nn.Module] = [_conv(in_channels, channels, 3, 2)]
        for ratio, base, blocks, stride in _STAGES:
            out = divisible(base * width_mult)
            for i in range(blocks):
                layers.append(InvertedResidual(channels, out, stride if i == 0 else 1, ratio))
                channels = out
        self.features = nn.Sequential(*layers, _conv(channels, last, 1))
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, num_classes))
        init_convolutions(self)
        init_linear(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


@architecture(OF_IMAGES)
def mobilenet_v2(num_classes: int = 1000, in_channels: int = 3, width_mult: float = 1.0, dropout: float = 0.2) -> MobileNetV2:
    """MobileNetV2: 3.5 million parameters at ``width_mult`` 1, for images of any size."""
    return MobileNetV2(num_classes, in_channels, width_mult, dropout)
