"""MobileNetV3 (Howard et al., "Searching for MobileNetV3", 2019); state-dict keys and initialization are torchvision's."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from engine import nn
from engine.models.architecture import OF_IMAGES, architecture
from engine.models.blocks import ConvNormActivation, SqueezeExcitation, check_multiplier, divisible, init_convolutions, init_linear
from engine.tensor import Tensor


class _Row(NamedTuple):
    """A row of the paper's tables 1 and 2."""

    kernel_size: int
    expanded: int
    out_channels: int
    squeezes: bool
    hardswish: bool
    stride: int


_LARGE = (
    _Row(3, 16, 16, False, False, 1), _Row(3, 64, 24, False, False, 2), _Row(3, 72, 24, False, False, 1), _Row(5, 72, 40, True, False, 2),
    _Row(5, 120, 40, True, False, 1), _Row(5, 120, 40, True, False, 1), _Row(3, 240, 80, False, True, 2), _Row(3, 200, 80, False, True, 1),
    _Row(3, 184, 80, False, True, 1), _Row(3, 184, 80, False, True, 1), _Row(3, 480, 112, True, True, 1), _Row(3, 672, 112, True, True, 1),
    _Row(5, 672, 160, True, True, 2), _Row(5, 960, 160, True, True, 1), _Row(5, 960, 160, True, True, 1),
)  # fmt: skip
_SMALL = (
    _Row(3, 16, 16, True, False, 2), _Row(3, 72, 24, False, False, 2), _Row(3, 88, 24, False, False, 1), _Row(5, 96, 40, True, True, 2),
    _Row(5, 240, 40, True, True, 1), _Row(5, 240, 40, True, True, 1), _Row(5, 120, 48, True, True, 1), _Row(5, 144, 48, True, True, 1),
    _Row(5, 288, 96, True, True, 2), _Row(5, 576, 96, True, True, 1), _Row(5, 576, 96, True, True, 1),
)  # fmt: skip
_conv = partial(ConvNormActivation, norm=partial(nn.BatchNorm2d, eps=0.001, momentum=0.01))


class InvertedResidual(nn.Module):
    """Expands, convolves each channel by itself, squeezes and excites if the row says so, projects; with a shortcut where the size stays."""

    def __init__(self, in_channels: int, row: _Row, width_mult: float) -> None:
        super().__init__()
        hidden, out = divisible(row.expanded * width_mult), divisible(row.out_channels * width_mult)
        activation = partial(nn.Hardswish if row.hardswish else nn.ReLU, inplace=True)
        self.block = nn.Sequential(
            *([_conv(in_channels, hidden, 1, activation=activation)] if hidden != in_channels else []),
            _conv(hidden, hidden, row.kernel_size, row.stride, hidden, activation=activation),
            *([SqueezeExcitation(hidden, divisible(hidden // 4), scale=nn.Hardsigmoid)] if row.squeezes else []),
            _conv(hidden, out, 1, activation=None),
        )
        self.keeps_size = row.stride == 1 and in_channels == out

    def forward(self, x: Tensor) -> Tensor:
        y = self.block(x)
        return x + y if self.keeps_size else y


class MobileNetV3(nn.Module):
    """``(N, in_channels, H, W)`` to scores ``(N, num_classes)``."""

    def __init__(self, rows: tuple[_Row, ...], last: int, num_classes: int, in_channels: int, width_mult: float, dropout: float) -> None:
        super().__init__()
        check_multiplier(width_mult)
        hardswish = partial(nn.Hardswish, inplace=True)
        channels = divisible(16 * width_mult)
        layers: list[nn.Module] = [_conv(in_channels, channels, 3, 2, activation=hardswish)]
        for row in rows:
            layers.append(InvertedResidual(channels, row, width_mult))
            channels = divisible(row.out_channels * width_mult)
        self.features = nn.Sequential(*layers, _conv(channels, 6 * channels, 1, activation=hardswish))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        wide = divisible(last * width_mult)
        self.classifier = nn.Sequential(nn.Linear(6 * channels, wide), hardswish(), nn.Dropout(dropout), nn.Linear(wide, num_classes))
        init_convolutions(self)
        init_linear(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


@architecture(OF_IMAGES)
def mobilenet_v3_small(num_classes: int = 1000, in_channels: int = 3, width_mult: float = 1.0, dropout: float = 0.2) -> MobileNetV3:
    """MobileNetV3, small: 2.5 million parameters at ``width_mult`` 1, for images of any size."""
    return MobileNetV3(_SMALL, 1024, num_classes, in_channels, width_mult, dropout)


@architecture(OF_IMAGES)
def mobilenet_v3_large(num_classes: int = 1000, in_channels: int = 3, width_mult: float = 1.0, dropout: float = 0.2) -> MobileNetV3:
    """MobileNetV3, large: 5.5 million parameters at ``width_mult`` 1, for images of any size."""
    return MobileNetV3(_LARGE, 1280, num_classes, in_channels, width_mult, dropout)
