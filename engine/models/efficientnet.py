"""EfficientNet (Tan and Le, "EfficientNet: Rethinking model scaling for convolutional neural networks", 2019); state-dict keys and initialization are torchvision's."""

from __future__ import annotations

import math
from functools import partial

from engine import nn
from engine.models.architecture import OF_IMAGES, architecture
from engine.models.blocks import (
    ConvNormActivation,
    SqueezeExcitation,
    StochasticDepth,
    check_multiplier,
    divisible,
    init_convolutions,
    init_linear,
)
from engine.nn import init
from engine.tensor import Tensor

_STAGES = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1))
"""The factor of expansion, the kernel's size, the stride of the first block, channels, blocks (table 1 of the paper)."""
_conv = partial(ConvNormActivation, activation=partial(nn.SiLU, inplace=True))


class MBConv(nn.Module):
    """Expands by ``ratio``, convolves each channel by itself, squeezes and excites, projects; with a shortcut where the size stays."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int, ratio: int, depth_prob: float) -> None:
        super().__init__()
        hidden = in_channels * ratio
        self.block = nn.Sequential(
            *([_conv(in_channels, hidden, 1)] if ratio != 1 else []),
            _conv(hidden, hidden, kernel_size, stride, hidden),
            SqueezeExcitation(hidden, max(1, in_channels // 4), partial(nn.SiLU, inplace=True)),
            _conv(hidden, out_channels, 1, activation=None),
        )
        self.stochastic_depth = StochasticDepth(depth_prob)
        self.keeps_size = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.block(x)
        return self.stochastic_depth(y) + x if self.keeps_size else y


class EfficientNet(nn.Module):
    """``(N, in_channels, H, W)`` to scores ``(N, num_classes)``."""

    def __init__(self, num_classes: int, in_channels: int, width_mult: float, dropout: float, stochastic_depth_prob: float) -> None:
        super().__init__()
        check_multiplier(width_mult)
        channels, total, made = divisible(32 * width_mult), sum(n for *_, n in _STAGES), 0
        layers: list[nn.Module] = [_conv(in_channels, channels, 3, 2)]
        for ratio, kernel_size, stride, base, blocks in _STAGES:
            out, stage = divisible(base * width_mult), list[nn.Module]()
            for i in range(blocks):
                stage.append(MBConv(channels, out, kernel_size, stride if i == 0 else 1, ratio, stochastic_depth_prob * made / total))
                channels, made = out, made + 1
            layers.append(nn.Sequential(*stage))
        self.features = nn.Sequential(*layers, _conv(channels, 4 * channels, 1))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(4 * channels, num_classes))
        init_convolutions(self)
        bound = 1 / math.sqrt(num_classes)
        init_linear(self, partial(init.uniform_, a=-bound, b=bound))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


@architecture(OF_IMAGES)
def efficientnet_b0(
    num_classes: int = 1000, in_channels: int = 3, width_mult: float = 1.0, dropout: float = 0.2, stochastic_depth_prob: float = 0.2
) -> EfficientNet:
    """EfficientNet-B0: 5.3 million parameters at ``width_mult`` 1, for images of any size."""
    return EfficientNet(num_classes, in_channels, width_mult, dropout, stochastic_depth_prob)
