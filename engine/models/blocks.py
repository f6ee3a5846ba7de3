"""What several architectures are built of: convolution with normalization, squeeze and excitation, stochastic depth."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from engine import nn
from engine.nn import functional as F
from engine.nn import init
from engine.tensor import Tensor

Make = Callable[..., nn.Module]
"""What makes a layer: of a number of channels a norm, of nothing an activation."""


class ConvNormActivation(nn.Sequential):
    """A convolution that pads to keep the size (over the stride), a norm, and an activation unless it is None. ``0``, ``1`` and ``2`` in a state dict."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
        norm: Make = nn.BatchNorm2d,
        activation: Make | None = nn.ReLU,
    ) -> None:
        conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, (kernel_size - 1) // 2, groups=groups, bias=False)
        super().__init__(conv, norm(out_channels), *([] if activation is None else [activation()]))


class SqueezeExcitation(nn.Module):
    """Scales each channel by what all channels' means say (Hu et al., "Squeeze-and-excitation networks", 2018)."""

    def __init__(self, channels: int, squeezed: int, activation: Make = nn.ReLU, scale: Make = nn.Sigmoid) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)
        self.activation, self.scale_activation = activation(), scale()

    def forward(self, input: Tensor) -> Tensor:
        scale = self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(input)))))
        return scale * input


class StochasticDepth(nn.Module):
    """In training, leaves out a sample's whole branch with probability ``p`` (Huang et al., "Deep networks with stochastic depth", 2016)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"stochastic depth: expected a probability from 0 to 1, got {p}")
        self.p = p

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return input
        kept = input.new_ones(input.shape[0], *(1,) * (input.ndim - 1))
        return input * F.dropout(kept, self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def divisible(channels: float, by: int = 8) -> int:
    """The multiple of ``by`` next to a number of channels, and never less than nine tenths of it."""
    found = max(by, int(channels + by / 2) // by * by)
    return found + by if found < 0.9 * channels else found


def check_multiplier(width_mult: float) -> None:
    """Raises ValueError for a factor of channels that leaves none."""
    if not width_mult > 0:
        raise ValueError(f"width_mult must be above 0, got {width_mult}")


def init_convolutions(model: nn.Module) -> None:
    """Weights of convolutions by the numbers of outputs that they feed (He et al., 2015), biases of zero."""
    for m in model.modules():
        if isinstance(m, nn.Conv2d):
            init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            if m.bias is not None:
                init.zeros_(m.bias)


def init_linear(model: nn.Module, fill: Callable[[Tensor], Tensor] = partial(init.normal_, std=0.01)) -> None:
    """Weights of linear layers by ``fill``, biases of zero."""
    for m in model.modules():
        if isinstance(m, nn.Linear):
            fill(m.weight)
            init.zeros_(m.bias)
