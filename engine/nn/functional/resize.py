"""Images and sequences in other sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from engine.dtypes import uint8
from engine.nn.functional.pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from engine.ops.resize import resize
from engine.tensor import Tensor

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
    if not (mode.startswith("nearest") or input.is_floating_point()) and (input.dtype is not uint8 or n != 2):
        raise NotImplementedError(f"interpolate: mode {mode} is for floats, and for images of uint8, got {input.dtype.name}")
    spacing = tuple(k / m for k, m in zip(input.shape[2:], out, strict=True)) if ratios is None else tuple(ratios)
    kind = "linear" if mode in ("bilinear", "trilinear") else mode
    return resize(input, tuple(out), kind, bool(align_corners), spacing)


def upsample(input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None) -> Tensor:
    """``interpolate`` under its older name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    return interpolate(input, size, scale_factor, "bilinear", True)


__all__ = ["interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]
