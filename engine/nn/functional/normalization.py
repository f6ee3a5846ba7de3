"""Normalization: of batches, layers, groups, instances and neighbourhoods."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.dispatch import count
from engine.modes import no_grad
from engine.nn.functional.pooling import avg_pool2d
from engine.ops.norm import standardize
from engine.ops.pad import pad
from engine.ops.reduce import vector_norm
from engine.tensor import Tensor

Ints = int | Sequence[int]


def batch_norm(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None, bias: Tensor | None = None,
    training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Standardizes each channel of ``(N, C, ...)`` over the batch, or by the running statistics (Ioffe and Szegedy, 2015)."""
    if input.numel() == 0 and input.ndim < 2:
        return input.clone()
    if input.ndim < 2:
        raise RuntimeError(f"batch_norm: expected an input of at least 2 dimensions (N, C, ...), got {list(input.shape)}")
    for name, v in (("running_mean", running_mean), ("running_var", running_var), ("weight", weight), ("bias", bias)):
        if v is not None and v.numel() != input.shape[1]:
            raise RuntimeError(f"{name} should contain {input.shape[1]} elements not {v.numel()}")
    per_channel = (1, input.shape[1], *(1,) * (input.ndim - 2))
    if training:
        if eps <= 0:
            raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
        n = count(input.shape) // max(input.shape[1], 1)
        if n == 1:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.shape}")
        scale, shift = (None if v is None else v.reshape(per_channel) for v in (weight, bias))
        y, mean, variance = standardize(input, (0, *range(2, input.ndim)), eps, scale, shift)
        if running_mean is not None and running_var is not None and n:
            with no_grad():
                running_mean.copy_(running_mean * (1 - momentum) + mean.reshape(-1) * momentum)
                running_var.copy_(running_var * (1 - momentum) + variance.reshape(-1) * (momentum * n / max(n - 1, 1)))
        return y
    if running_mean is None or running_var is None:
        raise ValueError("Expected running_mean and running_var to be defined when training=False")
    y = (input - running_mean.reshape(per_channel)) * (running_var + eps).rsqrt().reshape(per_channel)
    y = y if weight is None else y * weight.reshape(per_channel)
    return y if bias is None else y + bias.reshape(per_channel)


def group_norm(input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """Standardizes each group of channels of each sample ``(N, C, *)`` (Wu and He, 2018)."""
    if input.ndim < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.ndim}")
    n, c = input.shape[:2]
    if num_groups <= 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {num_groups}")
    if c % num_groups:
        raise RuntimeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape {list(input.shape)} and num_groups={num_groups}"
        )
    y, _, _ = standardize(input.reshape(n, num_groups, count(input.shape[1:]) // num_groups), (2,), eps)
    y, per_channel = y.reshape(input.shape), (1, c, *(1,) * (input.ndim - 2))
    y = y if weight is None else y * weight.reshape(per_channel)
    return y if bias is None else y + bias.reshape(per_channel)


def layer_norm(
    input: Tensor, normalized_shape: Ints, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Standardizes over the last dimensions, whose sizes are ``normalized_shape`` (Ba et al., 2016)."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got normalized_shape = []"
        )
    for name, v in (("weight", weight), ("bias", bias)):
        if v is not None and tuple(v.shape) != shape:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape {list(v.shape)} and normalized_shape = {list(shape)}"
            )
    if tuple(input.shape[-len(shape) :]) != shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*, {', '.join(map(str, shape))}], but got input of size{list(input.shape)}"
        )
    return standardize(input, tuple(range(input.ndim - len(shape), input.ndim)), eps, weight, bias)[0]


def instance_norm(
    input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None, weight: Tensor | None = None, bias: Tensor | None = None,
    use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Standardizes each channel of each sample ``(N, C, *)`` (Ulyanov et al., 2016)."""
    if use_input_stats and count(input.shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.shape}")
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    n, c = input.shape[:2]
    y, mean, variance = standardize(input, tuple(range(2, input.ndim)), eps)
    if running_mean is not None and running_var is not None:
        size = count(input.shape[2:])
        with no_grad():
            running_mean.copy_(running_mean * (1 - momentum) + mean.reshape(n, c).mean(0) * momentum)
            running_var.copy_(running_var * (1 - momentum) + variance.reshape(n, c).mean(0) * (momentum * size / (size - 1)))
    per_channel = (1, c, *(1,) * (input.ndim - 2))
    y = y if weight is None else y * weight.reshape(per_channel)
    return y if bias is None else y + bias.reshape(per_channel)


def rms_norm(input: Tensor, normalized_shape: Ints, weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    """Divides by the root mean square over the last dimensions (Zhang and Sennrich, 2019)."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got normalized_shape = []"
        )
    if weight is not None and tuple(weight.shape) != shape:
        raise RuntimeError(
            f"Expected weight to be of same shape as normalized_shape, but got weight of shape {list(weight.shape)} and normalized_shape = {list(shape)}"
        )
    if tuple(input.shape[-len(shape) :]) != shape:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*, {', '.join(map(str, shape))}], but got input of size{list(input.shape)}"
        )
    least = float(np.finfo(input.dtype.numpy).eps) if eps is None else eps
    y = input * (input.square().mean(tuple(range(input.ndim - len(shape), input.ndim)), keepdim=True) + least).rsqrt()
    return y if weight is None else y * weight


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """Divides by the energy of ``size`` neighbouring channels (Krizhevsky et al., 2012)."""
    if input.ndim < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {input.ndim} dimensions)")
    if input.numel() == 0:
        return input
    squares = pad(input.square().reshape(input.shape[0], 1, input.shape[1], -1), (0, 0, size // 2, (size - 1) // 2))
    return input / (avg_pool2d(squares, (size, 1), stride=1).reshape(input.shape) * alpha + k) ** beta


def normalize(input: Tensor, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12) -> Tensor:
    """``input`` divided by its ``p``-norm along ``dim``, which counts as at least ``eps``."""
    return input / vector_norm(input, p, dim, True).clamp(min=eps)


__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "local_response_norm", "normalize", "rms_norm"]
