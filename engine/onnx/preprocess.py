"""The transforms of evaluation as nodes, with the same pixels: what a user gives to the file is an image as it is.

Resizing is Pillow's bilinear filter: weights of 22 bits, rounded to whole pixels along each axis, in the order that Pillow takes for such sizes. In double
precision that is exact. Of images of any size the order is that of rows first, which is one step of 255 off at most where Pillow takes the other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from engine.onnx.graph import Graph
from engine.onnx.trace import NotExportable
from engine.vision import transforms

Array = np.ndarray[Any, Any]
_BITS, _TRIES = 22, 8
_LUMA = np.array([19595, 38470, 7471], np.int32).reshape(1, 3, 1, 1)
"""Pillow's weights of red, green and blue (ITU-R 601), of 16 bits."""


@dataclasses.dataclass(frozen=True)
class Images:
    """A batch of images in the graph: ``(N, channels, height, width)``, sizes None where any will do; ``numbers`` once they are no pixels any more."""

    name: str
    channels: int
    height: int | None
    width: int | None
    numbers: bool = False

    def to(self, name: str, **changes: Any) -> Images:
        return dataclasses.replace(self, name=name, **changes)


def evaluation_steps(spec: Sequence[dict[str, Any]]) -> list[transforms.Transform]:
    """What is done to an image in evaluation, without ToTensor."""
    made = [getattr(transforms, t["type"])(**{k: v for k, v in t.items() if k != "type"}).still() for t in spec]
    return [t for t in made if t is not None and not isinstance(t, transforms.ToTensor | transforms.PILToTensor)]


def preprocessed(g: Graph, images: Images, spec: Sequence[dict[str, Any]]) -> Images:
    """Pixels as the model takes them. Raises NotExportable for what ONNX cannot do."""
    for t in evaluation_steps(spec):
        images = _applied(g, images, t)
    return images if images.numbers else _scaled(g, images)


def _applied(g: Graph, x: Images, t: transforms.Transform) -> Images:
    if isinstance(t, transforms.Normalize):
        x = x if x.numbers else _scaled(g, x)
        mean, std = (np.array(v, np.float32).reshape(1, -1, 1, 1) for v in (t.mean, t.std))
        return x.to(g.node("Div", g.node("Sub", x.name, g.constant(mean)), g.constant(std)), channels=max(x.channels, mean.shape[1]))
    if isinstance(t, transforms.Resize) and not x.numbers:
        return _resized(g, x, t.size)
    if isinstance(t, transforms.CenterCrop):
        return _cropped(g, x, t.size)
    if isinstance(t, transforms.Pad):
        return _padded(g, x, t.padding, t.fill)
    if isinstance(t, transforms.Grayscale) and not x.numbers:
        return _grey(g, x, t.num_output_channels)
    raise NotExportable(f"{type(t).__name__} has no form in ONNX")


def _scaled(g: Graph, x: Images) -> Images:
    """Pixels as numbers from 0 to 1."""
    return x.to(g.node("Div", g.node("Cast", x.name, to=1), g.constant(255, np.float32)), numbers=True)


def _pixels(g: Graph, numbers: str) -> str:
    limited = g.node("Clip", numbers, g.constant(0, np.float64), g.constant(255, np.float64))
    return g.node("Cast", limited, to=2)


def _resized(g: Graph, x: Images, size: Any) -> Images:
    if isinstance(size, int):
        if x.height is None or x.width is None:
            raise NotExportable("Resize to a shorter side, of images of any size,")
        short = min(x.height, x.width)
        size = max(1, int(x.height * size / short)), max(1, int(x.width * size / short))
    height, width = size
    y = g.node("Cast", x.name, to=11)
    across = g.node("Transpose", _weights(g, x, 3, x.width, width), perm=[1, 0])
    down = _weights(g, x, 2, x.height, height)
    rows_first = x.height is None or x.width is None or rows_come_first((x.height, x.width), (height, width))
    for operand in ("across", "down") if rows_first else ("down", "across"):
        y = _whole(g, g.node("MatMul", *((y, across) if operand == "across" else (down, y))))
    return x.to(_pixels(g, y), height=height, width=width)


def _whole(g: Graph, sums: str) -> str:
    """Sums by weights of 22 bits as whole pixels."""
    half, unit = g.constant(0.5, np.float64), g.constant(2.0**-_BITS, np.float64)
    rounded = g.node("Floor", g.node("Add", g.node("Mul", sums, unit), half))
    return g.node("Clip", rounded, g.constant(0, np.float64), g.constant(255, np.float64))


