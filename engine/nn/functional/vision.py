"""Rearranging pixels: shuffles, patches, and sampling at points of a grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.nn.functional.sizes import Ints, tuple_of, windows
from engine.ops.elementwise import where
from engine.ops.index import spread
from engine.ops.pad import pad
from engine.tensor import Tensor


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """``(*, C r^2, H, W)`` to ``(*, C, H r, W r)`` (Shi et al., 2016)."""
    if input.ndim < 3:
        raise RuntimeError(f"pixel_shuffle expects input to have at least 3 dimensions, but got input with {input.ndim} dimension(s)")
    r = upscale_factor
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, c, h, w = input.shape
    if c % (r * r):
        raise RuntimeError(
            f"pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but input.size(-3)={c} is not divisible by {r * r}"
        )
    n = len(lead)
    y = input.reshape(*lead, c // (r * r), r, r, h, w).permute(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return y.reshape(*lead, c // (r * r), h * r, w * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """``(*, C, H r, W r)`` to ``(*, C r^2, H, W)``."""
    if input.ndim < 3:
        raise RuntimeError(f"pixel_unshuffle expects input to have at least 3 dimensions, but got input with {input.ndim} dimension(s)")
    r = downscale_factor
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *lead, c, h, w = input.shape
    if h % r or w % r:
        raise RuntimeError(
            f"pixel_unshuffle expects height and width to be divisible by downscale_factor, but {h}x{w} are not divisible by {r}"
        )
    n = len(lead)
    y = input.reshape(*lead, c, h // r, r, w // r, r).permute(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return y.reshape(*lead, c * r * r, h // r, w // r)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels of ``(N, C, *)`` dealt out from ``groups`` heaps (Zhang et al., 2018)."""
    if input.ndim < 3:
        raise RuntimeError(f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(input.shape)}")
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
    n, c = input.shape[:2]
    if c % groups:
        raise RuntimeError(f"Number of channels must be divisible by groups. Got {c} channels and {groups} groups.")
    return input.reshape(n, groups, c // groups, *input.shape[2:]).transpose(1, 2).reshape(input.shape)


def _patches(
    size: Sequence[int], kernel: Sequence[int], dilation: Sequence[int], stride: Sequence[int]
) -> tuple[list[int], list[np.ndarray[tuple[int, int], np.dtype[np.int64]]]]:
    """The number of patches an axis, and per axis the indices ``(kernel, patches)`` they take."""
    blocks = [(n - d * (k - 1) - 1) // s + 1 for n, k, d, s in zip(size, kernel, dilation, stride, strict=True)]
    index = [np.arange(k)[:, None] * d + np.arange(b)[None] * s for k, d, s, b in zip(kernel, dilation, stride, blocks, strict=True)]
    return blocks, index


def unfold(input: Tensor, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1) -> Tensor:
    """Patches of images as columns: ``(N, C, H, W)`` to ``(N, C KH KW, patches)``."""
    if input.ndim == 3:
        return unfold(input.unsqueeze(0), kernel_size, dilation, padding, stride).squeeze(0)
    if input.ndim != 4:
        raise RuntimeError(
            f"Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for input, but got: {list(input.shape)}"
        )
    kernel = tuple_of(kernel_size, 2, "kernel_size")
    steps, pads, spread_by = windows(2, stride, padding, dilation)
    input = pad(input, (pads[1], pads[1], pads[0], pads[0]))
    blocks, (rows, columns) = _patches(input.shape[2:], kernel, spread_by, steps)
    if min(blocks) < 1:
        raise RuntimeError(
            f"Given input with spatial size {list(input.shape[2:])}, kernel_size={kernel}, dilation={spread_by}, padding={pads}, calculated shape of the array of sliding blocks as {blocks}, but its components must be at least one."
        )
    y = input[:, :, rows[:, None, :, None], columns[None, :, None, :]]
    return y.reshape(input.shape[0], input.shape[1] * kernel[0] * kernel[1], blocks[0] * blocks[1])


def fold(input: Tensor, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1) -> Tensor:
    """Columns back into images, overlapping patches added: ``(N, C KH KW, patches)`` to ``(N, C, H, W)``."""
    if input.ndim == 2:
        return fold(input.unsqueeze(0), output_size, kernel_size, dilation, padding, stride).squeeze(0)
    size, kernel = tuple_of(output_size, 2, "output_size"), tuple_of(kernel_size, 2, "kernel_size")
    steps, pads, spread_by = windows(2, stride, padding, dilation)
    padded = [n + 2 * p for n, p in zip(size, pads, strict=True)]
    blocks, (rows, columns) = _patches(padded, kernel, spread_by, steps)
    if input.shape[1] % (kernel[0] * kernel[1]):
        raise RuntimeError(
            f"Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got input.size(1)={input.shape[1]} and kernel_size={kernel}."
        )
    if input.shape[2] != blocks[0] * blocks[1]:
        raise RuntimeError(
            f"Given output_size={size}, kernel_size={kernel}, dilation={spread_by}, padding={pads}, stride={steps}, expected size of input's dimension 2 to match the calculated number of sliding blocks {blocks[0]} * {blocks[1]}, but got input.size(2)={input.shape[2]}."
        )
    n, c = input.shape[0], input.shape[1] // (kernel[0] * kernel[1])
    parts = input.reshape(n, c, *kernel, *blocks)
    y = spread(parts, (slice(None), slice(None), rows[:, None, :, None], columns[None, :, None, :]), (n, c, *padded))
    return y[:, :, pads[0] : pads[0] + size[0], pads[1] : pads[1] + size[1]]


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool = False) -> Tensor:
    """Sampling points ``(N, H, W, 2)`` for ``grid_sample`` by affine maps ``(N, 2, 3)``."""
    _, _, h, w = size

    def axis(n: int) -> Tensor:
        points = np.linspace(-1, 1, n) if n > 1 else np.zeros(1)
        return theta.new_tensor(points if align_corners else points * (n - 1) / n)

    x, y = axis(w).expand(h, w), axis(h).unsqueeze(1).expand(h, w)
    base = theta.new_ones(h, w, 3)
    base[..., 0], base[..., 1] = x, y
    return (base.reshape(1, h * w, 3) @ theta.transpose(1, 2)).reshape(theta.shape[0], h, w, 2)


def _reflected(at: Tensor, low: float, high: float) -> Tensor:
    if high <= low:
        return at * 0
    span = high - low
    offset = (at - low).abs()
    extra = offset.remainder(span)
    flips = (offset / span).floor().remainder(2)
    return where(flips == 0, extra + low, high - extra)


def grid_sample(
    input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Tensor:
    """Images ``(N, C, H, W)`` sampled at points ``(N, H', W', 2)`` in [-1, 1]: ``(N, C, H', W')`` (Jaderberg et al., 2015)."""
    if input.ndim != 4 or grid.ndim != 4:
        raise (
            NotImplementedError("grid_sample of volumes")
            if input.ndim == 5
            else RuntimeError(f"grid_sampler(): expected 4D input and grid, got {input.ndim}D and {grid.ndim}D")
        )
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'")
    if mode == "bicubic":
        raise NotImplementedError("grid_sample with mode='bicubic'")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            f"nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: '{padding_mode}'"
        )
    if input.shape[0] != grid.shape[0] or grid.shape[-1] != 2:
        raise RuntimeError(
            f"grid_sampler(): expected grid and input to have same batch size and grid to have size 2 in last dimension, but got input with sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    n, _, h, w = input.shape

    def pixels(at: Tensor, size: int) -> Tensor:
        at = (at + 1) / 2 * (size - 1) if align_corners else ((at + 1) * size - 1) / 2
        if padding_mode == "reflection":
            at = _reflected(at, 0, size - 1) if align_corners else _reflected(at, -0.5, size - 0.5)
        return at if padding_mode == "zeros" else at.clamp(0, size - 1)

    across, down = pixels(grid[..., 0], w), pixels(grid[..., 1], h)
    batch = np.arange(n)[:, None, None]

    def at(row: Tensor, column: Tensor) -> Tensor:
        inside = (row >= 0) & (row <= h - 1) & (column >= 0) & (column <= w - 1)
        r, c = row.nan_to_num().clamp(0, h - 1).long(), column.nan_to_num().clamp(0, w - 1).long()
        values = input.permute(0, 2, 3, 1)[batch, r, c]
        return where(inside.unsqueeze(-1), values, 0).permute(0, 3, 1, 2)

    if mode == "nearest":
        return at(down.detach().round(), across.detach().round())
    top, left = down.detach().floor(), across.detach().floor()
    dy, dx = (down - top).unsqueeze(1), (across - left).unsqueeze(1)
    upper = at(top, left) * (1 - dx) + at(top, left + 1) * dx
    lower = at(top + 1, left) * (1 - dx) + at(top + 1, left + 1) * dx
    return upper * (1 - dy) + lower * dy


__all__ = ["affine_grid", "channel_shuffle", "fold", "grid_sample", "pixel_shuffle", "pixel_unshuffle", "unfold"]
