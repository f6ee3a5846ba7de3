"""The base of distributions, and what they check their parameters with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from engine.creation import as_tensor
from engine.modes import no_grad
from engine.ops.join import broadcast_tensors
from engine.tensor import Size, Tensor


class Distribution:
    """``sample`` draws without gradients, ``rsample``, where there is one, with them; ``log_prob`` and ``entropy`` have gradients.

    A sample has the shape ``sample_shape + batch_shape + event_shape``: ``batch_shape`` counts distributions, ``event_shape`` is that of one draw.
    """

    batch_shape = Size(())
    event_shape = Size(())
    has_rsample = False
    mean: Any
    mode: Any
    variance: Any

    @property
    def stddev(self) -> Tensor:
        deviation: Tensor = self.variance.sqrt()
        return deviation

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """A sample through which gradients reach the parameters. Raises NotImplementedError where there is none."""
        raise NotImplementedError(f"{type(self).__name__} has no rsample")

    def sample_n(self, n: int) -> Tensor:
        return self.sample((n,))

    def log_prob(self, value: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no log_prob")

    def cdf(self, value: Tensor) -> Tensor:
        """How probable a draw of at most ``value`` is."""
        raise NotImplementedError(f"{type(self).__name__} has no cdf")

    def icdf(self, value: Tensor) -> Tensor:
        """The draw that ``cdf`` gives ``value`` for."""
        raise NotImplementedError(f"{type(self).__name__} has no icdf")

    def entropy(self) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no entropy")

    def perplexity(self) -> Tensor:
        return self.entropy().exp()

    def _shape(self, sample_shape: Any) -> tuple[int, ...]:
        return (*sample_shape, *self.batch_shape, *self.event_shape)

    def __repr__(self) -> str:
        own = {k: v for k, v in vars(self).items() if isinstance(v, Tensor) and not k.startswith("_")}
        return f"{type(self).__name__}({', '.join(f'{k}: {v if v.ndim == 0 else v.shape}' for k, v in own.items())})"


def parameters(*given: Any) -> Any:
    """Numbers and tensors as tensors of one shape."""
    tensors = [g for g in given if isinstance(g, Tensor)]
    like = tensors[0] if tensors else as_tensor(0.0)
    made = [g if isinstance(g, Tensor) else as_tensor(g, dtype=like.dtype, device=like.device) for g in given]
    return broadcast_tensors(*made)


_CONSTRAINTS: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "positive": (lambda x: x > 0, "GreaterThan(lower_bound=0.0)"),
    "real": (lambda x: x == x, "Real()"),
    "probability": (lambda x: (x >= 0) & (x <= 1), "Interval(lower_bound=0.0, upper_bound=1.0)"),
    "simplex": (lambda x: x >= 0, "Simplex()"),
}


def expect(kind: str, **named: Tensor) -> None:
    """Raises ValueError for a parameter that breaks a constraint: ``positive``, ``real``, ``probability``, ``simplex``."""
    holds, words = _CONSTRAINTS[kind]
    for name, x in named.items():
        if not bool(holds(x.detach()).all()):
            raise ValueError(
                f"Expected parameter {name} (Tensor of shape {tuple(x.shape)}) to satisfy the constraint {words}, but found invalid values:\n{x}"
            )


def one_of(probs: Any, logits: Any) -> None:
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")


def clamped(probs: Tensor) -> Tensor:
    """Probabilities away from 0 and 1 by the dtype's eps, so that their logarithms are finite."""
    eps = 1.1920928955078125e-07 if probs.dtype.itemsize == 4 else 2.220446049250313e-16
    return probs.clamp(eps, 1 - eps)


LOG_2PI = math.log(2 * math.pi)

__all__ = ["LOG_2PI", "Distribution", "clamped", "expect", "one_of", "parameters"]
