"""ASGD."""

from __future__ import annotations

from typing import Any

from engine.backend import Array
from engine.optim.optimizer import Optimizer, Params, check_range, downhill, update_op


def _rule(
    m: Any, p: Array, g: Array, mean: Array, *, eta: float, lambd: float, mu: float, weight_decay: float, maximize: bool
) -> tuple[Array, ...]:
    g = downhill(p, g, weight_decay, maximize)
    p = p * (1 - lambd * eta) - eta * g
    return p, p if mu == 1 else mean + mu * (p - mean)


class ASGD(Optimizer):
    """Gradient descent with a running average of the parameters beside it, in ``state["ax"]`` (Polyak and Juditsky, 1992)."""

    update = update_op("asgd", ("ax",), _rule)
    slots = ("ax",)
    numbers = ("step", "eta", "mu")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        check_range("learning rate", lr)
        check_range("weight_decay value", weight_decay)
        super().__init__(params, {"lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "maximize": maximize})

    def hyperparameters(self, group: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
        t, lr = state["step"], group["lr"]
        hyper = {"eta": state.get("eta", lr), "mu": state.get("mu", 1.0)}
        state["eta"] = lr / (1 + group["lambd"] * lr * t) ** group["alpha"]
        state["mu"] = 1 / max(1, t - group["t0"])
        return {**hyper, **{k: group[k] for k in ("lambd", "weight_decay", "maximize")}}
