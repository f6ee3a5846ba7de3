"""What learning-rate schedules share: where they stand, and setting the rates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from engine.optim.optimizer import Optimizer


class LRScheduler:
    """The base: ``step()`` once an epoch (or once a batch) sets each group's rate to what ``get_lr()`` gives.

    A schedule defines ``get_lr``, or ``rate(base, epoch)``: the rate as a function of the epoch and of the rate at the start.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming a scheduler with last_epoch={last_epoch}"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._step_count = 0
        self._last_lr: list[Any] = [group["lr"] for group in optimizer.param_groups]
        self.step()

    def rate(self, base: float, epoch: float) -> float:
        """The learning rate at ``epoch`` of a group that started with ``base``."""
        raise NotImplementedError(f"{type(self).__name__} defines neither get_lr nor rate")

    def get_lr(self) -> list[float]:
        """The rates at ``last_epoch``, one for each group."""
        return self._closed()

    def _closed(self) -> list[float]:
        return [self.rate(base, self.last_epoch) for base in self.base_lrs]

    def step(self, epoch: Any = None) -> None:
        """Goes on to the next epoch, or to ``epoch``."""
        self._step_count += 1
        if epoch is None:
            self.last_epoch += 1
            self._set(self.get_lr())
        else:
            self.last_epoch = epoch
            self._set(self.get_lr() if type(self).rate is LRScheduler.rate else self._closed())

    def _set(self, rates: Sequence[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def get_last_lr(self) -> list[float]:
        """The rates that the last step set."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """All but the optimizer and what is a function."""
        return {k: v for k, v in self.__dict__.items() if k != "optimizer" and not _called(v)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.__dict__.update(state_dict)


def _called(value: Any) -> bool:
    return callable(value) or (isinstance(value, list) and bool(value) and callable(value[0]))


class Stepwise(LRScheduler):
    """Schedules that change the rate as it is by a factor, so that several of them work together."""

    def factor(self, epoch: int) -> float:
        """By what the rate of the epoch before is multiplied."""
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        factor = self.factor(self.last_epoch)
        return [group["lr"] * factor for group in self.optimizer.param_groups]


def per_group(name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """One value for each group. Raises ValueError for a list of another length."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * groups
    if len(value) != groups:
        raise ValueError(f"{name} must have one value for each of the {groups} parameter groups, got {len(value)}")
    return list(value)


Lambda = Callable[[int], float]
