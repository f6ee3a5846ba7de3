"""The loss and the metrics of samples that nobody trains on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.backend import transfer
from engine.backend.device import CPU
from engine.capture import compile
from engine.check import evaluation_batch
from engine.inference import Outputs
from engine.metrics import Meter
from engine.modes import no_grad
from engine.reports import Collected, Collector
from engine.spec.heads import heads
from engine.tensor import Tensor
from engine.train.batches import Array, Batches
from engine.train.scale import Scales
from engine.train.step import Step


class Evaluation:
    """Evaluates one model. ``classes`` names the classes, and a sample takes about ``sample_bytes``."""

    def __init__(
        self, spec: dict[str, Any], step: Step, batches: Batches, scale: Scales, plan: dict[str, int], classes: Any, sample_bytes: int
    ) -> None:
        self._spec, self._step, self._batches, self._scale, self._classes = spec, step, batches, scale, classes
        self._size = evaluation_batch(spec, sample_bytes)
        self.collected = Collected(self._each(Collector))
        self._outputs = Outputs(step.model, step.half, plan)
        self._loss: Callable[..., Tensor] = compile(self._loss_of, plan=plan)
        self.measured: Callable[..., tuple[Tensor, tuple[Tensor, ...]]] = self._replayed

    def _loss_of(self, *given: Tensor) -> Tensor:
        with self._outputs.precision():
            return self._step.loss_of(*given)

    def _replayed(self, x: Tensor, *ys: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        outs = self._outputs(x)
        return self._loss(*outs, *ys), outs

    def measure(self, x: Tensor, *ys: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The loss and the outputs, computed layer by layer."""
        outs = self._outputs.eager(x)
        return self._loss_of(*outs, *ys), outs

    def _each(self, kind: Callable[..., Any]) -> dict[str, Any]:
        """One for each output, by name: of its loss and its classes."""
        return {n: kind(h["loss"], None if n else self._classes) for n, h in heads(self._spec).items()}

    @no_grad()
    def __call__(self, indices: Array) -> dict[str, Any]:
        """The mean loss of samples and their metrics, of several outputs with the output's name before; what is undefined is left out.

        ``collected`` is what reports of each output are made of.
        """
        self._step.model.eval()
        meters = {n: Meter(h["metrics"], h["loss"], None if n else self._classes) for n, h in heads(self._spec).items()}
        collectors = self._each(Collector)
        total = weight = 0.0
        for x, ys, targets in self._batches.plain(indices, self._size):
            loss, outs = self.measured(x, *ys)
            if own := self._scale.weight(targets):
                total += self._scale.mean(float(loss.item()), targets) * own
                weight += own
            for name, out, y in zip(meters, outs, targets, strict=True):
                held = transfer(out._data, CPU)
                meters[name].add(held, y)
                collectors[name].add(held, y, indices[collectors[name].samples :][: len(held)])
        self.collected = Collected(collectors)
        found = {f"{n}_{k}" if n else k: v for n, meter in meters.items() for k, v in meter.values().items()}
        return ({"loss": total / weight} if weight else {}) | found
