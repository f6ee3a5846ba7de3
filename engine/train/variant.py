"""One variant of a job: one model, one optimizer, all epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.capture import compile
from engine.check import as_taken, class_outputs, targets_for
from engine.creation import from_numpy
from engine.data.balance import class_weights
from engine.data.selftarget import with_own_targets
from engine.data.source import Source
from engine.data.split import partition
from engine.dispatch import count
from engine.ops.random import get_rng_state, manual_seed, set_rng_state
from engine.spec import Summary, build_model, build_optimizer, build_scheduler
from engine.spec.build import parameter_dtype
from engine.spec.heads import build_objective, heads
from engine.spec.weights import freeze
from engine.state import optimizer_slots
from engine.tensor import Tensor
from engine.train.batches import Array, Batch, Batches, steps_an_epoch
from engine.train.evaluation import Evaluation
from engine.train.monitor import Monitor
from engine.train.records import Diverged, EpochEnd, Metrics, Progress, Report, State
from engine.train.reporting import Costs, Reporting
from engine.train.scale import Scales
from engine.train.step import Step


@dataclass(frozen=True)
class Setting:
    """What all variants of a job share: the dataset, the shape of a sample, the device, and the plan of what computes what."""

    source: Source
    shape: tuple[int, ...]
    device: Any
    plan: dict[str, int]


class Variant:
    """Trains, epoch by epoch. ``before_step`` is called with each variant that is about to make a step."""

    def __init__(
        self,
        setting: Setting,
        name: str | None,
        spec: dict[str, Any],
        summary: Summary,
        before_step: Callable[[Variant], None] = lambda _: None,
    ) -> None:
        self.setting, self.name = setting, name
        self.before_step = before_step
        manual_seed(spec["seed"])
        dtype = parameter_dtype(spec)
        own, outputs = heads(spec), class_outputs(spec, tuple(summary.output))
        targets = [targets_for(h, with_own_targets(setting.source, h, setting.shape)) for h in own.values()]
        self.train_indices, self.val_indices = partition(setting.source, spec)
        if spec["data"]["class_weights"] == "balanced":
            spec = {**spec, "loss": class_weights(spec["loss"], targets[0][self.train_indices], outputs)}
        self.spec, own = spec, heads(spec)
        shape = as_taken(spec, setting.source, setting.shape)
        self.model = build_model(spec, shape, setting.device)
        loss = build_objective(spec).to(setting.device, dtype=dtype)
        self.optimizer = build_optimizer(spec, self.model)
        self.monitor = Monitor(spec, len(self.val_indices) > 0)
        self.scheduler = build_scheduler(self._scheduled(), self.optimizer)
        self.scale = Scales([h["loss"] for h in own.values()], targets)
        self.batches = Batches(spec, setting.source, targets, shape, outputs, setting.device, dtype)
        self.step = Step(spec, self.model, loss, self.optimizer, setting.device)
        self.train_step: Callable[..., tuple[Tensor, ...]] = compile(self.step, plan=setting.plan)
        classes = setting.source.report.classes
        self.evaluation = Evaluation(spec, self.step, self.batches, self.scale, setting.plan, classes, summary.activation_bytes)
        self.progress = Progress()
        trained, outputs = len(self.train_indices), sum(map(count, summary.outputs.values() or [summary.output]))
        self.reporting = Reporting(name, Costs.of(steps_an_epoch(trained, spec), trained, summary.flops, len(self.val_indices), outputs))
        self.final: dict[str, Any] = {"epochs": 0, "steps": 0}
        self._dtype, self._steps = dtype, steps_an_epoch(len(self.train_indices), spec)

    def _scheduled(self) -> dict[str, Any]:
        """The spec with a plateau that looks for what is monitored to grow or to fall."""
        schedule = self.spec["scheduler"]
        if not schedule or schedule["type"] != "ReduceLROnPlateau":
            return self.spec
        return {**self.spec, "scheduler": {**schedule, "mode": self.monitor.mode}}

    @property
    def epoch_is_over(self) -> bool:
        """Whether the last step of an epoch is done and its end has not been yielded yet."""
        return self.progress.batch == self._steps

    # -- the loop

    def __iter__(self) -> Iterator[Metrics | Report | EpochEnd]:
        p, epochs = self.progress, self.spec["epochs"]
        while (p.epoch < epochs and not p.stopped) or p.batch:
            epoch = p.epoch if p.batch else p.epoch + 1
            began, samples, rate = time.perf_counter(), 0, None
            freeze(self.spec, self.model, epoch)
            for batch in self.batches.training(self.train_indices, epoch, p.batch):
                self.before_step(self)
                if not p.batch:
                    p.epoch, p.total, p.weight = epoch, 0.0, 0.0
                point = self._train(batch)
                samples += len(batch[0])
                if self.epoch_is_over:
                    rate = samples / (time.perf_counter() - began)
                    point.samples_per_s = None if len(self.val_indices) else rate
                yield point
            yield from self._end_epoch(rate)

    def _train(self, batch: Batch) -> Metrics:
        """One step on a batch, and its point of the history."""
        p, (x, ys, targets) = self.progress, batch
        rate, own = float(self.optimizer.param_groups[0]["lr"]), self.scale.weight(targets)
        numbers = self._step(x, ys, targets) if own else ()
        p.step += 1
        p.batch += 1
        if not numbers:
            return Metrics(p.step, p.epoch, "train", {"lr": rate}, self.name)
        value = self.scale.mean(float(numbers[0].item()), targets)
        if not math.isfinite(value):
            raise Diverged(p.step, value)
        p.total += value * own
        p.weight += own
        values = {"loss": value, "lr": rate}
        if len(numbers) > 1 and math.isfinite(norm := float(numbers[1].item())):
            values["grad_norm"] = norm
        return Metrics(p.step, p.epoch, "train", values, self.name)

    def _step(self, x: Tensor, ys: tuple[Tensor, ...], targets: tuple[Array, ...]) -> tuple[Tensor, ...]:
        """What a step returns. Of several batches, those without a target that counts are left out: their loss is 0 / 0."""
        if not self.model.training:
            self.model.train()
        if self.spec["gradient_accumulation"] == 1:
            return self.train_step(x, *ys)
        size = self.spec["data"]["batch_size"]
        weights = np.array([self.scale.weight([y[i : i + size] for y in targets]) for i in range(0, len(x), size)])
        if not weights.all():
            kept = from_numpy(np.repeat(weights > 0, size)[: len(x)])
            x, ys, weights = x[kept], tuple(y[kept] for y in ys), weights[weights > 0]
        shares = np.ones(len(weights)) if self.scale.is_sum else weights / weights.sum()
        return self.train_step(x, *ys, Tensor._wrap(shares).to(self.setting.device, self._dtype))

    def _end_epoch(self, samples_per_s: float | None) -> Iterator[Metrics | Report | EpochEnd]:
        p = self.progress
        p.batch = 0
        values = self.evaluation(self.val_indices) if len(self.val_indices) else {}
        if not math.isfinite(values.get("loss", 0.0)):
            raise Diverged(p.step, values["loss"])
        named = {"train_loss": p.total / p.weight} if p.weight else {}
        named |= {f"val_{k}": v for k, v in values.items()}
        best = self.monitor.judge(named, p)
        self._schedule(named.get(self.monitor.name))
        self.final = {"epochs": p.epoch, "steps": p.step, **named}
        last = p.stopped or p.epoch == self.spec["epochs"]
        if values:
            yield Metrics(p.step, p.epoch, "val", values, self.name, samples_per_s)
            yield from self.reporting.epoch(self.evaluation.collected, p, best, last)
        yield EpochEnd(p.epoch, p.step, self.name, best, last=last)

    def _schedule(self, monitored: float | None) -> None:
        if self.scheduler is None:
            return
        if self.spec["scheduler"]["type"] != "ReduceLROnPlateau":
            self.scheduler.step()
        elif monitored is not None:
            self.scheduler.step(monitored)

    # -- state

    def state(self) -> State:
        """Everything that training goes on from, not copied."""
        optimizer = self.optimizer.state_dict()
        tensors: dict[str, Tensor] = {}
        scalars: dict[str, Any] = {}
        for n, slots in optimizer["state"].items():
            for slot, value in slots.items():
                target: dict[str, Any] = tensors if isinstance(value, Tensor) else scalars
                target[f"optimizer.{n}.{slot}"] = value
        plain = {
            "progress": vars(self.progress), "rng": get_rng_state(), "groups": optimizer["param_groups"], "scalars": scalars,
            "scheduler": self.scheduler.state_dict() if self.scheduler else None, "final": self.final,
        }  # fmt: skip
        return State(tensors, plain, dict(self.model.state_dict()))

    def restore(self, state: State) -> None:
        """Goes on from a state."""
        self.model.load_state_dict(state.model)
        slots = optimizer_slots({**state.tensors, **state.plain["scalars"]})
        self.optimizer.load_state_dict({"state": slots, "param_groups": state.plain["groups"]})
        if self.scheduler:
            self.scheduler.load_state_dict(state.plain["scheduler"])
        self.progress, self.final = Progress(**state.plain["progress"]), state.plain["final"]
        set_rng_state(state.plain["rng"])
