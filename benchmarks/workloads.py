"""The workloads, described once for every library: layers, batch, loss, optimizer.

A network is a list of layers; a layer is its name and its numbers. ``module`` makes a module of PyTorch's interface of it
(PyTorch's or the engine's); ``benchmarks.jax_step`` reads the same lists. Parameters have the same names everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Layer = tuple[Any, ...]
CONV = "conv"  # inputs, outputs, kernel, stride, padding, bias, groups (1 if left out); "conv3d" takes the same


@dataclass(frozen=True)
class Workload:
    """``batch`` is the shape of the input; a class is drawn for each sample, or for each of its pixels (``pixels``), unless the network
    ends in one number (``regression``). With ``rows`` the inputs are indices below it."""

    id: str
    title: str
    layers: Sequence[Layer]
    batch: tuple[int, ...]
    optimizers: dict[str, dict[str, Any]]
    regression: bool = False
    pixels: bool = False
    rows: int = 0

    def data(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """The batch: standard normal inputs or indices, and classes or the inputs' squares."""
        rng = np.random.default_rng(0)
        x = rng.integers(0, self.rows, self.batch) if self.rows else rng.standard_normal(self.batch).astype(np.float32)
        shape = (self.batch[0], *self.batch[2:]) if self.pixels else self.batch[0]
        return x, x * x if self.regression else rng.integers(0, 10, shape)


def _bottleneck(width: int) -> Layer:
    narrow = width // 4
    unit = [
        (CONV, width, narrow, 1, 1, 0, True),
        ("bn", narrow),
        ("relu",),
        (CONV, narrow, narrow, 3, 1, 1, True),
        ("bn", narrow),
        ("relu",),
    ]
    return ("residual", [*unit, (CONV, narrow, width, 1, 1, 0, True), ("bn", width), ("relu",)], [], False)


def _block(inputs: int, outputs: int, stride: int) -> Layer:
    main = [
        (CONV, inputs, outputs, 3, stride, 1, False),
        ("bn", outputs),
        ("relu",),
        (CONV, outputs, outputs, 3, 1, 1, False),
        ("bn", outputs),
    ]
    shortcut = [(CONV, inputs, outputs, 1, stride, 0, False), ("bn", outputs)] if stride > 1 or inputs != outputs else []
    return ("residual", main, shortcut, True)


def _resnet18() -> list[Layer]:
    layers: list[Layer] = [(CONV, 3, 64, 3, 1, 1, False), ("bn", 64), ("relu",)]
    width = 64
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [_block(width, outputs, stride), _block(outputs, outputs, 1)]
        width = outputs
    return [*layers, ("gap",), ("flatten",), ("linear", 512, 10)]


