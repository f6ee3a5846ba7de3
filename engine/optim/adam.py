"""Adam and AdamW."""

from __future__ import annotations

import math
from typing import Any

from engine.backend import Array
from engine.optim.optimizer import Optimizer, Params, check_betas, check_range, downhill, update_op


def _rule(
    m: Any, p: Array, g: Array, mean: Array, square: Array, *greatest: Array, step_size: float, beta1: float, beta2: float, eps: float, correction: float,
    weight_decay: float, shrink: float, maximize: bool,
) -> tuple[Array, ...]:  # fmt: skip
    p = p * shrink if shrink != 1 else p
    g = downhill(p, g, weight_decay, maximize)
    mean = mean + (1 - beta1) * (g - mean)
    square = beta2 * square + (1 - beta2) * g * g
    greatest = tuple(m.maximum(top, square) for top in greatest)
    spread = m.sqrt(greatest[0] if greatest else square) + eps * correction
    return (p - step_size * correction * (mean / spread), mean, square, *greatest)


class Adam(Optimizer):
    """Adaptive moments (Kingma and Ba, 2014); ``amsgrad`` keeps the greatest second moment (Reddi et al., 2018)."""

    update = update_op("adam", ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"), _rule)
    numbers = ("step",)
    decoupled = False

    def __init__(
        self, params: Params, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0, amsgrad: bool = False,
        *, maximize: bool = False,
    ) -> None:  # fmt: skip
        check_range("learning rate", lr)
        check_range("epsilon value", eps)
        check_betas(betas)
        check_range("weight_decay value", weight_decay)
        super().__init__(
            params, {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad, "maximize": maximize}
        )

    def active_slots(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if group["amsgrad"] else ("exp_avg", "exp_avg_sq")

    def hyperparameters(self, group: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
        (beta1, beta2), t, decay = group["betas"], state["step"], group["weight_decay"]
        return {
            "step_size": group["lr"] / (1 - beta1**t), "beta1": beta1, "beta2": beta2, "eps": group["eps"], "correction": math.sqrt(1 - beta2**t),
            "weight_decay": 0 if self.decoupled else decay, "shrink": 1 - group["lr"] * decay if self.decoupled else 1, "maximize": group["maximize"],
        }  # fmt: skip


class AdamW(Adam):
    """Adam with weight decay outside of the adaptive step (Loshchilov and Hutter, 2017)."""

    decoupled = True

    def __init__(
        self, params: Params, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 1e-2, amsgrad: bool = False,
        *, maximize: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
