"""What a model in evaluation gives, the same bits for a sample whatever batch it comes in: training's evaluation and predictions share it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from engine.amp import autocast
from engine.capture import compile
from engine.capture.choice import ANY, AnySize
from engine.dtypes import bfloat16, float32
from engine.kernels.native import native
from engine.nn.module import Module
from engine.ops.join import cat
from engine.tensor import Tensor


def portable(plan: dict[str, int]) -> dict[str, int]:
    """The part of a plan that evaluation depends on, for a model's file."""
    return {key: algorithm for key, algorithm in plan.items() if f" {ANY} " in key}


_ROWS = 32
"""The size of batches where BLAS computes, which goes by it."""


def each(out: Any) -> tuple[Tensor, ...]:
    """The output of a model, or each of several."""
    return tuple(out.values()) if isinstance(out, dict) else (out,)


class Outputs:
    """The output ``(N, ..)`` of a model in evaluation for samples ``(N, ..)``, or each of several, captured and replayed. ``half`` is the device type where products are in bfloat16.

    On the CPU a sample has the same bits in every batch, and in every process that has the same ``plan``, which is added to. (Compiled kernels, which are
    for float32, see to that; where BLAS computes, all batches have one size.)
    """

    def __init__(self, model: Module, half: str | None, plan: dict[str, int]) -> None:
        self.model, self._half = model, half
        parameters = list(model.parameters())
        by_blas = half is not None or native() is None or any(p.dtype is not float32 for p in parameters)
        self._in_parts = by_blas and all(p.device.type == "cpu" for p in parameters)
        self._replayed: Callable[[Tensor], tuple[Tensor, ...]] = compile(self.eager, plan=AnySize(plan))

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        if not self._in_parts:
            return self._replayed(x)
        n = x.shape[0]
        whole = cat([x, x.new_zeros((-n % _ROWS, *x.shape[1:]))], 0)
        parts = [self._replayed(whole[i : i + _ROWS]) for i in range(0, n, _ROWS)]
        return tuple(cat(list(outs), 0)[:n] for outs in zip(*parts, strict=True))

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """Inside, products are in half precision if the spec says so."""
        return autocast(self._half, bfloat16) if self._half else contextlib.nullcontext()

    def eager(self, x: Tensor) -> tuple[Tensor, ...]:
        """The outputs, computed layer by layer."""
        with self.precision():
            outs = each(self.model(x))
        return tuple(out.float() for out in outs) if self._half else outs
