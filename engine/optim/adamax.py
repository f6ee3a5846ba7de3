"""Adamax."""

from __future__ import annotations

from typing import Any

from engine.backend import Array
from engine.optim.optimizer import Optimizer, Params, check_betas, check_range, downhill, update_op


def _rule(
    m: Any,
    p: Array,
    g: Array,
    mean: Array,
    top: Array,
    *,
    step_size: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> tuple[Array, ...]:
    g = downhill(p, g, weight_decay, maximize)
    mean = mean + (1 - beta1) * (g - mean)
    top = m.maximum(beta2 * top, m.abs(g) + eps)
    return p - step_size * (mean / top), mean, top


class Adamax(Optimizer):
    """Adam by the infinity norm (Kingma and Ba, 2014, section 7)."""

    update = update_op("adamax", ("exp_avg", "exp_inf"), _rule)
    slots = ("exp_avg", "exp_inf")
    numbers = ("step",)

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        check_range("learning rate", lr)
        check_range("epsilon value", eps)
        check_betas(betas)
        check_range("weight_decay value", weight_decay)
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "maximize": maximize})

    def hyperparameters(self, group: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
        beta1, beta2 = group["betas"]
        step_size = group["lr"] / (1 - beta1 ** state["step"])
        return {"step_size": step_size, "beta1": beta1, "beta2": beta2, **{k: group[k] for k in ("eps", "weight_decay", "maximize")}}
