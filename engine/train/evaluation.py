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
from engine.reports import Collector
from engine.tensor import Tensor
from engine.train.batches import Array, Batches
from engine.train.scale import Scale
from engine.train.step import Step


class Evaluation:
    """Evaluates one model. ``classes`` names the classes, and a sample takes about ``sample_bytes``."""

    def __init__(
        self, spec: dict[str, Any], step: Step, batches: Batches, scale: Scale, plan: dict[str, int], classes: Any, sample_bytes: int
    ) -> None:
        self._spec, self._step, self._batches, self._scale, self._classes = spec, step, batches, scale, classes
        self._size = evaluation_batch(spec, sample_bytes)
        self.collected = Collector(spec["loss"], classes)
        self._outputs = Outputs(step.model, step.half, plan)
        self._loss: Callable[..., Tensor] = compile(self._loss_of, plan=plan)
        self.measured: Callable[..., tuple[Tensor, Tensor]] = self._replayed

    def _loss_of(self, out: Tensor, y: Tensor) -> Tensor:
        with self._outputs.precision():
            return self._step.loss_of(out, y)

    def _replayed(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        out = self._outputs(x)
        return self._loss(out, y), out

    def measure(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The loss and the outputs, computed layer by layer."""
        out = self._outputs.eager(x)
        return self._loss_of(out, y), out

    @no_grad()
    def __call__(self, indices: Array) -> dict[str, Any]:
        """The mean loss of samples and their metrics; what is undefined is left out. ``collected`` is what a report of them is made of."""
        self._step.model.eval()
        meter = Meter(self._spec["metrics"], self._spec["loss"], self._classes)
        collector = Collector(self._spec["loss"], self._classes)
        total = weight = 0.0
        for x, y, targets in self._batches.plain(indices, self._size):
            loss, out = self.measured(x, y)
            if own := self._scale.weight(targets):
                total += self._scale.mean(float(loss.item()), targets) * own
                weight += own
            outputs = transfer(out._data, CPU)
            meter.add(outputs, targets)
            collector.add(outputs, targets, indices[collector.samples :][: len(outputs)])
        self.collected = collector
        return ({"loss": total / weight} if weight else {}) | meter.values()