def weights(n: int, m: int) -> Array:
    """What each of ``m`` pixels takes of ``n``, in units of 2^-22: a triangle about its centre, as wide as a step if that is more than a pixel."""
    step = n / m
    away = (np.arange(n)[None] - (np.arange(m)[:, None] + 0.5) * step + 0.5) * (1 / max(step, 1.0))
    shares = np.maximum(0.0, 1 - np.abs(away))
    return np.floor(shares * (1 / shares.sum(1, keepdims=True)) * 2.0**_BITS + 0.5)  # as Pillow rounds: ties are frequent


def rows_come_first(size: tuple[int, int], target: tuple[int, int]) -> bool:
    """Whether Pillow resizes ``(height, width)`` along the rows first, found by trying: its versions decide otherwise."""
    across, down, rng = weights(size[1], target[1]).T, weights(size[0], target[0]), np.random.default_rng(0)

    def whole(sums: Array) -> Array:
        return np.clip(np.floor(sums / 2.0**_BITS + 0.5), 0, 255)

    for _ in range(_TRIES):
        pixels = rng.integers(0, 256, size, np.uint8)
        found = np.asarray(Image.fromarray(pixels).resize(target[::-1], Image.Resampling.BILINEAR))
        first, last = whole(down @ whole(pixels @ across)), whole(whole(down @ pixels) @ across)
        if not np.array_equal(first, last):
            return bool(np.abs(first - found).sum() <= np.abs(last - found).sum())
    return True


def _weights(g: Graph, x: Images, axis: int, n: int | None, m: int) -> str:
    """``weights``; computed in the graph where the size is known there only."""
    if n is not None:
        return g.constant(weights(n, m))

    def number(value: float) -> str:
        return g.constant(value, np.float64)

    size = g.node("Cast", g.node("Shape", x.name, start=axis, end=axis + 1), to=11)
    step = g.node("Div", size, number(m))
    places = g.node("Range", number(0), g.node("Squeeze", size), number(1))
    centres = g.node("Mul", g.constant((np.arange(m) + 0.5)[:, None]), step)
    away = g.node("Add", g.node("Sub", places, centres), number(0.5))
    width = g.node("Reciprocal", g.node("Max", step, number(1)))
    near = g.node("Sub", number(1), g.node("Abs", g.node("Mul", away, width)))
    shares = g.node("Max", near, number(0))
    share = g.node("Mul", shares, g.node("Reciprocal", g.node("ReduceSum", shares, g.ints([1]), keepdims=1)))
    return g.node("Floor", g.node("Add", g.node("Mul", share, number(2.0**_BITS)), number(0.5)))


def _cropped(g: Graph, x: Images, size: tuple[int, int]) -> Images:
    """The middle, with a border of zeros before where the image is smaller."""
    if x.height is None or x.width is None:
        raise NotExportable("CenterCrop of images of any size")
    missing = [max(0, m - n) for n, m in zip((x.height, x.width), size, strict=True)]
    if any(missing):
        x = _padded(g, x, (missing[1] // 2, missing[0] // 2, (missing[1] + 1) // 2, (missing[0] + 1) // 2), 0)
    assert x.height is not None and x.width is not None
    top, left = (round((n - m) / 2) for n, m in zip((x.height, x.width), size, strict=True))
    ends = g.ints([top + size[0], left + size[1]])
    return x.to(g.node("Slice", x.name, g.ints([top, left]), ends, g.ints([2, 3])), height=size[0], width=size[1])


def _padded(g: Graph, x: Images, padding: Any, fill: int) -> Images:
    widths = [padding] * 4 if isinstance(padding, int) else list(padding) * (2 if len(padding) == 2 else 1)
    left, top, right, bottom = widths
    value = g.constant(fill, np.float32 if x.numbers else np.uint8)
    sizes = {"height": x.height and x.height + top + bottom, "width": x.width and x.width + left + right}
    return x.to(g.node("Pad", x.name, g.ints([0, 0, top, left, 0, 0, bottom, right]), value), **sizes)


def _grey(g: Graph, x: Images, channels: int) -> Images:
    name = x.name
    if x.channels == 3:
        weighted = g.node("Mul", g.node("Cast", name, to=6), g.constant(_LUMA))
        total = g.node("Add", g.node("ReduceSum", weighted, g.ints([1]), keepdims=1), g.constant(1 << 15, np.int32))
        name = g.node("Cast", g.node("Div", total, g.constant(1 << 16, np.int32)), to=2)
    return x.to(name if channels == 1 else g.node("Concat", name, name, name, axis=1), channels=channels)
