"""RMSprop."""

from __future__ import annotations

from typing import Any

from engine.backend import Array
from engine.optim.optimizer import Optimizer, Params, check_range, downhill, update_op


def _rule(
    m: Any,
    p: Array,
    g: Array,
    square: Array,
    *rest: Array,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
    maximize: bool,
) -> tuple[Array, ...]:
    g = downhill(p, g, weight_decay, maximize)
    square = alpha * square + (1 - alpha) * g * g
    new: tuple[Array, ...] = (square,)
    spread = square
    if centered:
        mean = alpha * rest[0] + (1 - alpha) * g
        spread, new = square - mean * mean, (square, mean)
    step = g / (m.sqrt(spread) + eps)
    if momentum:
        step = momentum * rest[-1] + step
        new = (*new, step)
    return (p - lr * step, *new)


class RMSprop(Optimizer):
    """Divides the gradient by a running root of its mean square; ``centered`` by its standard deviation (Graves, 2013)."""

    update = update_op("rmsprop", ("square_avg", "grad_avg", "momentum_buffer"), _rule)
    numbers = ("step",)

    def __init__(
        self, params: Params, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0, momentum: float = 0, centered: bool = False,
        *, maximize: bool = False,
    ) -> None:  # fmt: skip
        check_range("learning rate", lr)
        check_range("epsilon value", eps)
        check_range("momentum value", momentum)
        check_range("weight_decay value", weight_decay)
        check_range("alpha value", alpha)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    def active_slots(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("square_avg", *(("grad_avg",) if group["centered"] else ()), *(("momentum_buffer",) if group["momentum"] else ()))

    def hyperparameters(self, group: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
        return {k: group[k] for k in ("lr", "alpha", "eps", "weight_decay", "momentum", "centered", "maximize")}
