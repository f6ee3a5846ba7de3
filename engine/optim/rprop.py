"""Rprop."""

from __future__ import annotations

from typing import Any

from engine.backend import Array
from engine.optim.optimizer import Optimizer, Params, check_range, update_op


def _rule(
    m: Any, p: Array, g: Array, before: Array, size: Array, *, shrink: float, grow: float, smallest: float, greatest: float, maximize: bool
) -> tuple[Array, ...]:
    g = -g if maximize else g
    agreement = g * before
    factor = m.where(agreement > 0, grow, m.where(agreement < 0, shrink, 1.0)).astype(p.dtype)
    size = m.clip(size * factor, smallest, greatest)
    g = m.where(agreement < 0, 0, g).astype(p.dtype)
    return p - m.sign(g) * size, g, size


class Rprop(Optimizer):
    """Steps of a size of their own for every element, by the sign of the gradient (Riedmiller and Braun, 1993)."""

    update = update_op("rprop", ("prev", "step_size"), _rule)
    slots = ("prev", "step_size")
    numbers = ("step",)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
    ) -> None:
        check_range("learning rate", lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(params, {"lr": lr, "etas": tuple(etas), "step_sizes": tuple(step_sizes), "maximize": maximize})

    def initial(self, slot: str, group: dict[str, Any]) -> float:
        return float(group["lr"]) if slot == "step_size" else 0.0

    def hyperparameters(self, group: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
        (shrink, grow), (smallest, greatest) = group["etas"], group["step_sizes"]
        return {"shrink": shrink, "grow": grow, "smallest": smallest, "greatest": greatest, "maximize": group["maximize"]}
