"""Weights that are computed from others before each forward: weight normalization and spectral normalization, by hooks.

``parametrizations`` has both as parametrizations; these are the older forms, whose state has ``weight_g`` and ``weight_v``, or
``weight_orig``, ``weight_u`` and ``weight_v``.
"""

from __future__ import annotations

from typing import Any, TypeVar

from engine.creation import randn
from engine.modes import no_grad
from engine.nn import functional as F
from engine.nn.conv import _ConvTranspose
from engine.nn.module import Module
from engine.nn.parameter import Parameter
from engine.ops.linalg import dot
from engine.tensor import Tensor

M = TypeVar("M", bound=Module)


def norm_except(v: Tensor, dim: int | None) -> Tensor:
    """The norm over all dimensions but ``dim``, which are kept; over all of them for None."""
    if dim is None or dim == -1:
        return v.square().sum().sqrt()
    others = [d for d in range(v.ndim) if d != dim % v.ndim]
    return (v.square().sum(others, keepdim=True) if others else v.square()).sqrt()


def output_dim(module: Module) -> int:
    """Along which dimension of its weight the outputs of a layer lie."""
    return 1 if isinstance(module, _ConvTranspose) else 0


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """``(size of dim, all others)``."""
    return (weight if dim == 0 else weight.transpose(0, dim) if weight.ndim == 2 else weight.movedim(dim, 0)).flatten(1)


def random_unit(n: int, like: Tensor, eps: float) -> Tensor:
    return F.normalize(randn(n, dtype=like.dtype, device=like.device), dim=0, eps=eps)


@no_grad()
def power_iterations(matrix: Tensor, u: Tensor, v: Tensor, n: int, eps: float) -> None:
    """Brings ``u (rows)`` and ``v (columns)`` towards the singular vectors of the largest singular value, in place."""
    for _ in range(n):
        u.copy_(F.normalize(matrix.mv(v), dim=0, eps=eps))
        v.copy_(F.normalize(matrix.mT.mv(u), dim=0, eps=eps))


class _Computed:
    """A hook that sets a tensor of its module before each forward."""

    text: str
    """What it is called in errors."""

    def __init__(self, name: str) -> None:
        self.name = name

    def compute(self, module: Module, training: bool) -> Tensor:
        raise NotImplementedError

    def parts(self) -> tuple[str, ...]:
        """What the module holds in place of the tensor."""
        raise NotImplementedError

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute(module, module.training))

    def apply(self, module: M) -> M:
        if any(isinstance(h, type(self)) and h.name == self.name for h in module._forward_pre_hooks.values()):
            raise RuntimeError(f"Cannot register two {self.text} hooks on the same parameter {self.name}")
        if self.name not in module._parameters:
            raise ValueError(f"{type(module).__name__} has no parameter '{self.name}'")
        self.replace(module, getattr(module, self.name))
        setattr(module, self.name, self.compute(module, False).detach())
        module.register_forward_pre_hook(self)
        return module

    def replace(self, module: Module, weight: Parameter) -> None:
        """Puts the parts in the weight's place."""
        raise NotImplementedError

    @classmethod
    def remove(cls, module: M, name: str) -> M:
        for key, hook in module._forward_pre_hooks.items():
            if isinstance(hook, cls) and hook.name == name:
                with no_grad():
                    weight = hook.compute(module, False)
                for part in (name, *hook.parts()):
                    delattr(module, part)
                module.register_parameter(name, Parameter(weight.detach()))
                del module._forward_pre_hooks[key]
                return module
        raise ValueError(f"{cls.text} of '{name}' not found in {type(module).__name__}")


class _WeightNorm(_Computed):
    text = "weight_norm"

    def __init__(self, name: str, dim: int | None) -> None:
        super().__init__(name)
        self.dim = dim

    def parts(self) -> tuple[str, ...]:
        return f"{self.name}_g", f"{self.name}_v"

    def replace(self, module: Module, weight: Parameter) -> None:
        delattr(module, self.name)
        g, v = self.parts()
        module.register_parameter(g, Parameter(norm_except(weight.detach(), self.dim)))
        module.register_parameter(v, Parameter(weight.detach()))

    def compute(self, module: Module, training: bool) -> Tensor:
        g, v = (getattr(module, part) for part in self.parts())
        return v * (g / norm_except(v, self.dim))


class _SpectralNorm(_Computed):
    text = "spectral_norm"

    def __init__(self, name: str, n_power_iterations: int, eps: float, dim: int) -> None:
        super().__init__(name)
        if n_power_iterations <= 0:
            raise ValueError(f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}")
        self.n, self.eps, self.dim = n_power_iterations, eps, dim

    def parts(self) -> tuple[str, ...]:
        return f"{self.name}_orig", f"{self.name}_u", f"{self.name}_v"

    def replace(self, module: Module, weight: Parameter) -> None:
        rows, columns = as_matrix(weight.detach(), self.dim).shape
        delattr(module, self.name)
        original, u, v = self.parts()
        module.register_parameter(original, weight)
        module.register_buffer(u, random_unit(rows, weight, self.eps))
        module.register_buffer(v, random_unit(columns, weight, self.eps))

    def compute(self, module: Module, training: bool) -> Tensor:
        weight, u, v = (getattr(module, part) for part in self.parts())
        matrix = as_matrix(weight, self.dim)
        if training:
            power_iterations(matrix.mT, v, u, self.n, self.eps)
            u, v = u.clone(), v.clone()  # the next forward changes them, maybe before this one's backward
        return weight / dot(u, matrix.mv(v))


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """``w = g v / |v|``: the length and the direction of each row along ``dim`` are trained apart (Salimans and Kingma, 2016)."""
    return _WeightNorm(name, dim).apply(module)


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Makes the weight an ordinary parameter again."""
    return _WeightNorm.remove(module, name)


def spectral_norm(module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None) -> M:
    """The weight by its largest singular value, which power iterations follow, one at each forward in training (Miyato et al., 2018)."""
    return _SpectralNorm(name, n_power_iterations, eps, output_dim(module) if dim is None else dim).apply(module)


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Makes the weight an ordinary parameter again."""
    return _SpectralNorm.remove(module, name)
