"""Dropout, in its forms."""

from __future__ import annotations

import math

from engine.ops import random
from engine.ops.elementwise import where
from engine.ops.random import draws_like, dropout_mask
from engine.tensor import Tensor


def _check(p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _dropped(x: Tensor, like: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
    """Zeroes what a mask in the shape of ``like`` names, and scales the rest."""
    _check(p)
    if not training or p == 0:
        return x
    y = x * 0 if p == 1 else random.dropout(x, p) if like is x and x.dtype.is_floating_point else x * dropout_mask(like, p)
    return x._become(y) if inplace else y


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes elements with probability ``p`` and scales the others by ``1 / (1 - p)``, in training (Hinton et al., 2012)."""
    return _dropped(input, input, p, training, inplace)


def _channels(x: Tensor, spatial: int) -> Tensor:
    """One element for each channel of ``(N, C, *)`` or ``(C, *)``."""
    lead = x.ndim - spatial if x.ndim >= spatial else x.ndim
    return x.new_zeros((*x.shape[:lead], *(1,) * (x.ndim - lead)))


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes whole channels of ``(N, C, L)`` or ``(C, L)`` with probability ``p``, in training."""
    _check(p)
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input. Note that dropout1d exists to provide channel-wise dropout on inputs with 1 spatial dimension, a channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
        )
    return _dropped(input, _channels(input, 1), p, training, inplace)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes whole channels of ``(N, C, H, W)`` with probability ``p``, in training (Tompson et al., 2014)."""
    return _dropped(input, _channels(input, max(input.ndim - 2, 0)), p, training, inplace)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes whole channels of ``(N, C, D, H, W)`` with probability ``p``, in training."""
    return _dropped(input, _channels(input, 3), p, training, inplace)


def _alpha_dropped(x: Tensor, like: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
    _check(p)
    if not training or p == 0:
        return x
    floor = -1.7580993408473766
    if p == 1:
        return x * 0
    kept = draws_like(like) >= p
    scale = 1 / math.sqrt((1 - p) * (1 + p * floor**2))
    y = (where(kept, x, x * 0 + floor) + p * -floor) * scale
    return x._become(y) if inplace else y


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps the mean and variance of ``selu`` activations (Klambauer et al., 2017)."""
    return _alpha_dropped(input, input, p, training, inplace)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """``alpha_dropout`` of whole channels."""
    return _alpha_dropped(input, _channels(input, max(input.ndim - 2, 0)), p, training, inplace)


__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]
