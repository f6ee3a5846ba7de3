"""Names that PyTorch has at its top level besides as methods or in ``nn.functional``: ``relu_(x)``, ``conv2d(x, weight)``."""

from __future__ import annotations

import warnings
from typing import Any

from engine.creation import as_tensor
from engine.nn.functional import (
    adaptive_avg_pool1d,
    alpha_dropout,
    avg_pool1d,
    bilinear,
    celu,
    channel_shuffle,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    cosine_similarity,
    feature_alpha_dropout,
    group_norm,
    hardshrink,
    layer_norm,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    pairwise_distance,
    pdist,
    pixel_shuffle,
    pixel_unshuffle,
    prelu,
    rms_norm,
    rrelu,
    selu,
    threshold,
)  # fmt: skip
from engine.nn.functional import dropout as _dropout
from engine.tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d", "alpha_dropout", "asarray", "avg_pool1d", "bilinear", "celu", "channel_shuffle", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
    "conv_transpose2d", "conv_transpose3d", "cosine_similarity", "detach", "dropout", "feature_alpha_dropout", "get_float32_matmul_precision", "group_norm",
    "hardshrink", "is_nonzero", "is_same_size", "is_signed", "layer_norm", "max_pool1d", "max_pool2d", "max_pool3d", "newaxis", "pairwise_distance", "pdist",
    "pixel_shuffle", "pixel_unshuffle", "prelu", "rms_norm", "rrelu", "selu", "set_float32_matmul_precision", "threshold",
]  # fmt: skip

newaxis = None
_IN_PLACE = [
    "abs",
    "acos",
    "acosh",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "ceil",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "cos",
    "cosh",
    "deg2rad",
    "detach",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "fill",
    "fix",
    "floor",
    "frac",
    "gcd",
    "i0",
    "index_put",
    "lcm",
    "ldexp",
    "log",
    "log10",
    "log1p",
    "log2",
    "logit",
    "nan_to_num",
    "neg",
    "negative",
    "rad2deg",
    "reciprocal",
    "relu",
    "round",
    "rsqrt",
    "sigmoid",
    "sin",
    "sinc",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
    "xlogy",
    "zero",
]
globals().update({f"{name}_": getattr(Tensor, f"{name}_") for name in _IN_PLACE})
__all__ += [f"{name}_" for name in _IN_PLACE]


def asarray(obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False) -> Tensor:
    """``obj`` as a tensor: sharing its memory where that can be, unless ``copy``. Raises ValueError where it cannot and ``copy`` is False."""
    made = as_tensor(obj, dtype=dtype, device=device)
    if copy is False and made is not obj and not _shares(made, obj):
        raise ValueError("can't alias the given object: its memory is of another kind, dtype or device")
    if copy and (made is obj or _shares(made, obj)):
        made = made.clone()
    made = made.detach()
    return made.requires_grad_() if requires_grad else made


def _shares(made: Tensor, obj: Any) -> bool:
    return bool(getattr(obj, "nbytes", 0)) and hasattr(obj, "__array_interface__") and made.data_ptr() == obj.__array_interface__["data"][0]


def dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Zeroes elements with probability ``p`` and scales the others by ``1 / (1 - p)``, if ``train``."""
    return _dropout(input, p, train)


def detach(input: Tensor) -> Tensor:
    return input.detach()


def is_nonzero(input: Tensor) -> bool:
    """Whether the one element of a tensor is not zero. Raises RuntimeError for more elements than one."""
    return bool(input)


def is_same_size(input: Tensor, other: Tensor) -> bool:
    return input.is_same_size(other)


def is_signed(input: Tensor) -> bool:
    return input.is_signed()


_precision = "highest"


def set_float32_matmul_precision(precision: str) -> None:
    """Taken note of: products of float32 are computed in float32. Another word than highest, high or medium has no effect but a warning."""
    global _precision
    if precision in ("highest", "high", "medium"):
        _precision = precision
    else:
        warnings.warn(f"{precision} is not one of 'highest', 'high', or 'medium'; the call has no effect", stacklevel=2)


def get_float32_matmul_precision() -> str:
    return _precision
