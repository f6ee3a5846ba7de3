"""``torch.nn.utils``: keeping gradients within bounds."""

from __future__ import annotations

import math
from collections.abc import Iterable

from engine.modes import no_grad
from engine.ops.join import stack
from engine.tensor import Tensor


def _with_gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [p for p in ([parameters] if isinstance(parameters, Tensor) else parameters) if p.grad is not None]


@no_grad()
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scales all gradients together so that their norm is at most ``max_norm``; the norm before (Pascanu et al., 2012)."""
    held = _with_gradients(parameters)
    if not held:
        return Tensor([0.0]).sum()
    total = stack([p.grad.norm(norm_type) for p in held if p.grad is not None]).norm(norm_type)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be clipped.")
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
