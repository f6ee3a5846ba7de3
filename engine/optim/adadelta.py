"""Adadelta."""

from __future__ import annotations

from typing import Any

from engine.backend import Array
from engine.optim.optimizer import Optimizer, Params, check_range, downhill, update_op


def _rule(
    m: Any, p: Array, g: Array, square: Array, change: Array, *, lr: float, rho: float, eps: float, weight_decay: float, maximize: bool
) -> tuple[Array, ...]:
    g = downhill(p, g, weight_decay, maximize)
    square = rho * square + (1 - rho) * g * g
    delta = m.sqrt(change + eps) / m.sqrt(square + eps) * g
    return p - lr * delta, square, rho * change + (1 - rho) * delta * delta


class Adadelta(Optimizer):
    """Steps in the ratio of the running sizes of changes and gradients (Zeiler, 2012)."""

    update = update_op("adadelta", ("square_avg", "acc_delta"), _rule)
    slots = ("square_avg", "acc_delta")
    numbers = ("step",)

    def __init__(
        self, params: Params, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0, *, maximize: bool = False
    ) -> None:
        check_range("learning rate", lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_range("epsilon value", eps)
        check_range("weight_decay value", weight_decay)
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize})

    def hyperparameters(self, group: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
        return {k: group[k] for k in ("lr", "rho", "eps", "weight_decay", "maximize")}
