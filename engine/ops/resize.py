"""Images in other sizes: along each axis, every element is a weighted sum of a few neighbours. The gradient is the same with the
weights turned around."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import Array, array_module
from engine.dispatch import Op
from engine.graph import apply

if TYPE_CHECKING:
    from engine.tensor import Tensor

Host = np.ndarray[Any, Any]
Ints = tuple[int, ...]


def _centres(n: int, m: int, align_corners: bool, ratio: float, cubic: bool) -> Host:
    """Where each of ``m`` outputs lies among ``n`` inputs."""
    k = np.arange(m)
    if align_corners:
        return k * ((n - 1) / (m - 1)) if m > 1 else k * 0.0
    at = (k + 0.5) * ratio - 0.5
    return at if cubic else np.maximum(at, 0)


def _cubic(t: Host) -> list[Host]:
    """The weights of four neighbours (Keys, 1981, with a = -0.75)."""
    a = -0.75

    def near(x: Host) -> Host:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Host) -> Host:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


@functools.lru_cache(256)
def taps(n: int, m: int, mode: str, align_corners: bool, ratio: float) -> tuple[Host, Host, Host]:
    """For each of ``m`` outputs along an axis of ``n`` inputs: how many inputs count ``(m)``, which ``(m, most)``, and their weights."""
    k = np.arange(m)
    weights: list[Host]
    if mode.startswith("nearest"):
        at = np.floor((k + 0.5 * (mode == "nearest-exact")) * ratio).astype(np.int64)
        columns, weights = [np.minimum(at, n - 1)], [np.ones(m)]
    else:
        centre = _centres(n, m, align_corners, ratio, mode == "bicubic")
        low = np.floor(centre).astype(np.int64)
        t = centre - low
        if mode == "bicubic":
            columns, weights = [np.clip(low + i - 1, 0, n - 1) for i in range(4)], _cubic(t)
        else:
            low = np.minimum(low, n - 1)
            columns, weights = [low, np.minimum(low + 1, n - 1)], [1 - t, t]
    return np.full(m, len(columns)), np.stack(columns, 1), np.stack(weights, 1)


@functools.lru_cache(256)
def turned_taps(n: int, m: int, mode: str, align_corners: bool, ratio: float) -> tuple[Host, Host, Host]:
    """For each of the ``n`` inputs the outputs that it counts in, as ``taps`` has them."""
    _, columns, weights = taps(n, m, mode, align_corners, ratio)
    counts = np.bincount(columns.reshape(-1), minlength=n)
    order = np.argsort(columns.reshape(-1), kind="stable")
    index, weight = np.zeros((n, max(1, counts.max()))), np.zeros((n, max(1, counts.max())))
    rows = np.repeat(np.arange(n), counts)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    index[rows, place] = order // columns.shape[1]
    weight[rows, place] = weights.reshape(-1)[order]
    return counts, index.astype(np.int64), weight


def axes_of(
    name: str, size: Ints, target: Ints, mode: str, align_corners: bool, ratios: tuple[float, ...]
) -> list[tuple[Host, Host, Host]]:
    """The taps of each spatial axis for one of the two ops."""
    find = taps if name == "resize" else turned_taps
    return [find(n, m, mode, align_corners, r) for n, m, r in zip(size, target, ratios, strict=True)]


def _compute(name: str) -> Any:
    def kernel(out: Array, x: Array, **attrs: Any) -> None:
        xp, axes = array_module(out), axes_of(name, **attrs)
        if out.dtype == np.uint8 and not attrs["mode"].startswith("nearest"):
            out[...] = _pixels(xp, x, axes)
            return
        for axis, (counts, index, weight) in enumerate(axes, 2):
            shape = [-1 if i == axis else 1 for i in range(x.ndim)]
            whole = bool((weight == 1).all()) and index.shape[1] == 1  # exact for integers
            total = None
            for j in range(index.shape[1]):
                part = xp.take(x, xp.asarray(index[:, j]), axis)
                if not whole:
                    counted = xp.asarray(counts > j).reshape(shape)
                    part = xp.where(counted, part * xp.asarray(weight[:, j].astype(_working(out.dtype))).reshape(shape), 0)
                total = part if total is None else total + part
            x = total
        out[...] = x

    return kernel


def _pixels(xp: Any, x: Array, axes: list[tuple[Host, Host, Host]]) -> Array:
    """uint8 in whole numbers, the last axis first, with weights of 15 bits, as PyTorch's: the same pixels come out."""
    for axis, (_, index, weight) in reversed([*enumerate(axes, 2)]):
        if len(index) == x.shape[axis]:
            continue
        shape, greatest = [-1 if i == axis else 1 for i in range(x.ndim)], float(weight.max())
        bits = next(p for p in range(22) if int(0.5 + greatest * 2 ** (p + 1)) >= 1 << 15)
        whole = np.trunc(weight * 2**bits + np.copysign(0.5, weight)).astype(np.int32)
        columns = [(xp.asarray(index[:, j]), xp.asarray(whole[:, j]).reshape(shape)) for j in range(index.shape[1])]
        x = xp.clip((sum(xp.take(x, i, axis) * w for i, w in columns) + (1 << (bits - 1))) >> bits, 0, 255)
    return x


def _working(dtype: Any) -> Any:
    return dtype if dtype.kind == "f" else np.float32


_resize: Op = Op(
    "resize",
    ["x"],
    infer=lambda x, size, target, mode, align_corners, ratios: ((*x.shape[:2], *target), x.dtype),
    kernel=_compute("resize"),
    adds_up=True,
    vjps={"x": lambda g, size, target, mode, align_corners, ratios: _turned(g, size, target, mode, align_corners, ratios)},
    flops=lambda outs, ins, attrs: 4 * outs[0].size,
)
_resize_data: Op = Op(
    "resize_data",
    ["g"],
    infer=lambda g, size, target, mode, align_corners, ratios: ((*g.shape[:2], *size), g.dtype),
    kernel=_compute("resize_data"),
    adds_up=True,
    vjps={"g": lambda v, size, target, mode, align_corners, ratios: resize(v, target, mode, align_corners, ratios)},
    flops=lambda outs, ins, attrs: 4 * outs[0].size,
)


def resize(x: Tensor, target: Ints, mode: str, align_corners: bool, ratios: tuple[float, ...]) -> Tensor:
    """``(N, C, *size)`` to ``(N, C, *target)``: "nearest", "nearest-exact", "linear" (of any number of axes) or "bicubic".

    ``ratios`` are input elements an output element, for each axis.
    """
    return apply(_resize, x, size=tuple(x.shape[2:]), target=target, mode=mode, align_corners=align_corners, ratios=ratios)


def _turned(g: Tensor, size: Ints, target: Ints, mode: str, align_corners: bool, ratios: tuple[float, ...]) -> Tensor:
    return apply(_resize_data, g, size=size, target=target, mode=mode, align_corners=align_corners, ratios=ratios)


__all__ = ["axes_of", "resize"]
