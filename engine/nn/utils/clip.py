"""Keeping gradients within bounds."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from types import GeneratorType

from engine.modes import no_grad
from engine.ops.join import stack
from engine.tensor import Tensor


def _with_gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if not given and isinstance(parameters, GeneratorType):
        warnings.warn("`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=4)
    return [p for p in given if p.grad is not None]


@no_grad()
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scales all gradients together so that their norm is at most ``max_norm``; the norm before (Pascanu et al., 2012)."""
    held = _with_gradients(parameters)
    if not held:
        return Tensor([0.0]).sum()
    total = get_total_norm([p.grad for p in held if p.grad is not None], norm_type, error_if_nonfinite)
    scale = (total.new_full((), max_norm) / (total + 1e-6)).clamp(max=1.0)
    for p in held:
        if p.grad is not None:
            p.grad.mul_(scale)
    return total


@no_grad()
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limits every element of the gradients to [-clip_value, clip_value]."""
    for p in _with_gradients(parameters):
        if p.grad is not None:
            p.grad.clamp_(-clip_value, clip_value)


@no_grad()
def get_total_norm(tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Tensor:
    """The norm of all tensors as one vector."""
    held = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    total = stack([t.norm(norm_type) for t in held]).norm(norm_type) if held else Tensor([0.0]).sum()
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be clipped.")
    return total
