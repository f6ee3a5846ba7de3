"""Residual networks (He et al., "Deep residual learning for image recognition", 2015); state-dict keys and initialization are torchvision's."""

from __future__ import annotations

from engine import nn
from engine.models.architecture import OF_IMAGES, architecture
from engine.models.blocks import init_convolutions
from engine.tensor import Tensor


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut: ``(N, in_channels, H, W)`` to ``(N, channels, H / stride, W / stride)``."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        self.downsample = _shortcut(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """Convolutions of 1 x 1, 3 x 3 and 1 x 1, the stride in the second, to four times ``channels``."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        wide = channels * self.expansion
        self.conv1, self.bn1 = nn.Conv2d(in_channels, channels, 1, bias=False), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels)
        self.conv3, self.bn3 = nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, wide, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """A projection where sizes change; None where the input can be added as it is."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))


class ResNet(nn.Module):
    """``(N, in_channels, H, W)`` to scores ``(N, num_classes)``, four stages of blocks, the first ``width`` channels wide."""

    def __init__(
        self, block: type[BasicBlock] | type[Bottleneck], layers: tuple[int, int, int, int], num_classes: int, in_channels: int, width: int
    ) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(in_channels, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        channels = width
        for i, n in enumerate(layers):
            planes = width << i
            blocks = [block(channels if j == 0 else planes * block.expansion, planes, 2 if i and j == 0 else 1) for j in range(n)]
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
            channels = planes * block.expansion
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        init_convolutions(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


@architecture(OF_IMAGES)
def resnet18(num_classes: int = 1000, in_channels: int = 3, width: int = 64) -> ResNet:
    """ResNet with 18 layers: 11.7 million parameters at ``width`` 64, for images of any size."""
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, in_channels, width)


@architecture(OF_IMAGES)
def resnet34(num_classes: int = 1000, in_channels: int = 3, width: int = 64) -> ResNet:
    """ResNet with 34 layers: 21.8 million parameters at ``width`` 64, for images of any size."""
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes, in_channels, width)


@architecture(OF_IMAGES)
def resnet50(num_classes: int = 1000, in_channels: int = 3, width: int = 64) -> ResNet:
    """ResNet with 50 layers in bottlenecks: 25.6 million parameters at ``width`` 64, for images of any size."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, in_channels, width)
