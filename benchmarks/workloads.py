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
CONV = "conv"  # inputs, outputs, kernel, stride, padding, bias


@dataclass(frozen=True)
class Workload:
    """``batch`` is the shape of the input; classes are drawn unless the network ends in one number (``regression``)."""

    id: str
    title: str
    layers: Sequence[Layer]
    batch: tuple[int, ...]
    optimizers: dict[str, dict[str, Any]]
    regression: bool = False

    def data(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """The batch: standard normal inputs, and classes or the inputs' squares."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal(self.batch).astype(np.float32)
        return x, x * x if self.regression else rng.integers(0, 10, self.batch[0])


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
    if name == "maxpool":
        return ("avgpool", *n)
    return ("tanh",) if name == "relu" else (*layer, "gelu") if name == "encoder" else layer


SMOOTH = {
    f"{i} smooth": replace(
        WORKLOADS[i],
        id=f"{i} smooth",
        title=f"{i} without kinks, SGD",
        layers=[_smooth(x) for x in WORKLOADS[i].layers],
        optimizers={"SGD": {"lr": 0.01}},
    )
    for i in ("W2b", "W4", "W5", "W6", "W7", "W8")
}
"""The deep ones with tanh or GELU for ReLU and means for maxima, where a rounding never makes a gradient another one."""

REACH = {"W1": 10.0, "W2": 1.5, "W2b": 1.1, "W3": 1.2, "W4": 1.4, "W5": 2.5, "W6": 1.5, "W7": 1.8, "W8": 1.2, "E": 1.5}
"""How many times faster than the best peer a step is to be."""
TWO_THREADS = ("W3", "W4", "W5", "W6", "W7")


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

    class Mean(nn.Module):  # type: ignore[misc, name-defined]  # whichever library's base it is
        def __init__(self, dim: int) -> None:
            super().__init__()
            self.dim = dim

        def forward(self, x: Any) -> Any:
            return x.mean(self.dim)

    makers = {
        "linear": nn.Linear, "relu": lambda: nn.ReLU(inplace=True), "tanh": nn.Tanh, "bn": nn.BatchNorm2d, "maxpool": nn.MaxPool2d, "avgpool": nn.AvgPool2d, "gap": lambda: nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten, "residual": Residual, "mean": Mean, "conv": lambda i, o, k, s, p, b: nn.Conv2d(i, o, k, s, p, bias=b),
        "encoder": lambda d, h, f, a="relu": nn.TransformerEncoderLayer(d, h, f, dropout=0.0, activation=a, batch_first=True),
    }  # fmt: skip
    return nn.Sequential(*[makers[name](*numbers) for name, *numbers in layers])


def optimizer(lib: Any, name: str, options: dict[str, Any], parameters: Any) -> Any:
    return getattr(lib.optim, "SGD" if name == "Momentum" else name)(parameters, **{"lr": 1e-3, **options})
