"""Less memory for more time (``torch.utils.checkpoint``): what happened inside of a function is forgotten, and computed again for the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from engine.creation import zeros
from engine.custom import Function
from engine.graph import backward
from engine.modes import enable_grad, no_grad
from engine.nn.container import Sequential
from engine.ops.random import get_rng_state, set_rng_state
from engine.tensor import Tensor


class _Forgotten(Function):
    @staticmethod
    def forward(ctx: Any, function: Callable[..., Any], preserves: bool, *args: Any) -> Any:
        ctx.function, ctx.state = function, get_rng_state() if preserves else None
        ctx.places = [i for i, a in enumerate(args) if isinstance(a, Tensor)]
        ctx.others = [None if isinstance(a, Tensor) else a for a in args]
        ctx.save_for_backward(*(args[i] for i in ctx.places))
        with no_grad():
            return function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        args = list(ctx.others)
        for i, x in zip(ctx.places, ctx.saved_tensors, strict=True):
            args[i] = x.detach().requires_grad_(x.requires_grad)
        now = get_rng_state()
        try:
            if ctx.state is not None:
                set_rng_state(ctx.state)
            with enable_grad():
                made = ctx.function(*args)
        finally:
            set_rng_state(now)
        results = made if isinstance(made, tuple) else (made,)
        pairs = [(y, g) for y, g in zip(results, grads, strict=True) if isinstance(y, Tensor) and y.requires_grad]
        if pairs:
            backward([y for y, _ in pairs], [g for _, g in pairs])
        return None, None, *(a.grad if isinstance(a, Tensor) else None for a in args)


def checkpoint(
    function: Callable[..., Any], *args: Any, use_reentrant: bool | None = None, preserve_rng_state: bool = True, **kwargs: Any
) -> Any:
    """``function(*args, **kwargs)``, which runs again in the backward pass, with the same random numbers; nothing between its arguments and results is kept.

    The function's parameters get their gradients from a backward pass of its own: ``autograd.grad`` by them finds none.
    """

    def computed(*given: Any) -> Any:
        return function(*given[:-1], **kwargs)

    always = zeros(()).requires_grad_()  # so that there is a backward pass where only parameters need one
    return _Forgotten.apply(computed, preserve_rng_state, *args, always)


def checkpoint_sequential(functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any) -> Any:
    """The functions one after the other, in so many parts of which each but the last is a ``checkpoint``."""
    steps: Sequence[Any] = list(functions.children()) if isinstance(functions, Sequential) else list(functions)
    size = len(steps) // segments
    at = 0
    for _ in range(segments - 1):
        input = checkpoint(_chained(steps[at : at + size]), input, use_reentrant=use_reentrant, **kwargs)
        at += size
    return _chained(steps[at:])(input)


def _chained(steps: Sequence[Any]) -> Callable[[Any], Any]:
    def run(x: Any) -> Any:
        for step in steps:
            x = step(x)
        return x

    return run


__all__ = ["checkpoint", "checkpoint_sequential"]
