"""U-Net for maps of classes (Ronneberger et al., "U-Net: Convolutional networks for biomedical image segmentation", 2015).

Convolutions are padded and normalized, so that the map has the image's size. State-dict keys are those of the most used PyTorch program
(milesial/Pytorch-UNet): ``inc``, ``down1`` .. ``down4``, ``up1`` .. ``up4``, ``outc``.
"""

from __future__ import annotations

from engine import nn
from engine.models.architecture import OF_IMAGES, architecture
from engine.nn import functional as F
from engine.ops.join import cat
from engine.tensor import Tensor


class DoubleConv(nn.Module):
    """Twice a 3 x 3 convolution, a norm and a ReLU."""

    def __init__(self, in_channels: int, out_channels: int, mid_channels: int | None = None) -> None:
        super().__init__()
        mid = mid_channels or out_channels
        self.double_conv = nn.Sequential(
            nn.Conv2d(in_channels, mid, 3, padding=1, bias=False),
            nn.BatchNorm2d(mid),
            nn.ReLU(inplace=True),
            nn.Conv2d(mid, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.double_conv(x)


class Down(nn.Module):
    """Halves the map and convolves."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(in_channels, out_channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.maxpool_conv(x)


class Up(nn.Module):
    """Doubles the map, joins it with the one of its size from the way down, and convolves; ``bilinear`` interpolates instead of learning how."""

    def __init__(self, in_channels: int, out_channels: int, bilinear: bool) -> None:
        super().__init__()
        if bilinear:
            self.up: nn.Module = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.conv = DoubleConv(in_channels, out_channels, in_channels // 2)
        else:
            self.up = nn.ConvTranspose2d(in_channels, in_channels // 2, 2, 2)
            self.conv = DoubleConv(in_channels, out_channels)

    def forward(self, x: Tensor, skipped: Tensor) -> Tensor:
        x = self.up(x)
        rows, columns = skipped.shape[2] - x.shape[2], skipped.shape[3] - x.shape[3]
        if rows or columns:  # of an odd size, which halving rounded down
            x = F.pad(x, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
        return self.conv(cat([skipped, x], 1))


class UNet(nn.Module):
    """``(N, in_channels, H, W)`` to scores ``(N, num_classes, H, W)``. Raises ValueError for images that cannot be halved ``depth`` times."""

    def __init__(self, num_classes: int, in_channels: int, width: int, depth: int, bilinear: bool) -> None:
        super().__init__()
        if depth < 1:
            raise ValueError(f"depth must be at least 1, got {depth}")
        self.depth = depth
        self.inc = DoubleConv(in_channels, width)
        halved = 2 if bilinear else 1  # interpolation keeps the channels: the lowest level and those above it have half as many
        for i in range(depth):
            self.add_module(f"down{i + 1}", Down(width << i, (2 * width << i) // (halved if i == depth - 1 else 1)))
        for i in range(depth):
            level = depth - i
            self.add_module(f"up{i + 1}", Up(width << level, (width << level) // 2 // (halved if level > 1 else 1), bilinear))
        self.outc = nn.ModuleDict({"conv": nn.Conv2d(width, num_classes, 1)})

    def forward(self, x: Tensor) -> Tensor:
        if min(x.shape[2:]) >> self.depth == 0:
            raise ValueError(
                f"expected images of at least {1 << self.depth} pixels a side (depth is {self.depth}), got {x.shape[2]}x{x.shape[3]}"
            )
        maps = [self.inc(x)]
        for i in range(self.depth):
            maps.append(getattr(self, f"down{i + 1}")(maps[-1]))
        x = maps.pop()
        for i in range(self.depth):
            x = getattr(self, f"up{i + 1}")(x, maps.pop())
        return self.outc["conv"](x)


@architecture(OF_IMAGES)
def unet(num_classes: int = 2, in_channels: int = 3, width: int = 64, depth: int = 4, bilinear: bool = False) -> UNet:
    """U-Net: 31.0 million parameters at ``width`` 64 and ``depth`` 4; a score of each class for each pixel."""
    return UNet(num_classes, in_channels, width, depth, bilinear)
