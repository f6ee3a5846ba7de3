"""Pictures of many images (``torchvision.utils``)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from engine.modes import no_grad
from engine.ops.join import stack
from engine.tensor import Tensor
from engine.vision.transforms.functional import to_pil_image


@no_grad()
def make_grid(
    tensor: Tensor | Sequence[Tensor], nrow: int = 8, padding: int = 2, normalize: bool = False, value_range: tuple[float, float] | None = None,
    scale_each: bool = False, pad_value: float = 0.0,
) -> Tensor:  # fmt: skip
    """Images ``(N, C, H, W)`` side by side, ``nrow`` in a row: ``(3, H', W')``; ``normalize`` stretches them to [0, 1]."""
    images = tensor.detach() if isinstance(tensor, Tensor) else stack([t.detach() for t in tensor])
    images = images.unsqueeze(0) if images.ndim == 2 else images
    images = images.unsqueeze(0) if images.ndim == 3 else images
    if images.ndim != 4:
        raise TypeError(f"make_grid: expected images (N, C, H, W), got a tensor {list(images.shape)}")
    images = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
    if normalize:
        images = stack([_stretched(i, value_range) for i in images]) if scale_each else _stretched(images, value_range)
    if images.shape[0] == 1:
        return images[0]
    n, c, h, w = images.shape
    columns = min(nrow, n)
    rows = math.ceil(n / columns)
    grid = images.new_full((c, rows * (h + padding) + padding, columns * (w + padding) + padding), pad_value)
    for i in range(n):
        top, left = i // columns * (h + padding) + padding, i % columns * (w + padding) + padding
        grid[:, top : top + h, left : left + w] = images[i]
    return grid


def _stretched(images: Tensor, value_range: tuple[float, float] | None) -> Tensor:
    low, high = (float(images.min()), float(images.max())) if value_range is None else value_range
    return (images.clamp(low, high) - low) / max(high - low, 1e-5)


def save_image(
    tensor: Tensor | Sequence[Tensor], fp: str | Path | IO[bytes], format: str | None = None, nrow: int = 8, padding: int = 2, normalize: bool = False,
    value_range: tuple[float, float] | None = None, scale_each: bool = False, pad_value: float = 0.0,
) -> None:  # fmt: skip
    """Writes ``make_grid`` of float images in [0, 1] to a file, whose name says the format."""
    grid = make_grid(tensor, nrow, padding, normalize, value_range, scale_each, pad_value)
    to_pil_image((grid.cpu() * 255 + 0.5).clamp(0, 255).byte()).save(fp, format=format)
