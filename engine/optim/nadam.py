"""NAdam."""

from __future__ import annotations

from typing import Any

from engine.backend import Array
from engine.optim.optimizer import Optimizer, Params, check_betas, check_range, downhill, update_op


def _rule(
    m: Any, p: Array, g: Array, mean: Array, square: Array, *, by_gradient: float, by_mean: float, beta1: float, beta2: float, eps: float, correction: float,
    weight_decay: float, shrink: float, maximize: bool,
) -> tuple[Array, ...]:  # fmt: skip
    p = p * shrink if shrink != 1 else p
    g = downhill(p, g, weight_decay, maximize)
    mean = mean + (1 - beta1) * (g - mean)
    square = beta2 * square + (1 - beta2) * g * g
    spread = m.sqrt(square / correction) + eps
    return p - by_gradient * (g / spread) - by_mean * (mean / spread), mean, square


class NAdam(Optimizer):
    """Adam with Nesterov momentum (Dozat, 2016)."""

    update = update_op("nadam", ("exp_avg", "exp_avg_sq"), _rule)
    slots = ("exp_avg", "exp_avg_sq")
    numbers = ("step", "mu_product")

    def __init__(
        self, params: Params, lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0,
        momentum_decay: float = 4e-3, decoupled_weight_decay: bool = False, *, maximize: bool = False,
    ) -> None:  # fmt: skip
        check_range("learning rate", lr)
        check_range("epsilon value", eps)
        check_betas(betas)
        check_range("weight_decay value", weight_decay)
        check_range("momentum_decay value", momentum_decay)
        rates = {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay}
        super().__init__(params, {**rates, "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize})

    def hyperparameters(self, group: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
        (beta1, beta2), t, lr, decay = group["betas"], state["step"], group["lr"], group["weight_decay"]
        mu, mu_next = (beta1 * (1 - 0.5 * 0.96 ** (n * group["momentum_decay"])) for n in (t, t + 1))
        product = state["mu_product"] = state.get("mu_product", 1.0) * mu
        decoupled = group["decoupled_weight_decay"]
        return {
            "by_gradient": lr * (1 - mu) / (1 - product), "by_mean": lr * mu_next / (1 - product * mu_next), "beta1": beta1, "beta2": beta2, "eps": group["eps"],
            "correction": 1 - beta2**t, "weight_decay": 0 if decoupled else decay, "shrink": 1 - lr * decay if decoupled else 1, "maximize": group["maximize"],
        }  # fmt: skip