def _unit(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, last: str = "relu") -> list[Layer]:
    """A convolution with batch normalization and an activation."""
    conv = (CONV, inputs, outputs, kernel, stride, kernel // 2, False, groups)
    return [conv, ("bn", outputs), *([(last,)] if last else [])]


def _unet() -> list[Layer]:
    def twice(inputs: int, outputs: int) -> list[Layer]:
        return [*_unit(inputs, outputs, 3), *_unit(outputs, outputs, 3)]

    pool, up = ("maxpool", 2, 2, 0), ("upsample",)
    inner = [pool, *twice(64, 128), up]
    outer = [pool, *twice(32, 64), ("skip", inner), *twice(64 + 128, 64), up]
    return [*twice(3, 32), ("skip", outer), *twice(32 + 64, 32), (CONV, 32, 10, 1, 1, 0, True)]


def _resnext() -> list[Layer]:
    layers, width = _unit(3, 64, 3), 64
    for _ in range(3):
        main = [*_unit(width, 128, 1), *_unit(128, 128, 3, groups=32), *_unit(128, 256, 1, last="")]
        layers.append(("residual", main, _unit(width, 256, 1, last="") if width != 256 else [], True))
        width = 256
    return [*layers, ("gap",), ("flatten",), ("linear", 256, 10)]


def _clips() -> list[Layer]:
    layers: list[Layer] = []
    for inputs, outputs in ((3, 32), (32, 64), (64, 128)):
        layers += [("conv3d", inputs, outputs, 3, 1, 1, False), ("bn3d", outputs), ("relu",), ("maxpool3d", 2, 2, 0)]
    return [*layers, ("gap3d",), ("flatten",), ("linear", 128, 10)]


def _mobilenet() -> list[Layer]:
    """MobileNetV2 (Sandler et al., 2018) with the strides for 32 x 32."""
    layers, width = _unit(3, 32, 3, last="relu6"), 32
    for expansion, outputs, count, first in (
        (1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ):  # fmt: skip
        for stride in (first, *[1] * (count - 1)):
            inner = width * expansion
            widen = _unit(width, inner, 1, last="relu6") if expansion > 1 else []
            main = [*widen, *_unit(inner, inner, 3, stride, inner, "relu6"), *_unit(inner, outputs, 1, last="")]
            layers += [("residual", main, [], False)] if stride == 1 and width == outputs else main
            width = outputs
    return [*layers, *_unit(320, 1280, 1, last="relu6"), ("gap",), ("flatten",), ("linear", 1280, 10)]


_LOWER = [
    (CONV, 1, 32, 7, 2, 3, False), ("relu",), (CONV, 32, 64, 3, 1, 1, False), ("relu",), ("maxpool", 3, (3, 2), 1), (CONV, 64, 128, 3, 1, 1, False), ("relu",),
    ("maxpool", 3, (4, 2), 1), (CONV, 128, 256, 3, 1, 1, False), ("relu",), ("maxpool", 3, (4, 2), 1), (CONV, 256, 256, 3, 1, 1, False), ("relu",), ("gap",),
    ("flatten",), ("linear", 256, 10),
]  # fmt: skip
_FOUR = {
    "SGD": {"lr": 0.01}, "Momentum": {"lr": 0.01, "momentum": 0.8}, "RMSprop": {"lr": 0.01, "alpha": 0.9}, "Adam": {"lr": 0.01, "betas": (0.9, 0.99)},
}  # fmt: skip

WORKLOADS = {
    w.id: w
    for w in (
        Workload("W1", "1-20-1 MLP, MSE", [("linear", 1, 20), ("relu",), ("linear", 20, 1)], (32, 1), _FOUR, regression=True),
        Workload("W2", "784-100-10", [("linear", 784, 100), ("relu",), ("linear", 100, 10)], (64, 784), {"Adam": {}}),
        Workload(
            "W2b", "784-1024-1024-10", [("linear", 784, 1024), ("relu",), ("linear", 1024, 1024), ("relu",), ("linear", 1024, 10)], (256, 784), {"Adam": {}}
        ),
        Workload(
            "W3", "conv 1-20-64 k5",
            [(CONV, 1, 20, 5, 1, 0, True), ("maxpool", 2, 2, 0), ("relu",), (CONV, 20, 64, 5, 1, 0, True), ("maxpool", 2, 2, 0), ("relu",), ("flatten",), ("linear", 1024, 10)],
            (64, 1, 28, 28), {"Momentum": {"lr": 0.01, "momentum": 0.9}},
        ),
        Workload(
            "W4", "conv 3-64, two bottlenecks", [(CONV, 3, 64, 3, 1, 1, True), _bottleneck(64), _bottleneck(64), ("gap",), ("flatten",), ("linear", 64, 10)],
            (32, 3, 32, 32), {"Adam": {}},
        ),
        Workload(
            "W5", "3x3 convs 1-128-256-128",
            [(CONV, 1, 128, 3, 1, 1, True), ("relu",), (CONV, 128, 256, 3, 1, 1, True), ("relu",), (CONV, 256, 128, 3, 1, 1, True), ("relu",), ("gap",), ("flatten",), ("linear", 128, 10)],
            (8, 1, 28, 28), {"SGD": {"lr": 0.01}},
        ),
        Workload("W6", "the lower_layers stack", _LOWER, (4, 1, 1000, 40), {"SGD": {"lr": 0.01}}),
        Workload("W7", "ResNet-18, 32x32", _resnet18(), (32, 3, 32, 32), {"Momentum": {"lr": 0.01, "momentum": 0.9}}),
        Workload("W8", "4-layer transformer encoder", [*[("encoder", 128, 4, 512)] * 4, ("mean", 1), ("linear", 128, 10)], (16, 64, 128), {"AdamW": {}}),
        Workload("W9", "U-Net 3-32-64-128, 128x128", _unet(), (4, 3, 128, 128), {"Adam": {}}, pixels=True),
        Workload("W10", "ResNeXt blocks, 32 groups, 56x56", _resnext(), (8, 3, 56, 56), {"Momentum": {"lr": 0.01, "momentum": 0.9}}),
        Workload("W11", "3-D convs 3-32-64-128, 16x32x32", _clips(), (8, 3, 16, 32, 32), {"SGD": {"lr": 0.01}}),
        Workload("W12", "MobileNetV2, 32x32", _mobilenet(), (32, 3, 32, 32), {"Momentum": {"lr": 0.01, "momentum": 0.9}}),
        Workload(
            "W13", "embedding bag of 100,000 rows, 64-128-10", [("bag", 100_000, 64), ("linear", 64, 128), ("relu",), ("linear", 128, 10)],
            (256, 32), {"SGD": {"lr": 0.01}}, rows=100_000,
        ),
    )
}  # fmt: skip

GROWN = {
    w.id: w
    for w in (
        replace(WORKLOADS["W5"], id="W5 batch 32", title="W5 with four times the batch", batch=(32, 1, 28, 28)),
        replace(WORKLOADS["W7"], id="W7 batch 64", title="W7 with twice the batch", batch=(64, 3, 32, 32)),
        replace(
            WORKLOADS["W8"], id="W8 depth 8", title="W8 with twice the layers",
            layers=[*[("encoder", 128, 4, 512)] * 8, ("mean", 1), ("linear", 128, 10)],
        ),
    )
}  # fmt: skip
"""Larger ones, to see how memory grows."""


def _smooth(layer: Layer) -> Layer:
    name, *n = layer
    if name == "residual":
        return (name, [_smooth(x) for x in n[0]], [_smooth(x) for x in n[1]], "tanh" if n[2] else False)
    if name == "skip":
        return (name, [_smooth(x) for x in n[0]])
    if name in ("maxpool", "maxpool3d"):
        return (name.replace("max", "avg"), *n)
    return ("tanh",) if name in ("relu", "relu6") else (*layer, "gelu") if name == "encoder" else layer


SMOOTH = {
    f"{i} smooth": replace(
        WORKLOADS[i],
        id=f"{i} smooth",
        title=f"{i} without kinks, SGD",
        layers=[_smooth(x) for x in WORKLOADS[i].layers],
        optimizers={"SGD": {"lr": 0.01}},
    )
    for i in ("W2b", "W4", "W5", "W6", "W7", "W8", "W9", "W10", "W11", "W12")
}
"""The deep ones with tanh or GELU for ReLU and means for maxima, where a rounding never makes a gradient another one."""

EAGER = {"E1": "W1", "E2": "W2", "E8": "W8", "E9": "W9", "E10": "W10", "E11": "W11", "E-dw": "W12"}
"""The rows of eager steps, by the workloads that they run."""
REACH = {
    "W1": 10.0, "W2": 1.5, "W2b": 1.1, "W3": 1.2, "W4": 1.4, "W5": 2.5, "W6": 1.5, "W7": 1.8, "W8": 1.2, "W9": 1.2, "W10": 1.2, "W11": 1.2,
    "W12": 1.4, "W13": 1.5, "E1": 1.5, "E2": 1.5, "E8": 1.0, "E9": 1.0, "E10": 1.0, "E11": 1.0, "E-dw": 1.0,
}  # fmt: skip
"""How many times faster than the best peer a step is to be."""
TWO_THREADS = ("W3", "W4", "W5", "W6", "W7", "W9", "W10", "W11", "W12", "W13")


def module(lib: Any, layers: Sequence[Layer]) -> Any:
    """The network as a module of ``lib``: PyTorch or the engine."""
    nn = lib.nn

    class Residual(nn.Module):  # type: ignore[misc, name-defined]  # whichever library's base it is
        def __init__(self, main: Sequence[Layer], shortcut: Sequence[Layer], last: bool | str) -> None:
            super().__init__()
            self.main, self.shortcut = module(lib, main), module(lib, shortcut) if shortcut else nn.Identity()
            self.last = nn.Tanh() if last == "tanh" else nn.ReLU(inplace=True) if last else nn.Identity()

        def forward(self, x: Any) -> Any:
            return self.last(self.shortcut(x) + self.main(x))

    class Skip(nn.Module):  # type: ignore[misc, name-defined]  # whichever library's base it is
        def __init__(self, inner: Sequence[Layer]) -> None:
            super().__init__()
            self.inner = module(lib, inner)

        def forward(self, x: Any) -> Any:
            return lib.cat([x, self.inner(x)], 1)

    class Mean(nn.Module):  # type: ignore[misc, name-defined]  # whichever library's base it is
        def __init__(self, dim: int) -> None:
            super().__init__()
            self.dim = dim

        def forward(self, x: Any) -> Any:
            return x.mean(self.dim)

    def conv(make: Any) -> Any:
        return lambda i, o, k, s, p, b, g=1: make(i, o, k, s, p, groups=g, bias=b)

    makers = {
        "linear": nn.Linear, "relu": lambda: nn.ReLU(inplace=True), "relu6": lambda: nn.ReLU6(inplace=True), "tanh": nn.Tanh, "bn": nn.BatchNorm2d, "bn3d": nn.BatchNorm3d,
        "maxpool": nn.MaxPool2d, "maxpool3d": nn.MaxPool3d, "avgpool": nn.AvgPool2d, "avgpool3d": nn.AvgPool3d, "gap": lambda: nn.AdaptiveAvgPool2d(1), "gap3d": lambda: nn.AdaptiveAvgPool3d(1),
        "flatten": nn.Flatten, "residual": Residual, "skip": Skip, "mean": Mean, "conv": conv(nn.Conv2d), "conv3d": conv(nn.Conv3d), "bag": nn.EmbeddingBag,
        "upsample": lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
        "encoder": lambda d, h, f, a="relu": nn.TransformerEncoderLayer(d, h, f, dropout=0.0, activation=a, batch_first=True),
    }  # fmt: skip
    return nn.Sequential(*[makers[name](*numbers) for name, *numbers in layers])


def optimizer(lib: Any, name: str, options: dict[str, Any], parameters: Any) -> Any:
    return getattr(lib.optim, "SGD" if name == "Momentum" else name)(parameters, **{"lr": 1e-3, **options})
