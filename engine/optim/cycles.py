"""Schedules that go up and down: by the batch, with the momentum going the other way, or in restarted cosines."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from engine.optim.optimizer import Optimizer
from engine.optim.schedule import LRScheduler, per_group


class CosineAnnealingWarmRestarts(LRScheduler):
    """A cosine over ``T_0`` epochs, begun anew over ``T_mult`` times as many, and so on (Loshchilov and Hutter, 2016).

    ``step(epoch)`` takes fractions: ``step(epoch + batch / batches)`` goes down within an epoch.
    """

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        if T_0 <= 0 or not isinstance(T_0, int):
            raise ValueError(f"Expected positive integer T_0, but got {T_0}")
        if T_mult < 1 or not isinstance(T_mult, int):
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, epoch: float) -> float:
        length, at = self.T_0, epoch
        while at >= length:
            at, length = at - length, length * self.T_mult
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * at / length)) / 2

    def step(self, epoch: Any = None) -> None:
        """Goes on to the next epoch, or to ``epoch``. Raises ValueError for a negative one."""
        if epoch is not None and epoch < 0:
            raise ValueError(f"Expected non-negative epoch, but got {epoch}")
        super().step(epoch)


class _Cycle(LRScheduler):
    """Rates and momenta, group by group."""

    cycle_momentum: bool

    def _at(self, group: int, epoch: int) -> tuple[float, float]:
        """The rate and the momentum of one group."""
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        values = [self._at(i, self.last_epoch) for i in range(len(self.optimizer.param_groups))]
        if self.cycle_momentum:
            for group, (_, momentum) in zip(self.optimizer.param_groups, values, strict=True):
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                else:
                    group["momentum"] = momentum
        return [rate for rate, _ in values]

    @staticmethod
    def _needs_momentum(optimizer: Optimizer) -> None:
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")


class CyclicLR(_Cycle):
    """Up from ``base_lr`` to ``max_lr`` and down again, batch by batch; the momentum goes the other way (Smith, 2017).

    ``scale_fn`` scales the height in place of ``mode``: of the number of the cycle, or of the batch with ``scale_mode="iterations"``.
    """

    def __init__(
        self, optimizer: Optimizer, base_lr: float | list[float], max_lr: float | list[float], step_size_up: int = 2000, step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular", gamma: float = 1.0, scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle", cycle_momentum: bool = True, base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError("mode is invalid and scale_fn is None: expected triangular, triangular2 or exp_range")
        if cycle_momentum:
            self._needs_momentum(optimizer)
        self.mode, self.gamma, self.scale_fn, self.scale_mode = mode, gamma, scale_fn, scale_mode
        self.total_size = step_size_up + (step_size_up if step_size_down is None else step_size_down)
        self.step_ratio = step_size_up / self.total_size
        self.cycle_momentum = cycle_momentum
        self.max_lrs = per_group("max_lr", max_lr, optimizer)
        self.base_momentums = per_group("base_momentum", base_momentum, optimizer)
        self.max_momentums = per_group("max_momentum", max_momentum, optimizer)
        for group, base in zip(optimizer.param_groups, per_group("base_lr", base_lr, optimizer), strict=True):
            group["initial_lr"] = base
            if last_epoch == -1:
                group["lr"] = base
        super().__init__(optimizer, last_epoch)

    def _scale(self, cycle: int, epoch: int) -> float:
        if self.scale_fn is not None:
            return self.scale_fn(cycle if self.scale_mode == "cycle" else epoch)
        return {"triangular": 1.0, "triangular2": 1 / 2 ** (cycle - 1), "exp_range": self.gamma**epoch}[self.mode]

    def _at(self, group: int, epoch: int) -> tuple[float, float]:
        cycle = math.floor(1 + epoch / self.total_size)
        x = 1 + epoch / self.total_size - cycle
        height = (x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)) * self._scale(cycle, epoch)
        base, high, low = self.base_lrs[group], self.max_momentums[group], self.base_momentums[group]
        return base + (self.max_lrs[group] - base) * height, high - (high - low) * height


class OneCycleLR(_Cycle):
    """Up to ``max_lr`` and down to nearly nothing, once, batch by batch; the momentum goes the other way (Smith and Topin, 2019)."""

    def __init__(
        self, optimizer: Optimizer, max_lr: float | list[float], total_steps: int | None = None, epochs: int | None = None, steps_per_epoch: int | None = None,
        pct_start: float = 0.3, anneal_strategy: Literal["cos", "linear"] = "cos", cycle_momentum: bool = True, base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95, div_factor: float = 25.0, final_div_factor: float = 1e4, three_phase: bool = False, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
            total_steps = epochs * steps_per_epoch
        if total_steps <= 0:
            raise ValueError(f"Expected positive integer total_steps, but got {total_steps}")
        if not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        if cycle_momentum:
            self._needs_momentum(optimizer)
        self.total_steps, self.anneal_strategy, self.cycle_momentum = total_steps, anneal_strategy, cycle_momentum
        up = pct_start * total_steps - 1
        self.phases: list[list[tuple[float, float, float, float, float]]] = []
        peaks, lows, highs = (
            per_group(n, v, optimizer) for n, v in (("max_lr", max_lr), ("base_momentum", base_momentum), ("max_momentum", max_momentum))
        )
        for group, peak, low, high in zip(optimizer.param_groups, peaks, lows, highs, strict=True):
            start = peak / div_factor
            least = start / final_div_factor
            down = [(2 * up, peak, start, low, high), (total_steps - 1, start, least, high, high)]
            self.phases.append([(up, start, peak, high, low), *(down if three_phase else [(total_steps - 1, peak, least, low, high)])])
            if last_epoch == -1:
                group["initial_lr"] = start
        super().__init__(optimizer, last_epoch)

    def _between(self, a: float, b: float, done: float) -> float:
        return b + (a - b) / 2 * (1 + math.cos(math.pi * done)) if self.anneal_strategy == "cos" else a + (b - a) * done

    def _at(self, group: int, epoch: int) -> tuple[float, float]:
        """Raises ValueError after the last step."""
        if epoch > self.total_steps:
            raise ValueError(f"Tried to step {epoch} times. The specified number of total steps is {self.total_steps}")
        phases, begin = self.phases[group], 0.0
        for i, (end, a, b, m, n) in enumerate(phases):
            if epoch <= end or i == len(phases) - 1:
                done = (epoch - begin) / (end - begin)
                return self._between(a, b, done), self._between(m, n, done)
            begin = end
        raise AssertionError("the last phase has no end")
