"""Normalization as functions: what the modules of ``engine.nn.norm`` and ``nn.functional`` call."""

from __future__ import annotations

from collections.abc import Sequence

from engine.modes import no_grad
from engine.ops.norm import standardize
from engine.tensor import Tensor

Ints = int | Sequence[int]


def batch_norm(
    x: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None, bias: Tensor | None = None,
    training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Standardizes each channel of ``(N, C, ...)`` over the batch, or by the running statistics (Ioffe and Szegedy, 2015)."""
    per_channel = (1, x.shape[1], *(1,) * (x.ndim - 2))
    if training:
        n = x.numel() // x.shape[1]
        if n <= 1:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {x.shape}")
        y, mean, variance = standardize(x, (0, *range(2, x.ndim)), eps)
        if running_mean is not None and running_var is not None:
            with no_grad():
                running_mean.copy_(running_mean * (1 - momentum) + mean.reshape(-1) * momentum)
                running_var.copy_(running_var * (1 - momentum) + variance.reshape(-1) * (momentum * n / (n - 1)))
    else:
        if running_mean is None or running_var is None:
            raise ValueError("Expected running_mean and running_var to be defined when training=False")
        y = (x - running_mean.reshape(per_channel)) * (running_var + eps).rsqrt().reshape(per_channel)
    y = y if weight is None else y * weight.reshape(per_channel)
    return y if bias is None else y + bias.reshape(per_channel)


def group_norm(x: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """Standardizes each group of channels of each sample ``(N, C, *)`` (Wu and He, 2018)."""
    n, c = x.shape[:2]
    if c % num_groups:
        raise RuntimeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape {list(x.shape)} and num_groups={num_groups}"
        )
    y, _, _ = standardize(x.reshape(n, num_groups, -1), (2,), eps)
    y, per_channel = y.reshape(x.shape), (1, c, *(1,) * (x.ndim - 2))
    y = y if weight is None else y * weight.reshape(per_channel)
    return y if bias is None else y + bias.reshape(per_channel)


def layer_norm(x: Tensor, normalized_shape: Ints, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """Standardizes over the last dimensions, whose sizes are ``normalized_shape`` (Ba et al., 2016)."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if tuple(x.shape[-len(shape) :]) != shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*, {', '.join(map(str, shape))}], but got input of size{list(x.shape)}"
        )
    y, _, _ = standardize(x, tuple(range(x.ndim - len(shape), x.ndim)), eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias
