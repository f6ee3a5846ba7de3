"""Adagrad."""

from __future__ import annotations

from typing import Any

from engine.backend import Array
from engine.optim.optimizer import Optimizer, Params, check_range, downhill, update_op


def _rule(
    m: Any, p: Array, g: Array, total: Array, *, step_size: float, eps: float, weight_decay: float, maximize: bool
) -> tuple[Array, ...]:
    g = downhill(p, g, weight_decay, maximize)
    total = total + g * g
    return p - step_size * (g / (m.sqrt(total) + eps)), total


class Adagrad(Optimizer):
    """Divides the gradient by the root of the sum of its squares (Duchi et al., 2011)."""

    update = update_op("adagrad", ("sum",), _rule)
    slots = ("sum",)
    numbers = ("step",)

    def __init__(
        self, params: Params, lr: float = 1e-2, lr_decay: float = 0, weight_decay: float = 0, initial_accumulator_value: float = 0, eps: float = 1e-10,
        *, maximize: bool = False,
    ) -> None:  # fmt: skip
        check_range("learning rate", lr)
        check_range("lr_decay value", lr_decay)
        check_range("weight_decay value", weight_decay)
        check_range("initial_accumulator_value value", initial_accumulator_value)
        check_range("epsilon value", eps)
        start = {"initial_accumulator_value": initial_accumulator_value}
        super().__init__(params, {"lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay, **start, "maximize": maximize})

    def initial(self, slot: str, group: dict[str, Any]) -> float:
        return float(group["initial_accumulator_value"])

    def hyperparameters(self, group: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
        step_size = group["lr"] / (1 + (state["step"] - 1) * group["lr_decay"])
        return {"step_size": step_size, **{k: group[k] for k in ("eps", "weight_decay", "maximize")}}
