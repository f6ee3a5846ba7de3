"""Networks by the shape of samples and what is to be said of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from engine.recipes.tasks import Task

Layers = list[dict[str, Any]]
_MANY, _LARGE = 2000, 48
"""Samples, and pixels a side, from which on a residual network is worth its time."""


@dataclass(frozen=True)
class Need:
    """What a network is for: samples of ``shape``, a target of shape ``target`` each, ``outputs`` numbers, learned from ``samples``; tokens are below ``limit``."""

    task: Task
    shape: tuple[int, ...]
    target: tuple[int, ...]
    outputs: int
    samples: int
    limit: int | None

    @property
    def norms(self) -> bool:
        """Whether there are samples enough to normalize by a batch."""
        return self.samples >= 8


def network(need: Need) -> Any:
    """The ``model`` of a spec."""
    if need.task == "language_model":
        return _language(need)
    if need.task == "text_classification":
        return {"type": "textcnn", "num_classes": need.outputs}
    places = need.target if need.task == "segmentation" else need.target[1:]
    if len(need.shape) > 1 and places and places == need.shape[1:]:
        return _of_places(need)
    body = _body(need)
    return body if isinstance(body, dict) else [*body, *_head(need)]


def _language(need: Need) -> dict[str, Any]:
    """A small GPT."""
    width = 128 if need.samples < 20_000 else 256
    sizes = {"hidden_dim": width, "num_layers": 4, "num_heads": 4, "dropout": 0.1}
    return {"type": "gpt", "num_embeddings": max(need.outputs, need.limit or 0), **sizes}


def _of_places(need: Need) -> Any:
    """Something for each pixel: a U-Net as deep as the map allows."""
    side, ranks = min(need.shape[1:]), len(need.shape) - 1
    if ranks == 2 and side >= 2 and need.norms:
        return {
            "type": "unet",
            "num_classes": need.outputs,
            "width": 16 if need.samples < 1000 else 32,
            "depth": min(4, max(1, int(math.log2(side)) - 2)),
        }
    conv = {"type": f"Conv{ranks}d", "out_channels": 32, "kernel_size": 3, "padding": 1}
    return [conv, {"type": "ReLU"}, conv, {"type": "ReLU"}, {**conv, "out_channels": need.outputs, "kernel_size": 1, "padding": 0}]


def _head(need: Need) -> Layers:
    """From features to the outputs."""
    if math.prod(need.target) == need.outputs or need.task != "regression":
        return [{"type": "Linear", "out_features": need.outputs}]
    return [
        {"type": "Linear", "out_features": math.prod(need.target)},
        {"type": "Unflatten", "dim": 1, "unflattened_size": list(need.target)},
    ]


def _body(need: Need) -> Any:
    """A whole architecture, or layers up to the features of a sample."""
    ranks = len(need.shape) - 1
    if ranks == 1:
        return _sequence(need)
    if ranks < 1:
        return _perceptron(need)
    if ranks == 2 and min(need.shape[1:]) >= _LARGE and need.samples >= _MANY and len(need.target) < 2:
        return {"type": "resnet18", "num_classes": need.outputs, "width": 32 if need.samples < 10_000 else 64}
    return _convolutions(need, ranks)


def _perceptron(need: Need) -> Layers:
    width = 64 if need.samples < 1000 else 128 if need.samples < 20_000 else 256
    norm: Layers = [{"type": "BatchNorm1d"}] if need.norms else []
    hidden: Layers = [{"type": "Linear", "out_features": width}, *norm, {"type": "ReLU"}, {"type": "Dropout", "p": 0.1}]
    return [*([] if need.shape else [{"type": "Unflatten", "dim": 0, "unflattened_size": [-1, 1]}]), *norm, *hidden, *hidden]


def _sequence(need: Need) -> Layers:
    """Sequences ``(L, C)``: each feature normalized, and an LSTM that reads them in both directions."""
    turn = {"type": "Permute", "dims": [0, 2, 1]}
    norm: Layers = [turn, {"type": "BatchNorm1d"}, turn] if need.norms else []
    return [*norm, {"type": "LSTM", "hidden_size": 64, "bidirectional": True, "pool": "max"}, {"type": "Dropout", "p": 0.2}]


def _convolutions(need: Need, ranks: int) -> Layers:
    """Stages of convolutions and a pooling, down to maps of less than eight a side."""
    side, channels, layers = min(need.shape[1:]), 32, list[dict[str, Any]]()

    def stage() -> Layers:
        norm: Layers = [{"type": f"BatchNorm{ranks}d"}] if need.norms else []
        conv: Layers = [{"type": f"Conv{ranks}d", "out_channels": channels, "kernel_size": 3, "padding": 1}, *norm, {"type": "ReLU"}]
        return conv * (2 if side < 32 else 1)

    while side >= 8:
        layers += [*stage(), {"type": f"MaxPool{ranks}d", "kernel_size": 2}]
        side, channels = side // 2, min(256, 2 * channels)
    layers += stage()
    whole: Layers = [{"type": f"AdaptiveAvgPool{ranks}d", "output_size": 1}] if side > 4 else []
    return [*layers, *whole, {"type": "Flatten"}, {"type": "Dropout", "p": 0.2}]
