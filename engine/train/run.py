"""A job: the variants of a spec, one after the other, on one dataset."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from engine.backend import resolve
from engine.check import (
    FindWeights,
    check_targets,
    load_weights,
    sample_shape,
    takes_classes,
    targets_for,
    weight_file,
    with_class_dim,
    with_outputs,
)
from engine.data.selftarget import with_own_targets
from engine.data.source import Source
from engine.data.split import partition, test_indices
from engine.data.views import as_read
from engine.inference.given import described
from engine.inference.outputs import portable
from engine.nn.module import Module
from engine.spec import Summary, variants
from engine.spec.heads import heads, with_heads
from engine.spec.inputs import features_of, limit_of
from engine.tensor import Tensor
from engine.train.batches import steps_an_epoch
from engine.train.diagnosis import Recent, find_cause
from engine.train.monitor import Monitor
from engine.train.records import Best, Diverged, EpochEnd, Metrics, Report, State, VariantEnd
from engine.train.variant import Setting, Variant
from engine.version import __version__

Record = Metrics | Report | EpochEnd | VariantEnd


def _told(spec: dict[str, Any], source: Source, shape: tuple[int, ...], summary: Summary) -> dict[str, Any]:
    """A spec with what follows from the model's outputs."""
    own = {}
    for name, head in heads(spec).items():
        output = tuple(summary.outputs[name] if name else summary.output)
        held = with_own_targets(source, head, shape)
        own[name] = with_class_dim(head, output, targets_for(head, held)) if takes_classes(head) else head
    return with_heads(spec, own)


