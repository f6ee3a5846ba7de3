"""Runnable specs, one for each kind of task: what to start from when writing one's own."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Example:
    """A spec with what it shows, and which datasets it is for; ``data.dataset`` is left to be named."""

    name: str
    title: str
    description: str
    dataset: str
    spec: Json


_IMAGES = "images in a folder for each class"
_ADAM: Json = {"type": "Adam", "lr": 0.002}


def _cosine(epochs: int) -> Json:
    return {"epochs": epochs, "scheduler": {"type": "CosineAnnealingLR", "T_max": epochs}}


def _classifier(model: Any, batch_size: int, data: Json | None = None, **sections: Any) -> Json:
    """A spec for classes."""
    common = {"seed": 1, "model": model, "loss": {"type": "CrossEntropyLoss"}, "metrics": ["accuracy", "f1"], "optimizer": _ADAM}
    return {**common, "data": {"batch_size": batch_size, "validation": 0.2, **(data or {})}, **sections}


_DIGITS: list[Json] = [
    {"type": "Conv2d", "out_channels": 32, "kernel_size": 3, "padding": 1}, {"type": "BatchNorm2d"}, {"type": "ReLU"},
    {"type": "Conv2d", "out_channels": 64, "kernel_size": 3, "padding": 1}, {"type": "BatchNorm2d"}, {"type": "ReLU"}, {"type": "MaxPool2d", "kernel_size": 2},
    {"type": "Flatten"}, {"type": "Dropout", "p": 0.3}, {"type": "Linear", "out_features": 10},
]  # fmt: skip
_TABLE: list[Json] = [
    {"type": "Linear", "out_features": 64}, {"type": "BatchNorm1d"}, {"type": "ReLU"}, {"type": "Dropout", "p": 0.2},
    {"type": "Linear", "out_features": 64}, {"type": "BatchNorm1d"}, {"type": "ReLU"},
]  # fmt: skip
_TRANSFORMER: list[Json] = [
    {
        "type": "Graph",
        "nodes": [
            {"name": "lengths", "inputs": ["input"], "layer": {"type": "SequenceLengths", "padding_idx": 0}},
            {"name": "vectors", "inputs": ["input"], "layer": {"type": "Embedding", "embedding_dim": 64, "padding_idx": 0}},
            {"name": "placed", "layer": {"type": "PositionalEncoding"}},
            {"name": "encoded", "inputs": ["placed", "lengths"], "layer": {"type": "TransformerEncoder", "nhead": 4, "num_layers": 2, "dim_feedforward": 128}},
            {"name": "text", "inputs": ["encoded", "lengths"], "layer": {"type": "SequencePool"}},
        ],
    }
]  # fmt: skip

EXAMPLES: tuple[Example, ...] = (
    Example(
        "digits-cnn", "Small images, a network of your own",
        "Two convolutions on handwritten digits, shifted at random; the best epoch by validation loss is kept.", f"{_IMAGES}, ten of them, 8x8 pixels or more",
        _classifier(_DIGITS, 64, {"transform": [{"type": "RandomCrop", "size": 8, "padding": 1}]}, **_cosine(15), early_stopping={"patience": 5}),
    ),
    Example(
        "resnet18", "Photos, a ready-made architecture",
        "ResNet-18 from scratch; num_classes and in_channels follow from the dataset. Images of several sizes are brought to one.", _IMAGES,
        _classifier(
            {"type": "resnet18"}, 64, {"transform": [{"type": "Resize", "size": [64, 64]}, {"type": "RandomCrop", "size": 64, "padding": 8}, {"type": "RandomHorizontalFlip"}]},
            **_cosine(30), optimizer={"type": "SGD", "lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.0005},
        ),
    ),
    Example(
        "fine-tuning", "Photos, weights that exist",
        "A ResNet-18 that starts from an uploaded safetensors file with torchvision's names (init_from.weights), all but its last layer; that one alone learns for "
        "three epochs, then the others at a tenth of its rate.", f"{_IMAGES}, and a file of weights",
        _classifier(
            {"type": "resnet18"}, 32, {"transform": [{"type": "Resize", "size": [64, 64]}, {"type": "RandomHorizontalFlip"}]}, **_cosine(12),
            init_from={
                "weights": "resnet18.safetensors", "map": {"fc.": None}, "strict": False,
                "freeze": [{"match": pattern, "epochs": 3} for pattern in ("conv1.*", "bn1.*", "layer*")],
            },
            optimizer={"type": "AdamW", "lr": 0.0002}, param_groups=[{"match": "fc.*", "lr": 0.002}],
        ),
    ),
    Example(
        "segmentation", "A class for each pixel", "A U-Net; outputs are a score of each class for each pixel, and IoU says how well areas match.",
        "images with a map of classes each: npz with x (N, C, H, W) and y (N, H, W)",
        _classifier({"type": "unet", "width": 16, "depth": 2}, 8, **_cosine(40), metrics=["accuracy", "iou"], early_stopping={"monitor": "val_iou", "patience": 10}),
    ),
    Example(
        "table-classes", "A table, classes", "A perceptron with batch normalization; rare classes weigh as much as frequent ones.", "a table with a column of classes",
        _classifier(
            [*_TABLE, {"type": "Linear", "out_features": 3}], 32, {"class_weights": "balanced"}, epochs=60, metrics=["balanced_accuracy", "f1", "confusion_matrix"],
            scheduler={"type": "ReduceLROnPlateau", "patience": 4}, early_stopping={"monitor": "val_f1", "patience": 12},
        ),
    ),
    Example(
        "table-numbers", "A table, a number", "Regression; errors count linearly where they are large.", "a table with a column of numbers",
        _classifier(
            [*_TABLE, {"type": "Linear", "out_features": 1}], 32, epochs=80, loss={"type": "SmoothL1Loss"}, metrics=["mae", "rmse", "r2"],
            scheduler={"type": "ReduceLROnPlateau", "patience": 5}, early_stopping={"patience": 15},
        ),
    ),
    Example(
        "labels", "Several labels at once", "Each label is decided by itself, yes or no.", "npz with x (N, features) and y (N, labels) of 0 and 1",
        _classifier([*_TABLE, {"type": "Linear", "out_features": 2}], 32, **_cosine(40), loss={"type": "BCEWithLogitsLoss"}),
    ),
    Example(
        "series", "Series of measurements", "An LSTM in both directions, of each of its outputs the largest over time.", "npz with x (N, steps, features) and y (N,) of classes",
        _classifier(
            [{"type": "LSTM", "hidden_size": 64, "bidirectional": True, "pool": "max"}, {"type": "Dropout", "p": 0.2}, {"type": "Linear", "out_features": 3}], 32, **_cosine(30),
            gradient_clip={"norm": 1.0},
        ),
    ),
    Example(
        "text-cnn", "Texts, filters over words", "TextCNN; tokens, classes and lengths follow from the dataset.", "texts with a class each, as tokens (N, length)",
        _classifier({"type": "textcnn"}, 32, **_cosine(15), early_stopping={"patience": 4}),
    ),
    Example(
        "text-transformer", "Texts, attention", "A transformer of two layers that leaves padding out, and the mean of what it yields.", "texts with a class each, as tokens (N, length)",
        _classifier([*_TRANSFORMER, {"type": "Linear", "out_features": 3}], 32, **_cosine(20), gradient_clip={"norm": 1.0}, optimizer={"type": "AdamW", "lr": 0.0005}),
    ),
    Example(
        "language-model", "Texts, the token that comes next", "A small GPT; each place's target is the next token (data.target).", "texts as tokens (N, length)",
        _classifier(
            {"type": "gpt", "hidden_dim": 64, "num_layers": 2, "num_heads": 4, "dropout": 0.1}, 16, {"target": "next"}, **_cosine(20), metrics=["accuracy"],
            loss={"type": "CrossEntropyLoss", "class_dim": -1}, gradient_clip={"norm": 1.0}, optimizer={"type": "AdamW", "lr": 0.001},
        ),
    ),
    Example(
        "autoencoder", "Samples that are their own targets", "Eight numbers in the middle say all of an image (data.target); images that come back worst are unlike the others.",
        "small images with one channel",
        _classifier(
            [
                {"type": "Flatten"}, {"type": "Linear", "out_features": 64}, {"type": "ReLU"}, {"type": "Linear", "out_features": 8}, {"type": "Linear", "out_features": 64},
                {"type": "ReLU"}, {"type": "Linear", "out_features": 64}, {"type": "Unflatten", "dim": 1, "unflattened_size": [1, 8, 8]},
            ], 32, {"target": "input"}, **_cosine(30), loss={"type": "MSELoss"}, metrics=["mae"],
        ),
    ),
    Example(
        "compare", "Several settings at once", "Four optimizers on one network, as one job with overlaid curves.", "a table with a column of classes",
        _classifier(
            [*_TABLE, {"type": "Linear", "out_features": 3}], 32, epochs=20,
            compare=[{"name": t, "optimizer": {"type": t, "lr": lr}} for t, lr in (("SGD", 0.1), ("RMSprop", 0.002), ("Adam", 0.002), ("AdamW", 0.002))],
        ),
    ),
)  # fmt: skip
"""By name, the usual ones first."""


def examples() -> list[Json]:
    """Every example as JSON: ``name``, ``title``, ``description``, ``dataset`` (which ones it is for), ``spec``."""
    return [copy.deepcopy(asdict(e)) for e in EXAMPLES]
