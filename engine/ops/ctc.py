"""Connectionist temporal classification (Graves et al., 2006): how probable a labelling is, over all alignments with the steps of time.

A labelling of S labels is a path of 2 S + 1 places, blanks between and around its labels. A path stays, goes on by one, or by two between
different labels. Everything is computed for all sequences and places at once, a step of time after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import Array, array_module
from engine.dispatch import Op
from engine.graph import apply, differentiable_again

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _log_sum(xp: Any, *terms: Array) -> Array:
    top = terms[0]
    for t in terms[1:]:
        top = xp.maximum(top, t)
    safe = xp.where(xp.isfinite(top), top, 0)
    return xp.where(xp.isfinite(top), xp.log(sum(xp.exp(t - safe) for t in terms)) + safe, top)


def _shifted(xp: Any, x: Array, by: int) -> Array:
    """Places moved on, nothing behind them."""
    out = xp.full_like(x, -np.inf)
    if by > 0:
        out[:, by:] = x[:, :-by]
    else:
        out[:, :by] = x[:, -by:]
    return out


def _kernel(outs: list[Array], log_probs: Array, places: Array, steps: Array, lengths: Array, blank: int) -> None:
    """The losses ``(N)`` and their gradients ``(T, N, C)``; ``places (N, 2 S + 1)`` are the labels with blanks between."""
    loss, gradient = outs
    xp = array_module(loss)
    count, sequences, _ = log_probs.shape
    width = places.shape[1]
    rows, at = xp.arange(sequences)[:, None], xp.arange(width)[None, :]
    nothing = xp.full(places.shape, -np.inf, log_probs.dtype)
    jumps = xp.zeros(places.shape, bool)
    jumps[:, 2:] = (places[:, 2:] != blank) & (places[:, 2:] != places[:, :-2])
    inside, last = at <= 2 * lengths[:, None], 2 * lengths[:, None]
    ends = (at == last) | ((at == last - 1) & (last > 0))
    seen = xp.where(inside[None], log_probs[:, rows, places], -np.inf)
    forward, backward = xp.empty_like(seen), xp.empty_like(seen)
    for t in range(count):
        a = xp.where(at < 2, 0, nothing) if t == 0 else forward[t - 1]
        if t:
            a = _log_sum(xp, a, _shifted(xp, a, 1), xp.where(jumps, _shifted(xp, a, 2), -np.inf))
        live = (t < steps)[:, None]
        forward[t] = xp.where(live, a + seen[t], forward[t - 1] if t else nothing)
    onward = xp.zeros_like(jumps)
    onward[:, :-2] = jumps[:, 2:]
    b = nothing
    for t in range(count - 1, -1, -1):
        b = xp.where(
            (t == steps - 1)[:, None],
            xp.where(ends, 0, nothing),
            _log_sum(xp, b, _shifted(xp, b, -1), xp.where(onward, _shifted(xp, b, -2), -np.inf)),
        )
        b = xp.where((t < steps)[:, None], b + seen[t], nothing)
        backward[t] = b
    final = xp.where(ends, forward[-1], -np.inf)
    likelihood = _log_sum(xp, *[final[:, i] for i in range(width)])
    loss[...] = xp.where(steps > 0, -likelihood, xp.where(lengths > 0, np.inf, 0))
    visited = forward + backward - xp.where(xp.isfinite(seen), seen, 0) - xp.where(xp.isfinite(likelihood), likelihood, 0)[None, :, None]
    used = (xp.arange(count)[:, None] < steps[None, :])[..., None]
    gradient[...] = xp.where(used, xp.exp(log_probs), 0)
    share = xp.where(xp.isfinite(visited) & used, xp.exp(visited), 0)
    for i in range(width):
        gradient[xp.arange(count)[:, None], rows[None, :, 0], places[None, :, i]] -= share[:, :, i]
    gradient[...] = xp.where(xp.isfinite(loss)[None, :, None], gradient, np.nan)


def _vjp(g: Any, k1: Any, zero_infinity: bool) -> Any:
    if differentiable_again():
        raise NotImplementedError("ctc_loss has no derivative of higher order")
    spread = g.reshape(1, -1, 1) * k1
    return spread.where(k1.isfinite(), 0.0) if zero_infinity else spread


_ctc = Op(
    "ctc",
    ["log_probs", "places", "steps", "lengths"],
    infer=lambda log_probs, places, steps, lengths, blank, zero_infinity: [
        ((log_probs.shape[1],), log_probs.dtype),
        (log_probs.shape, log_probs.dtype),
    ],
    kernel=lambda outs, log_probs, places, steps, lengths, blank, zero_infinity: _kernel(outs, log_probs, places, steps, lengths, blank),
    vjps={"log_probs": _vjp},
    adds_up=True,
)


def ctc(log_probs: Tensor, places: Tensor, steps: Tensor, lengths: Tensor, blank: int, zero_infinity: bool) -> Tensor:
    """The losses of ``log_probs (T, N, C)``, of which ``steps (N)`` count, for labels with blanks between them in ``places (N, 2 S + 1)``, of
    which ``lengths (N)`` labels count. Its gradient is that through a softmax, as PyTorch's: up to a constant a step."""
    losses: Tensor = apply(_ctc, log_probs, places, steps, lengths, blank=blank, zero_infinity=zero_infinity)[0]
    return losses.where(losses.isfinite(), 0.0) if zero_infinity else losses


__all__ = ["ctc"]
