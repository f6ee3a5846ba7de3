"""One rule for each op, or group of ops, that has kernels: how its calls become instructions."""

from engine.capture.rules import (
    convolution,
    elementwise,
    lookup,
    loss,
    normalization,
    pooling,
    product,
    random,
    recurrent,
    reduction,
    resize,
    slices,
    update,
)

__all__ = [
    "convolution",
    "elementwise",
    "lookup",
    "loss",
    "normalization",
    "pooling",
    "product",
    "random",
    "recurrent",
    "reduction",
    "resize",
    "slices",
    "update",
]
