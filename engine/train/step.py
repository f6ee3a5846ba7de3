"""One step of training: gradients of a batch, or of several added up, clipped, and the optimizer's update. It is recorded once and replayed."""

from __future__ import annotations

import contextlib
from typing import Any

from engine.amp import autocast
from engine.dtypes import bfloat16
from engine.inference.outputs import each
from engine.nn.module import Module
from engine.nn.utils import clip_grad_norm_, clip_grad_value_
from engine.nn.utils.clip import get_total_norm
from engine.optim.optimizer import Optimizer
from engine.spec.heads import heads
from engine.tensor import Tensor


class Step:
    """``step(x, *ys)``, the targets of each output, or ``step(x, *ys, shares)`` for several batches at once, of which each loss counts by its share.

    Returns the loss, and the norm of the gradients before clipping where they are clipped.
    """

    def __init__(self, spec: dict[str, Any], model: Module, loss: Module, optimizer: Optimizer, device: Any) -> None:
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.outputs = len(heads(spec))
        self._batch_size: int = spec["data"]["batch_size"]
        self._clip: dict[str, float | None] | None = spec["gradient_clip"]
        self.half = device.type if spec["precision"] == "bfloat16" else None
        self.__qualname__ = "the training step"  # in the log of what is captured

    def forward(self, x: Tensor, *ys: Tensor) -> Tensor:
        """The loss, products in half precision if the spec says so."""
        with autocast(self.half, bfloat16) if self.half else contextlib.nullcontext():
            return self.loss_of(*each(self.model(x)), *ys)

    def loss_of(self, *given: Tensor) -> Tensor:
        """The loss of outputs and then their targets; what is not finite where the outputs are not. BCELoss raises then, as in PyTorch, unless it is captured: either way, training diverged."""
        try:
            loss: Tensor = self.loss(*given)
        except RuntimeError:
            bad = [out for out in given[: self.outputs] if not bool(out.detach().isfinite().all())]
            if not bad:
                raise
            return bad[0].mean()
        return loss

    def __call__(self, x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        self.optimizer.zero_grad()
        loss = self._whole(x, *rest) if len(rest) == self.outputs else self._accumulated(x, rest[:-1], rest[-1])
        norm = self._clipped()
        self.optimizer.step()
        return loss, *norm

    def _whole(self, x: Tensor, *ys: Tensor) -> Tensor:
        loss = self.forward(x, *ys)
        loss.backward()
        return loss

    def _accumulated(self, x: Tensor, ys: tuple[Tensor, ...], shares: Tensor) -> Tensor:
        """The gradient of one large batch, computed in the memory of a small one."""
        total = shares.new_zeros(())
        for i in range(len(shares)):
            part = slice(i * self._batch_size, (i + 1) * self._batch_size)
            loss = self.forward(x[part], *(y[part] for y in ys))
            loss = loss * shares[i]
            loss.backward()
            total = total + loss.detach()
        return total

    def _clipped(self) -> tuple[Tensor, ...]:
        if self._clip is None:
            return ()
        parameters = list(self.model.parameters())
        if self._clip["norm"] is not None:
            return (clip_grad_norm_(parameters, self._clip["norm"]),)
        assert self._clip["value"] is not None
        norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
        clip_grad_value_(parameters, self._clip["value"])
        return (norm,)
