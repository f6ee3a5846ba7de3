"""The loss and the metrics of samples that nobody trains on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine.backend import transfer
from engine.backend.device import CPU
from engine.capture import compile
from engine.check import evaluation_batch
from engine.metrics import Meter
from engine.modes import no_grad
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
        self.measured: Callable[..., tuple[Tensor, ...]] = compile(self.measure, plan=plan)

    def measure(self, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        """The loss, and the outputs if there are metrics of them."""
        out, loss = self._step.forward(x, y)
        return (loss, out) if self._spec["metrics"] else (loss,)

    @no_grad()
    def __call__(self, indices: Array) -> dict[str, Any]:
        """The mean loss of samples and their metrics; what is undefined is left out."""
        self._step.model.eval()
        meter = Meter(self._spec["metrics"], self._spec["loss"], self._classes)
        total = weight = 0.0
        for x, y, targets in self._batches.plain(indices, self._size):
            loss, *out = self.measured(x, y)
            if own := self._scale.weight(targets):
                total += self._scale.mean(float(loss.item()), targets) * own
                weight += own
            if out:
                meter.add(transfer(out[0]._data, CPU), targets)
        return ({"loss": total / weight} if weight else {}) | meter.values()
