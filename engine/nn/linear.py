"""Layers that multiply by a matrix, and the one that does nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from engine.creation import empty
from engine.dtypes import dtype as DType
from engine.nn import init
from engine.nn.facts import Facts
from engine.nn.module import Module
from engine.nn.parameter import Parameter
from engine.ops.linalg import bilinear, linear
from engine.ops.shape import flatten, permute, unflatten
from engine.tensor import Tensor


def reset_affine(weight: Tensor, bias: Tensor | None) -> None:
    """PyTorch's default start: both uniform within ``1 / sqrt(fan_in)``."""
    init.kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        fan_in = math.prod(weight.shape[1:])
        bound = 1 / math.sqrt(fan_in) if fan_in else 0
        init.uniform_(bias, -bound, bound)


class Linear(Module):
    """``x W^T + b``: ``(*, in_features)`` to ``(*, out_features)``."""

    spec_facts = Facts(infers={"in_features": (0, -1)})

    def __init__(self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: DType | None = None) -> None:
        super().__init__()
        if in_features < 0 or out_features < 0:
            raise ValueError(
                f"Linear: the number of features must not be negative, got in_features={in_features}, out_features={out_features}"
            )
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(empty(out_features, in_features, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        reset_affine(self.weight, self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """``x1^T W x2 + b``: ``(*, in1_features)`` and ``(*, in2_features)`` to ``(*, out_features)``."""

    spec_facts = Facts(inputs=("input1", "input2"), required=2, infers={"in1_features": (0, -1), "in2_features": (1, -1)})

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: DType | None = None
    ) -> None:
        super().__init__()
        if in1_features <= 0:
            raise ValueError(f"in1_features must be > 0, but got {in1_features}")
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = Parameter(empty(out_features, in1_features, in2_features, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(empty(out_features, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """All uniform within ``1 / sqrt(in1_features)``."""
        bound = 1 / math.sqrt(self.in1_features)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        return bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Identity(Module):
    """Passes its input through."""

    spec_facts = Facts(takes="any", range="kept")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Any) -> Any:
        return input


class Flatten(Module):
    """Joins dimensions into one; by default all but the batch: ``(N, *)`` to ``(N, prod(*))``."""

    spec_facts = Facts(takes="any", range="kept")

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Tensor:
        return flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits one dimension into several."""

    spec_facts = Facts(takes="any", range="kept")

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        super().__init__()
        self.dim, self.unflattened_size = dim, unflattened_size

    def forward(self, input: Tensor) -> Tensor:
        return unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Permute(Module):
    """Dimensions in another order (``torchvision.ops.Permute``): ``dims`` names for each the one that comes there, the batch's among them.

    ``Permute([0, 2, 1])`` makes sequences ``(N, L, C)`` what convolutions take, ``(N, C, L)``.
    """

    spec_facts = Facts(takes="any", range="kept")

    def __init__(self, dims: Sequence[int]) -> None:
        super().__init__()
        if sorted(dims) != list(range(len(dims))):
            raise ValueError(f"dims must name each of the dimensions 0 to {len(dims) - 1} once, got {list(dims)}")
        self.dims = tuple(dims)

    def forward(self, input: Tensor) -> Tensor:
        return permute(input, self.dims)

    def extra_repr(self) -> str:
        return f"dims={self.dims}"