class Run:
    """Iterating over a run trains it, and yields a record after each step and epoch. Raises SpecError where spec and data do not fit.

    ``plan`` says which algorithm computes what (``engine.compile``): bits depend on it. ``find_weights`` leads from a spec's section ``init_from`` to the file
    of weights that a model starts from; without it no spec may have one.
    """

    def __init__(
        self,
        spec: dict[str, Any],
        source: Source,
        device: Any = "cpu",
        plan: dict[str, int] | None = None,
        find_weights: FindWeights | None = None,
    ) -> None:
        spec = with_outputs(spec, source)
        self.shape = sample_shape(source, spec)
        source = with_own_targets(as_read(source, spec), spec, self.shape)
        self.spec, self.source, self.device = spec, source, resolve(device)
        self.variants = variants(spec)
        self.summaries = check_targets(spec, source, self.shape, find_weights)
        self.variants = [(n, _told(s, source, self.shape, m)) for (n, s), m in zip(self.variants, self.summaries, strict=True)]
        self._setting = Setting(source, self.shape, self.device, {} if plan is None else plan)
        self._monitor = Monitor(spec, len(partition(source, spec)[1]) > 0)
        self._steps = [self._steps_of(s) for _, s in self.variants]
        self.total_steps = sum(self._steps)
        self.variant_index = self.done_steps = 0
        self.finals: list[dict[str, Any]] = []
        self.bests: list[Best] = []
        self._test_indices = test_indices(source)
        self._best_model: dict[str, Tensor] = {}
        self._saved: State | None = None
        self._error: Diverged | None = None
        self._job: Variant | None = None
        self._find_weights = find_weights

    def _steps_of(self, spec: dict[str, Any]) -> int:
        return int(steps_an_epoch(len(partition(self.source, spec)[0]), spec) * spec["epochs"])

    # -- where it stands

    @property
    def model(self) -> Module:
        """The model being trained, or trained last."""
        assert self._job is not None
        return self._job.model

    @property
    def epoch_is_over(self) -> bool:
        """Whether the last step of an epoch is done and its end has not been yielded yet."""
        assert self._job is not None
        return self._job.epoch_is_over

    @property
    def variant_name(self) -> str | None:
        """The name of the variant being trained; None without ``compare``."""
        return self.variants[min(self.variant_index, len(self.variants) - 1)][0]

    @property
    def warnings(self) -> list[str]:
        """What the spec asks for and will not get."""
        held_out = len(partition(self.source, self.spec)[1]) + len(self._test_indices)
        return (
            [f"no samples are held out, so there will be no {', '.join(self.spec['metrics'])}"]
            if self.spec["metrics"] and not held_out
            else []
        )

    @property
    def card(self) -> dict[str, Any]:
        """What a model needs beside its parameters: the classes that its outputs are, the shape of a sample, below which number its indices are and what its
        columns are, if it has such, and what is done to one before."""
        limit = limit_of(self.shape)
        found = {"classes": self.source.report.classes, "input": list(self.shape), "transform": self.spec["data"]["transform"]}
        columns = features_of(self.shape)
        return {**found, **({} if limit is None else {"indices": limit}), **({} if columns is None else {"features": columns.as_dict()})}

    def metadata(self) -> dict[str, Any]:
        """All that is known of the model being trained, as its file carries it: enough to build it, to read samples for it and to judge it."""
        assert self._job is not None
        source, spec = self.source, self.variants[min(self.variant_index, len(self.variants) - 1)][1]
        return {
            **self.card, "spec": spec, "dataset": {"name": spec["data"]["dataset"], **described(source)},
            "metrics": {"variant": self._job.name, **self._job.final}, "plan": portable(self._setting.plan), "engine": __version__,
            **source.known,
        }  # fmt: skip

    def results(self) -> dict[str, Any]:
        """How the variants ended, and which steps of all were the best and the last."""
        bests = [{"variant": b.variant, "epoch": b.epoch, "step": b.step, self._monitor.name: b.value} for b in self.bests]
        return {"variants": self.finals, "best_step": self.best.step if self.best else None, "last_step": self.done_steps, "bests": bests}

    @property
    def last_values(self) -> dict[str, float]:
        """The losses and metrics that are numbers, at the end of the epoch before."""
        assert self._job is not None
        return {k: v for k, v in self._job.final.items() if k not in ("epochs", "steps") and isinstance(v, float)}

    @property
    def best(self) -> Best | None:
        """The best epoch so far of all variants, by the monitored value."""
        return self._monitor.leader(self.bests)

    def state(self) -> State:
        """The state after the record yielded last. Not between a "val" record and the end of its epoch."""
        assert self._job is not None
        state = self._job.state()
        state.plain.update(
            variant_index=self.variant_index, done_steps=self.done_steps, finals=self.finals,
            bests=[asdict(b) for b in self.bests],
        )  # fmt: skip
        return state

    def restore(self, state: State) -> None:
        """Goes on from a saved state instead of from the beginning, with the epochs that the spec has now. ``state.best`` is the best model so far, where there is one."""
        plain = state.plain
        self.variant_index, self.done_steps, self.finals = plain["variant_index"], plain["done_steps"], plain["finals"]
        self.total_steps = self.done_steps - plain["progress"]["step"] + sum(self._steps[self.variant_index :])
        self.bests = [Best(**b) for b in plain.get("bests", ())]
        self._best_model = state.best
        self._saved = state

    # -- training

    def __iter__(self) -> Iterator[Record]:
        while self.variant_index < len(self.variants):
            yield from self._train()
            self.variant_index += 1
        if self._error is not None and all("error" in f for f in self.finals):
            raise self._error
        if len(self._test_indices):
            yield from self._test()

    def _made(self, index: int, before_step: Callable[[Variant], None] = lambda _: None) -> Variant:
        name, spec = self.variants[index]
        return Variant(self._setting, name, spec, self.summaries[index], before_step)

    def _train(self) -> Iterator[Record]:
        """The current variant, to its end."""
        recent, began = Recent(), self.done_steps
        job = self._job = self._made(self.variant_index, recent)
        if self._saved is None:
            weights = weight_file(job.spec, self._find_weights)
            if weights is not None:
                load_weights(job.spec, job.model, job.optimizer, weights)
        else:
            job.restore(self._saved)
            began -= job.progress.step
            self._saved = None
        end: dict[str, Any] = {}
        try:
            for record in job:
                yield self._noted(record)
        except Diverged as error:
            self._error = self._explained(error, recent.state)
            end = {"error": self._error.as_dict()}
        self.finals.append({"variant": job.name, **job.final, **end})
        self.total_steps -= self._steps[self.variant_index] - (self.done_steps - began)
        if end and self._error is not None:
            yield VariantEnd(job.name, self._error)

    def _noted(self, record: Metrics | Report | EpochEnd) -> Metrics | Report | EpochEnd:
        """A record of the current variant, once its steps and its best epoch have been taken note of."""
        if isinstance(record, Metrics):
            self.done_steps += record.split == "train"
        elif isinstance(record, EpochEnd) and record.best:
            assert self._job is not None and self._job.progress.best is not None
            best = Best(record.variant, self.variant_index, self._job.progress.best, self.done_steps, record.epoch, record.step)
            self.bests = [*(b for b in self.bests if b.index != self.variant_index), best]
            record.leads = self.best is best
            if record.leads and len(self._test_indices):
                self._best_model = {k: x.detach().clone() for k, x in self.model.state_dict().items()}
        return record

    def _explained(self, error: Diverged, recent: State | None) -> Diverged:
        """The error with its place in the spec, and with what was not finite first."""
        assert self._job is not None
        step = error.step + (self._job.progress.batch == 0)  # found by a validation: the next step would have met it
        cause = find_cause(self._made(self.variant_index), recent, step) if recent else None
        at = f"/compare/{self.variant_index}" if self.spec["compare"] else ""
        return Diverged(error.step, error.loss, cause, f"{at}/optimizer")

    def _test(self) -> Iterator[Metrics | Report]:
        """The dataset's test split, evaluated once, with the best model of all variants."""
        best, job = self.best, self._job
        assert job is not None
        index, epoch, step = len(self.variants) - 1, job.progress.epoch, job.progress.step
        if best is not None and self._best_model:
            index, epoch, step = best.index, best.epoch, best.own_step
            job = self._made(index)
            job.model.load_state_dict(self._best_model)
        values = {k: v for k, v in job.evaluation(self._test_indices).items() if k != "loss" or math.isfinite(v)}
        self.finals[index] |= {f"test_{k}": v for k, v in values.items()}
        yield Metrics(step, epoch, "test", values, job.name)
        yield from job.reporting.test(job.evaluation.collected, epoch, step)
