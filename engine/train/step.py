"""One step of training: gradients of a batch, or of several added up, clipped, and the optimizer's update. It is recorded once and replayed."""

from __future__ import annotations

import contextlib
from typing import Any

from engine.amp import autocast
from engine.dtypes import bfloat16
from engine.nn.module import Module
from engine.nn.utils import clip_grad_norm_, clip_grad_value_
from engine.nn.utils.clip import get_total_norm
from engine.optim.optimizer import Optimizer
from engine.tensor import Tensor


class Step:
    """``step(x, y)``, or ``step(x, y, shares)`` for several batches at once, of which each loss counts by its share.

    Returns the loss, and the norm of the gradients before clipping where they are clipped.
    """

    def __init__(self, spec: dict[str, Any], model: Module, loss: Module, optimizer: Optimizer, device: Any) -> None:
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self._batch_size: int = spec["data"]["batch_size"]
        self._clip: dict[str, float | None] | None = spec["gradient_clip"]
        self.half = device.type if spec["precision"] == "bfloat16" else None
        self.__qualname__ = "the training step"  # in the log of what is captured

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs and loss, products in half precision if the spec says so."""
        with autocast(self.half, bfloat16) if self.half else contextlib.nullcontext():
            out = self.model(x)
            loss = self.loss_of(out, y)
        return (out.float() if self.half else out), loss

    def loss_of(self, out: Tensor, y: Tensor) -> Tensor:
        """The loss; what is not finite where the outputs are not. BCELoss raises then, as in PyTorch, unless it is captured: either way, training diverged."""
        try:
            return self.loss(out, y)
        except RuntimeError:
            if bool(out.detach().isfinite().all()):
                raise
            return out.mean()

    def __call__(self, x: Tensor, y: Tensor, shares: Tensor | None = None) -> tuple[Tensor, ...]:
        self.optimizer.zero_grad()
        loss = self._whole(x, y) if shares is None else self._accumulated(x, y, shares)
        norm = self._clipped()
        self.optimizer.step()
        return loss, *norm

    def _whole(self, x: Tensor, y: Tensor) -> Tensor:
        _, loss = self.forward(x, y)
        loss.backward()
        return loss

    def _accumulated(self, x: Tensor, y: Tensor, shares: Tensor) -> Tensor:
        """The gradient of one large batch, computed in the memory of a small one."""
        total = shares.new_zeros(())
        for i in range(len(shares)):
            part = slice(i * self._batch_size, (i + 1) * self._batch_size)
            _, loss = self.forward(x[part], y[part])
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
