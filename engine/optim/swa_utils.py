"""Averages of a model's parameters over training (``torch.optim.swa_utils``): Izmailov et al., 2018, and exponential moving averages."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from engine.creation import tensor
from engine.dtypes import int64
from engine.modes import no_grad
from engine.nn.module import Module
from engine.nn.norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from engine.optim.optimizer import Optimizer
from engine.optim.schedule import LRScheduler, per_group
from engine.tensor import Tensor

Average = Callable[[Tensor, Tensor, Any], Tensor]
AverageAll = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]


def get_swa_avg_fn() -> Average:
    """The mean of all: each weighs the same."""
    return lambda averaged, current, count: averaged + (current - averaged) / (count + 1)


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The moving average: the one before weighs ``decay``."""
    if not 0 <= decay <= 1:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")
    return lambda averaged, current, count: averaged * decay + current * (1 - decay)


def _of_each(average: Average) -> AverageAll:
    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Any) -> None:
        with no_grad():
            for a, c in zip(averaged, current, strict=True):
                a.copy_(average(a, c, count) if a.is_floating_point() else c)

    return update


def get_swa_multi_avg_fn() -> AverageAll:
    """The mean of all, of lists of tensors in place."""
    return _of_each(get_swa_avg_fn())


def get_ema_multi_avg_fn(decay: float = 0.999) -> AverageAll:
    """The moving average, of lists of tensors in place."""
    return _of_each(get_ema_avg_fn(decay))


class AveragedModel(Module):
    """A copy of ``model`` whose parameters are averages of those that ``update_parameters`` sees; the mean, unless ``avg_fn(averaged, current, count)`` or, for
    lists in place, ``multi_avg_fn`` says otherwise. Buffers are averaged with ``use_buffers``, else they are the last ones."""

    n_averaged: Tensor

    def __init__(
        self, model: Module, device: Any = None, avg_fn: Average | None = None, multi_avg_fn: AverageAll | None = None, use_buffers: bool = False
    ) -> None:  # fmt: skip
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, dtype=int64, device=device))
        self.use_buffers = use_buffers
        self._average = multi_avg_fn or _of_each(avg_fn or get_swa_avg_fn())

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Takes the parameters of ``model`` into the averages; the first time, they are the averages."""

        def averaged(m: Any) -> list[Tensor]:
            found = itertools.chain(m.parameters(), m.buffers()) if self.use_buffers else m.parameters()
            return [t.detach() for t in found]

        mine = averaged(self.module)
        current = [c.to(a.device) for a, c in zip(mine, averaged(model), strict=True)]
        with no_grad():
            if not int(self.n_averaged):
                for a, c in zip(mine, current, strict=True):
                    a.copy_(c)
            else:
                self._average(mine, current, self.n_averaged)
            if not self.use_buffers:
                for a, c in zip(self.module.buffers(), model.buffers(), strict=True):
                    a.copy_(c.to(a.device))
            self.n_averaged += 1


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """The running statistics of batch normalization anew: their means over one pass through ``loader``, of tensors or of tuples that begin with one."""
    norms = [m for m in model.modules() if isinstance(m, BatchNorm1d | BatchNorm2d | BatchNorm3d) and m.track_running_stats]
    if not norms:
        return
    momenta, was_training = [m.momentum for m in norms], model.training
    for m in norms:
        m.reset_running_stats()
        m.momentum = None
    model.train()
    try:
        with no_grad():
            for batch in loader:
                x = batch[0] if isinstance(batch, list | tuple) else batch
                model(x if device is None else x.to(device))
    finally:
        for m, momentum in zip(norms, momenta, strict=True):
            m.momentum = momentum
        model.train(was_training)


class SWALR(LRScheduler):
    """From the rate as it is to ``swa_lr`` (one, or one for each group) within ``anneal_epochs``, along a cosine or a line; there it stays."""

    def __init__(
        self, optimizer: Optimizer, swa_lr: Any, anneal_epochs: int = 10, anneal_strategy: Literal["cos", "linear"] = "cos", last_epoch: int = -1
    ) -> None:  # fmt: skip
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must by one of 'cos' or 'linear', instead got {anneal_strategy}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        for group, rate in zip(optimizer.param_groups, per_group("swa_lr", swa_lr, optimizer), strict=True):
            group["swa_lr"] = rate
        self.anneal_epochs, self.anneal_strategy = anneal_epochs, anneal_strategy
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """How far the rate has come after so many steps."""
        t = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return (1 - math.cos(math.pi * t)) / 2 if self.anneal_strategy == "cos" else t

    def get_lr(self) -> list[float]:
        step = self._step_count - 1 if self.anneal_epochs else max(1, self._step_count - 1)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            end = group["swa_lr"]
            start = end if before == 1 else (group["lr"] - end * before) / (1 - before)
            rates.append(end * now + start * (1 - now))
        return rates


__all__ = [
    "SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn", "update_bn",
]  # fmt: skip
