"""The training loop. The service and the library run this same one; it yields records and knows nothing of queues or files.

Whatever is random is a function of the seed and a position (variant, epoch, sample), so a run that goes on from a saved state gives
the same bits as one that was never interrupted.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.backend import resolve, transfer
from engine.capture import compile
from engine.check import check_targets, split_indices, takes_classes, targets_for
from engine.data.batches import Draws, Pipeline, ahead
from engine.data.source import Source, sample_shape
from engine.dtypes import BY_NAME
from engine.modes import no_grad
from engine.nn.container import Sequential
from engine.ops.random import Generator, get_rng_state, manual_seed, permutation, set_rng_state
from engine.spec import build_loss, build_model, build_optimizer, build_scheduler, variants
from engine.tensor import Tensor

_ORDER, _AUGMENT = 2, 3  # streams of the seed; 0 is the default generator's, 1 the split's


@dataclass
class Metrics:
    """One point of the loss history."""

    step: int
    epoch: int
    split: str
    values: dict[str, float]
    variant: str | None = None

    def as_dict(self) -> dict[str, Any]:
        point: dict[str, Any] = {"step": self.step, "epoch": self.epoch, "split": self.split, "values": self.values}
        if self.variant is not None:
            point["variant"] = self.variant
        return point


@dataclass
class EpochEnd:
    """The end of an epoch; ``best`` if it is the best so far by the monitored value."""

    epoch: int
    step: int
    variant: str | None
    best: bool


@dataclass
class _Progress:
    """Where a variant stands."""

    epoch: int = 0  # the epoch under way, or done when no batch of the next has been
    batch: int = 0  # batches done of it; 0 between epochs
    step: int = 0
    total: float = 0.0  # of the epoch's losses
    best: float | None = None
    stale: int = 0
    stopped: bool = False


@dataclass
class State:
    """All that a run needs to go on: tensors, and what fits in JSON."""

    tensors: dict[str, Tensor]
    plain: dict[str, Any]
    model: dict[str, Tensor] = field(default_factory=dict)


class Run:
    """A job: the variants of a spec, one after the other, on one dataset. Raises SpecError where spec and data do not fit."""

    def __init__(self, spec: dict[str, Any], source: Source, device: Any = "cpu", plan: dict[str, int] | None = None) -> None:
        self.spec, self.source, self.device = spec, source, resolve(device)
        self.plan: dict[str, int] = {} if plan is None else plan  # which algorithm computes what: bits depend on it
        self.shape = sample_shape(source, spec)
        self.variants = variants(spec)
        self.total_steps = sum(self._steps_an_epoch(s) * s["epochs"] for _, s in self.variants)
        self.variant_index = self.done_steps = 0
        self.finals: list[dict[str, Any]] = []
        self.summaries = check_targets(spec, source, self.shape)
        self._saved: State | None = None
        self._job: _Variant | None = None

    def _steps_an_epoch(self, spec: dict[str, Any]) -> int:
        n, size = len(split_indices(self.source, spec)[0]), spec["data"]["batch_size"]
        return n // size if spec["data"]["drop_last"] else -(-n // size)

    def restore(self, state: State) -> None:
        """Goes on from a saved state instead of from the beginning."""
        self.variant_index, self.done_steps = state.plain["variant_index"], state.plain["done_steps"]
        self.finals = state.plain["finals"]
        self._saved = state

    def __iter__(self) -> Iterator[Metrics | EpochEnd]:
        while self.variant_index < len(self.variants):
            name, spec = self.variants[self.variant_index]
            self._job = _Variant(self, name, spec)
            if self._saved is not None:
                self._job.restore(self._saved)
                self._saved = None
            for record in self._job:
                if isinstance(record, Metrics) and record.split == "train":
                    self.done_steps += 1
                yield record
            self.finals.append({"variant": name, **self._job.final})
            self.variant_index += 1

    @property
    def model(self) -> Sequential:
        """The model being trained, or trained last."""
        assert self._job is not None
        return self._job.model

    @property
    def epoch_is_over(self) -> bool:
        """Whether the last batch of an epoch is done and its end has not been yielded yet."""
        assert self._job is not None
        return self._job.progress.batch == self._steps_an_epoch(self._job.spec)

    @property
    def variant_name(self) -> str | None:
        """The name of the variant being trained; None without ``compare``."""
        return self.variants[min(self.variant_index, len(self.variants) - 1)][0]

    @property
    def last_values(self) -> dict[str, float]:
        """The losses and metrics at the end of the epoch before."""
        assert self._job is not None
        return {k: v for k, v in self._job.final.items() if k not in ("epochs", "steps")}

    def state(self) -> State:
        """The state after the record yielded last. Not between a "val" record and the end of its epoch."""
        assert self._job is not None
        state = self._job.state()
        state.plain.update(variant_index=self.variant_index, done_steps=self.done_steps, finals=self.finals)
        return state


class _Variant:
    """One model, one optimizer, all epochs."""

    def __init__(self, run: Run, name: str | None, spec: dict[str, Any]) -> None:
        self.run, self.name, self.spec = run, name, spec
        manual_seed(spec["seed"])
        self.dtype = BY_NAME[spec["precision"]]
        self.model = build_model(spec, run.shape, run.device)
        self.loss = build_loss(spec).to(run.device, dtype=self.dtype)
        self.optimizer = build_optimizer(spec, self.model)
        self.scheduler = build_scheduler(spec, self.optimizer)
        self.pipeline = Pipeline(spec["data"]["transform"])
        self.targets = targets_for(spec, run.source)
        self.train_indices, self.val_indices = split_indices(run.source, spec)
        self.progress = _Progress()
        self.final: dict[str, Any] = {}
        self._train_step, self._measured = compile(self._step, plan=run.plan), compile(self._measure, plan=run.plan)

    # -- batches

    def _read(self, indices: np.ndarray[Any, Any], epoch: int | None) -> tuple[Tensor, Any]:
        """A batch on the host: augmented for an epoch of training, plain for evaluation."""
        draws = None if epoch is None else Draws(self.spec["seed"], _AUGMENT << 56 | epoch << 32)
        return self.run.source.batch(indices, self.pipeline, draws, self.run.shape), self.targets[indices]

    def _loaded(self, batches: Iterable[np.ndarray[Any, Any]], epoch: int | None) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches on the device; images are read one batch ahead, while the one before is computed with."""
        read = functools.partial(self._read, epoch=epoch)
        for x, targets in ahead(read, batches) if self.run.source.is_image else map(read, batches):
            y = Tensor._wrap(transfer(targets, self.run.device))
            yield x.to(self.run.device, self.dtype), y if takes_classes(self.spec) else y.to(self.dtype)

    def _batches(self, epoch: int) -> Iterator[np.ndarray[Any, Any]]:
        data, order = self.spec["data"], self.train_indices
        if data["shuffle"]:
            order = order[permutation(len(order), Generator(seed=self.spec["seed"], stream=_ORDER << 56 | epoch))]
        size = data["batch_size"]
        stop = len(order) // size * size if data["drop_last"] else len(order)
        return (order[i : i + size] for i in range(0, stop, size))

    # -- the loop

    def __iter__(self) -> Iterator[Metrics | EpochEnd]:
        p, epochs = self.progress, self.spec["epochs"]
        while (p.epoch < epochs and not p.stopped) or p.batch:
            if not p.batch:
                p.epoch, p.total = p.epoch + 1, 0.0
            for x, y in self._loaded(itertools.islice(self._batches(p.epoch), p.batch, None), p.epoch):
                self.model.train()
                loss = float(self._train_step(x, y).item())
                p.step, p.batch, p.total = p.step + 1, p.batch + 1, p.total + loss
                if not math.isfinite(loss):
                    raise Diverged(p.step, loss)
                yield Metrics(p.step, p.epoch, "train", {"loss": loss}, self.name)
            yield from self._end_epoch()

    def _end_epoch(self) -> Iterator[Metrics | EpochEnd]:
        p = self.progress
        train_loss, p.batch = p.total / max(1, p.batch), 0
        values = self._evaluate() if len(self.val_indices) else {}
        if not math.isfinite(values.get("loss", 0.0)):
            raise Diverged(p.step, values["loss"])
        held_out = {f"val_{k}": v for k, v in values.items()}
        best = self._judge({"train_loss": train_loss, **held_out})
        self._schedule(values.get("loss", train_loss))
        self.final = {"epochs": p.epoch, "steps": p.step, "train_loss": train_loss, **held_out}
        if values:
            yield Metrics(p.step, p.epoch, "val", values, self.name)
        yield EpochEnd(p.epoch, p.step, self.name, best)

    def _step(self, x: Tensor, y: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss = self.loss(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        return loss

    def _measure(self, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        """The loss, and how many classes are right if that is asked for."""
        out = self.model(x)
        loss = self.loss(out, y)
        return (loss, (out.argmax(1) == y).sum()) if "accuracy" in self.spec["metrics"] else (loss,)

    @no_grad()
    def _evaluate(self) -> dict[str, float]:
        """Loss and metrics on the held-out samples, weighted by batch."""
        self.model.eval()
        total, right, n = 0.0, 0, len(self.val_indices)
        size = max(self.spec["data"]["batch_size"], 256)
        for x, y in self._loaded((self.val_indices[at : at + size] for at in range(0, n, size)), None):
            loss, *counted = self._measured(x, y)
            total += float(loss.item()) * (len(x) if self.loss.reduction == "mean" else 1)
            right += sum(int(c.item()) for c in counted)
        values = {"loss": total / n if self.loss.reduction == "mean" else total}
        if "accuracy" in self.spec["metrics"]:
            values["accuracy"] = right / n
        return values

    def _judge(self, values: dict[str, float]) -> bool:
        """Whether this epoch is the best so far; early stopping counts those that are not."""
        stopping, p = self.spec["early_stopping"], self.progress
        monitor = stopping["monitor"] if stopping else ("val_loss" if "val_loss" in values else "train_loss")
        value = values[monitor] if not monitor.endswith("accuracy") else -values[monitor]
        margin = stopping["min_delta"] if stopping else 0.0
        if p.best is None or value < p.best - margin:
            p.best, p.stale = value, 0
            return True
        p.stale += 1
        p.stopped = bool(stopping) and p.stale >= stopping["patience"]
        return False

    def _schedule(self, monitored: float) -> None:
        if self.scheduler is None:
            return
        if self.spec["scheduler"]["type"] == "ReduceLROnPlateau":
            self.scheduler.step(monitored)
        else:
            self.scheduler.step()

    # -- state

    def state(self) -> State:
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
        self.model.load_state_dict(state.model)
        slots: dict[int, dict[str, Any]] = {}
        for key, value in {**state.tensors, **state.plain["scalars"]}.items():
            _, n, slot = key.split(".", 2)
            slots.setdefault(int(n), {})[slot] = value
        self.optimizer.load_state_dict({"state": slots, "param_groups": state.plain["groups"]})
        if self.scheduler:
            self.scheduler.load_state_dict(state.plain["scheduler"])
        self.progress, self.final = _Progress(**state.plain["progress"]), state.plain["final"]
        set_rng_state(state.plain["rng"])


class Diverged(ArithmeticError):
    """The loss became infinite or not a number."""

    def __init__(self, step: int, loss: float) -> None:
        super().__init__(f"the loss became {loss} at step {step}; a smaller learning rate, or normalized data, may help")
        self.step = step
