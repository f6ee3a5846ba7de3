"""Images and sequences in other sizes: each axis is a weighted sum of a few neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.dtypes import uint8
from engine.nn.functional.pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from engine.ops.dims import along
from engine.tensor import Tensor

Array = np.ndarray[Any, Any]


def _centres(n: int, m: int, align_corners: bool, ratio: float, cubic: bool) -> Array:
    """Where each of ``m`` outputs lies among ``n`` inputs."""
    k = np.arange(m)
    if align_corners:
        return k * ((n - 1) / (m - 1)) if m > 1 else k * 0.0
    at = (k + 0.5) * ratio - 0.5
    return at if cubic else np.maximum(at, 0)


def _cubic(t: Array) -> list[Array]:
    """The weights of four neighbours (Keys, 1981, with a = -0.75)."""
    a = -0.75

    def near(x: Array) -> Array:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Array) -> Array:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _taps(mode: str, n: int, m: int, align_corners: bool, ratio: float) -> list[tuple[Array, Array | None]]:
    """Indices and weights of the inputs that each output adds up."""
    k = np.arange(m)
    if mode == "nearest":
        return [(np.minimum(np.floor(k * ratio).astype(np.int64), n - 1), None)]
    if mode == "nearest-exact":
        return [(np.minimum(np.floor((k + 0.5) * ratio).astype(np.int64), n - 1), None)]
    at = _centres(n, m, align_corners, ratio, mode == "bicubic")
    low = np.floor(at).astype(np.int64)
    t = at - low
    if mode == "bicubic":
        return [(np.clip(low + i - 1, 0, n - 1), w) for i, w in enumerate(_cubic(t))]
    low = np.minimum(low, n - 1)
    return [(low, 1 - t), (np.minimum(low + 1, n - 1), t)]


_RANKS = {
    "linear": (3,),
    "bilinear": (4,),
    "bicubic": (4,),
    "trilinear": (5,),
    "nearest": (3, 4, 5),
    "nearest-exact": (3, 4, 5),
    "area": (3, 4, 5),
}


def interpolate(
    input: Tensor, size: int | Sequence[int] | None = None, scale_factor: float | Sequence[float] | None = None, mode: str = "nearest",
    align_corners: bool | None = None, recompute_scale_factor: bool | None = None, antialias: bool = False,
) -> Tensor:  # fmt: skip
    """``(N, C, *size)`` in another size: "nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear" or "area"."""
    if antialias:
        raise NotImplementedError("interpolate with antialias=True")
    if mode not in _RANKS:
        raise NotImplementedError(f"Input Error: the modes are {', '.join(_RANKS)} (got {mode})")
    if align_corners is not None and mode not in ("linear", "bilinear", "bicubic", "trilinear"):
        raise ValueError("align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear")
    n = input.ndim - 2
    if input.ndim not in _RANKS[mode]:
        raise NotImplementedError(
            f"Input Error: Got {input.ndim}D input, but {mode} mode needs {' or '.join(f'{r}D' for r in _RANKS[mode])} input"
        )
    if (size is None) == (scale_factor is None):
        raise ValueError(
            "either size or scale_factor should be defined" if size is None else "only one of size or scale_factor should be defined"
        )
    ratios: list[float] | None = None
    if size is not None:
        out = [size] * n if isinstance(size, int) else list(size)
        if len(out) != n:
            raise ValueError(
                f"Input and output must have the same number of spatial dimensions, but got input with spatial dimensions of {list(input.shape[2:])} and output size of {out}."
            )
    else:
        scales = [scale_factor] * n if isinstance(scale_factor, int | float) else list(scale_factor or ())
        if len(scales) != n:
            raise ValueError(
                f"Input and scale_factor must have the same number of spatial dimensions, but got input with spatial dimensions of {list(input.shape[2:])} and scale_factor of shape {scales}."
            )
        out = [math.floor(k * s) for k, s in zip(input.shape[2:], scales, strict=True)]
        ratios = None if recompute_scale_factor or 0 in scales else [1 / s for s in scales]
    if min(out) < 1 or min(input.shape[2:]) < 1:
        raise RuntimeError(f"Input and output sizes should be greater than 0, but got input {list(input.shape[2:])} and output {out}")
    if mode == "area":
        return (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[n - 1](input, tuple(out))
    pixels = not (mode.startswith("nearest") or input.is_floating_point())
    if pixels and (input.dtype is not uint8 or n != 2):
        raise NotImplementedError(f"interpolate: mode {mode} is for floats, and for images of uint8, got {input.dtype.name}")
    if input.is_floating_point() and input.dtype.itemsize == 2 and not mode.startswith("nearest"):  # rounded once
        return interpolate(input.float(), size, scale_factor, mode, align_corners, recompute_scale_factor).to(input.dtype)
    for axis, m in sorted(enumerate(out), reverse=pixels):
        k = input.shape[axis + 2]
        if pixels and k == m:
            continue
        taps = _taps(mode, k, m, bool(align_corners), k / m if ratios is None else ratios[axis])
        input = _resized_pixels(input, axis + 2, taps) if pixels else _resized(input, axis + 2, taps)
    return input


def _resized_pixels(x: Tensor, at: int, taps: list[tuple[Array, Array | None]]) -> Tensor:
    """``_resized`` of uint8 in whole numbers: weights of 15 bits, as PyTorch's, so that the same pixels come out."""
    greatest = max(float(w.max()) for _, w in taps if w is not None)
    bits = next(p for p in range(22) if int(0.5 + greatest * 2 ** (p + 1)) >= 1 << 15)
    whole = [(i, None if w is None else np.trunc(w * 2**bits + np.copysign(0.5, w)).astype(np.int64)) for i, w in taps]
    return ((_resized(x.int(), at, whole) + (1 << (bits - 1))) >> bits).clamp(0, 255).to(uint8)


def _resized(x: Tensor, at: int, taps: list[tuple[Array, Array | None]]) -> Tensor:
    """Along one axis, where each output adds up its neighbours."""
    total: Tensor | None = None
    for index, weight in taps:
        part = x[along(at, index)]
        if weight is not None:
            part = part * x.new_tensor(weight).reshape([-1 if i == at else 1 for i in range(x.ndim)])
        total = part if total is None else total + part
    assert total is not None
    return total


def upsample(input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None) -> Tensor:
    """``interpolate`` under its older name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    return interpolate(input, size, scale_factor, "bilinear", True)


__all__ = ["interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]
