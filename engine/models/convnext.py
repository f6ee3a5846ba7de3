"""ConvNeXt (Liu et al., "A ConvNet for the 2020s", 2022); state-dict keys and initialization are torchvision's."""

from __future__ import annotations

from functools import partial

from engine import nn
from engine.creation import full_
from engine.models.architecture import OF_IMAGES, architecture
from engine.models.blocks import StochasticDepth, init_linear
from engine.nn import functional as F
from engine.nn import init
from engine.tensor import Tensor


class LayerNorm2d(nn.LayerNorm):
    """Standardizes the channels of each pixel of ``(N, C, H, W)``."""

    def forward(self, input: Tensor) -> Tensor:
        channels_last = input.permute(0, 2, 3, 1)
        return F.layer_norm(channels_last, self.normalized_shape, self.weight, self.bias, self.eps).permute(0, 3, 1, 2)


class Permute(nn.Module):
    """Brings dimensions into another order."""

    def __init__(self, *dims: int) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, input: Tensor) -> Tensor:
        return input.permute(*self.dims)

    def extra_repr(self) -> str:
        return ", ".join(map(str, self.dims))


class CNBlock(nn.Module):
    """A 7 x 7 convolution of each channel by itself and two linear layers over channels, scaled, beside a shortcut."""

    def __init__(self, channels: int, depth_prob: float) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(channels, channels, 7, padding=3, groups=channels),
            Permute(0, 2, 3, 1),
            nn.LayerNorm(channels, eps=1e-6),
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Linear(4 * channels, channels),
            Permute(0, 3, 1, 2),
        )
        self.layer_scale = nn.Parameter(full_((channels, 1, 1), 1e-6))
        self.stochastic_depth = StochasticDepth(depth_prob)

    def forward(self, input: Tensor) -> Tensor:
        return input + self.stochastic_depth(self.layer_scale * self.block(input))


class ConvNeXt(nn.Module):
    """``(N, in_channels, H, W)`` to scores ``(N, num_classes)``: four stages of blocks, the first ``width`` channels wide, each after it twice as wide."""

    def __init__(
        self, depths: tuple[int, int, int, int], num_classes: int, in_channels: int, width: int, stochastic_depth_prob: float
    ) -> None:
        super().__init__()
        norm = partial(LayerNorm2d, eps=1e-6)
        layers: list[nn.Module] = [nn.Sequential(nn.Conv2d(in_channels, width, 4, 4), norm(width))]
        total, made, channels = sum(depths), 0, width
        for i, n in enumerate(depths):
            if i:
                layers.append(nn.Sequential(norm(channels), nn.Conv2d(channels, 2 * channels, 2, 2)))
                channels *= 2
            layers.append(nn.Sequential(*(CNBlock(channels, stochastic_depth_prob * (made + j) / max(1, total - 1)) for j in range(n))))
            made += n
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(norm(channels), nn.Flatten(1), nn.Linear(channels, num_classes))
        narrow = partial(init.trunc_normal_, std=0.02)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                narrow(m.weight)
                init.zeros_(m.bias)
        init_linear(self, narrow)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)))


@architecture(OF_IMAGES)
def convnext_tiny(
    num_classes: int = 1000,
    in_channels: int = 3,
    width: int = 96,
    depths: tuple[int, int, int, int] = (3, 3, 9, 3),
    stochastic_depth_prob: float = 0.1,
) -> ConvNeXt:
    """ConvNeXt-T: 28.6 million parameters at ``width`` 96, for images of 32 x 32 pixels and more."""
    return ConvNeXt(depths, num_classes, in_channels, width, stochastic_depth_prob)
