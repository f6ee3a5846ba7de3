"""RAdam."""

from __future__ import annotations

import math
from typing import Any

from engine.backend import Array
from engine.optim.optimizer import Optimizer, Params, check_betas, check_range, downhill, update_op


def _rule(
    m: Any, p: Array, g: Array, mean: Array, square: Array, *, step_size: float, rectified: float | None, beta1: float, beta2: float, eps: float,
    weight_decay: float, shrink: float, maximize: bool,
) -> tuple[Array, ...]:  # fmt: skip
    p = p * shrink if shrink != 1 else p
    g = downhill(p, g, weight_decay, maximize)
    mean = mean + (1 - beta1) * (g - mean)
    square = beta2 * square + (1 - beta2) * g * g
    step = mean * step_size
    if rectified is not None:
        step = step * (rectified / (m.sqrt(square) + eps))
    return p - step, mean, square


class RAdam(Optimizer):
    """Adam that adapts only once the variance of its rate is tractable (Liu et al., 2019)."""

    update = update_op("radam", ("exp_avg", "exp_avg_sq"), _rule)
    slots = ("exp_avg", "exp_avg_sq")
    numbers = ("step",)

    def __init__(
        self, params: Params, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0,
        decoupled_weight_decay: bool = False, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        check_range("learning rate", lr)
        check_range("epsilon value", eps)
        check_betas(betas)
        check_range("weight_decay value", weight_decay)
        rates = {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**rates, "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize})

    def hyperparameters(self, group: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
        (beta1, beta2), t, lr, decay = group["betas"], state["step"], group["lr"], group["weight_decay"]
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * t * beta2**t / (1 - beta2**t)
        rectified = None
        if length > 5:
            rectification = math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
            rectified = math.sqrt(1 - beta2**t) * rectification
        decoupled = group["decoupled_weight_decay"]
        return {
            "step_size": lr / (1 - beta1**t), "rectified": rectified, "beta1": beta1, "beta2": beta2, "eps": group["eps"],
            "weight_decay": 0 if decoupled else decay, "shrink": 1 - lr * decay if decoupled else 1, "maximize": group["maximize"],
        }  # fmt: skip
