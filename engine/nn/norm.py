"""Normalization layers."""

from __future__ import annotations

from typing import Any

from engine.creation import ones, tensor, zeros
from engine.dtypes import dtype as DType
from engine.dtypes import int64
from engine.nn import functional as F
from engine.nn import init
from engine.nn.facts import Facts
from engine.nn.module import Module
from engine.nn.parameter import Parameter
from engine.tensor import Tensor


class _Affine(Module):
    """A weight and a bias, or not, for what was standardized."""

    def reset_parameters(self) -> None:
        """Weights of one, biases of zero."""
        for name, p in self.named_parameters(recurse=False):
            init.constant_(p, float(name == "weight"))


class _BatchNorm(_Affine):
    """Standardizes each channel over the batch in training, by running statistics in evaluation (Ioffe and Szegedy, 2015)."""

    spec_facts = Facts(infers={"num_features": (0, 1)})

    ranks: tuple[int, ...]

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True, track_running_stats: bool = True,
        device: Any = None, dtype: DType | None = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.register_parameter("weight", Parameter(ones(num_features, device=device, dtype=dtype)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(num_features, device=device, dtype=dtype)) if affine and bias else None)
        self.register_buffer("running_mean", zeros(num_features, device=device, dtype=dtype) if track_running_stats else None)
        self.register_buffer("running_var", ones(num_features, device=device, dtype=dtype) if track_running_stats else None)
        self.register_buffer("num_batches_tracked", tensor(0, dtype=int64, device=device) if track_running_stats else None)

    def reset_running_stats(self) -> None:
        """As if no batch had been seen."""
        if self.track_running_stats:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """That, and weights of one and biases of zero."""
        self.reset_running_stats()
        super().reset_parameters()

    def _upgrade(self, given: dict[str, Any], prefix: str, version: int) -> None:
        """States from before version 2, as torchvision publishes them, do not count batches."""
        if version < 2 and self.num_batches_tracked is not None:
            given.setdefault(f"{prefix}num_batches_tracked", self.num_batches_tracked)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self.ranks:
            raise ValueError(f"expected {' or '.join(f'{r}D' for r in self.ranks)} input (got {input.ndim}D input)")
        if input.shape[1] != self.num_features:
            raise RuntimeError(f"running_mean should contain {input.shape[1]} elements not {self.num_features}")
        momentum: Any = self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if momentum is None:
                momentum = 1 / int(self.num_batches_tracked)
        by_batch = self.training or self.running_mean is None
        return F.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, by_batch, 0.0 if momentum is None else momentum, self.eps
        )

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, bias={self.bias is not None}, track_running_stats={self.track_running_stats}"


class BatchNorm1d(_BatchNorm):
    """For ``(N, C)`` or ``(N, C, L)``."""

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """For ``(N, C, H, W)``."""

    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """For ``(N, C, D, H, W)``."""

    ranks = (5,)


class _InstanceNorm(_BatchNorm):
    """Standardizes each channel of each sample (Ulyanov et al., 2016); ``(C, *)`` is one sample."""

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = False, track_running_stats: bool = False, device: Any = None,
        dtype: DType | None = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        n = self.ranks[0]
        if input.ndim not in (n - 1, n):
            raise ValueError(f"expected {n - 1}D or {n}D input (got {input.ndim}D input)")
        batched = input if input.ndim == n else input.unsqueeze(0)
        if batched.shape[1] != self.num_features and self.affine:
            raise ValueError(
                f"expected input's size at dim={input.ndim - n + 1} to match num_features ({self.num_features}), but got: {batched.shape[1]}."
            )
        by_input = self.training or not self.track_running_stats
        y = F.instance_norm(batched, self.running_mean, self.running_var, self.weight, self.bias, by_input, self.momentum or 0.0, self.eps)
        return y if input.ndim == n else y.squeeze(0)

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, bias={self.bias is not None}, track_running_stats={self.track_running_stats}"


class InstanceNorm1d(_InstanceNorm):
    """For ``(N, C, L)`` or ``(C, L)``."""

    ranks = (3,)


class InstanceNorm2d(_InstanceNorm):
    """For ``(N, C, H, W)`` or ``(C, H, W)``."""

    ranks = (4,)


class InstanceNorm3d(_InstanceNorm):
    """For ``(N, C, D, H, W)`` or ``(C, D, H, W)``."""

    ranks = (5,)


class LocalResponseNorm(Module):
    """Divides by the energy of ``size`` neighbouring channels (Krizhevsky et al., 2012)."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class RMSNorm(_Affine):
    """Divides by the root mean square over the last dimensions (Zhang and Sennrich, 2019)."""

    spec_facts = Facts(infers={"normalized_shape": (0, -1)})

    def __init__(
        self,
        normalized_shape: int | list[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.register_parameter(
            "weight", Parameter(ones(*self.normalized_shape, device=device, dtype=dtype)) if elementwise_affine else None
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(_Affine):
    """Standardizes groups of channels of each sample ``(N, C, *)`` (Wu and He, 2018)."""

    spec_facts = Facts(infers={"num_channels": (0, 1)})

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: DType | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self.register_parameter("weight", Parameter(ones(num_channels, device=device, dtype=dtype)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(num_channels, device=device, dtype=dtype)) if affine and bias else None)

    def forward(self, input: Tensor) -> Tensor:
        if input.shape[1] != self.num_channels:
            raise RuntimeError(f"GroupNorm: expected {self.num_channels} channels, got input of size {list(input.shape)}")
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={self.bias is not None}"


class LayerNorm(_Affine):
    """Standardizes over the last dimensions, of sizes ``normalized_shape`` (Ba et al., 2016)."""

    spec_facts = Facts(infers={"normalized_shape": (0, -1)})

    def __init__(
        self,
        normalized_shape: int | list[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.register_parameter(
            "weight", Parameter(ones(*self.normalized_shape, device=device, dtype=dtype)) if elementwise_affine else None
        )
        self.register_parameter(
            "bias", Parameter(zeros(*self.normalized_shape, device=device, dtype=dtype)) if elementwise_affine and bias else None
        )

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
