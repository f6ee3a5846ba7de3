"""The softmax family and picking the target's logarithm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import Array, array_module
from engine.dispatch import Op, run
from engine.dtypes import FLOAT, dtype
from engine.graph import apply, differentiable_again
from engine.ops.dims import wrap_dim
from engine.ops.elementwise import cast, elementwise, promoted, where
from engine.ops.reduce import sum as sum_
from engine.ops.unary import exp, log, log1p

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _softmax_kernel(out: Array, x: Array, dim: int) -> None:
    xp = array_module(out)
    xp.subtract(x, xp.max(x, axis=dim, keepdims=True), out=out)
    xp.exp(out, out=out)
    xp.divide(out, xp.sum(out, axis=dim, keepdims=True), out=out)


def _log_softmax_kernel(out: Array, x: Array, dim: int) -> None:
    xp = array_module(out)
    xp.subtract(x, xp.max(x, axis=dim, keepdims=True), out=out)
    xp.subtract(out, xp.log(xp.sum(xp.exp(out), axis=dim, keepdims=True)), out=out)


def _register(name: str, kernel: Any, vjp: Any) -> Op:
    return Op(
        name,
        ["x"],
        infer=lambda x, dim: (x.shape, x.dtype),
        kernel=kernel,
        vjps={"x": vjp},
        adds_up=True,
        flops=lambda outs, ins, attrs: 4 * ins[0].size,
    )


def _gradient(name: str, formula: Any) -> Any:
    """A derivative by its formula, and as one op where nobody differentiates it again."""

    def kernel(out: Array, g: Array, y: Array, dim: int) -> None:
        xp = array_module(out)
        out[...] = formula(g, y, dim, xp.exp, lambda x, dim, keepdim: xp.sum(x, axis=dim, keepdims=keepdim))

    op = Op(
        name,
        ["g", "y"],
        infer=lambda g, y, dim: (y.shape, y.dtype),
        kernel=kernel,
        adds_up=True,
        flops=lambda outs, ins, attrs: 4 * ins[0].size,
    )

    def vjp(g: Any, y: Any, dim: int) -> Any:
        return formula(g, y, dim, exp, sum_) if differentiable_again() else apply(op, g, y, dim=dim)

    return vjp


_softmax = _register(
    "softmax", _softmax_kernel, _gradient("softmax_gradient", lambda g, y, dim, exp, sum: y * (g - sum(g * y, dim, keepdim=True)))
)
_log_softmax = _register(
    "log_softmax",
    _log_softmax_kernel,
    _gradient("log_softmax_gradient", lambda g, y, dim, exp, sum: g - exp(y) * sum(g, dim, keepdim=True)),
)


# -- cross-entropy of probabilities

LEAST_LOG = -100.0
"""Where logarithms end: a loss of probabilities is finite at 0 and 1."""

_bce = elementwise(
    "binary_cross_entropy",
    "x target",
    lambda m, x, target: (target - 1) * m.maximum(m.log1p(-x), LEAST_LOG) - target * m.maximum(m.log(x), LEAST_LOG),
    x=lambda g, x, target: g * (x - target) / ((1 - x) * x).clamp(min=1e-12),
    target=lambda g, x: g * (log1p(-x).clamp(min=LEAST_LOG) - log(x).clamp(min=LEAST_LOG)),
)


def probability_cross_entropy(x: Tensor, target: Tensor) -> Tensor:
    """Each element's cross-entropy with a probability; its gradient is finite where ``x`` is 0 or 1, as PyTorch's is."""
    return promoted(_bce, x, target)


# -- cross-entropy with class numbers


def _shares(xp: Any, x: Array) -> Array:
    e = xp.exp(x - xp.max(x, axis=1, keepdims=True))
    return e / xp.sum(e, axis=1, keepdims=True)


def _cross_entropy_kernel(outs: list[Array], x: Array, target: Array, ignore_index: int, mean: bool) -> None:
    loss, counted = outs
    xp = array_module(x)
    kept, safe = _classes(target, x.shape[1], ignore_index)
    top = xp.max(x, axis=1)
    logs = xp.log(xp.sum(xp.exp(x - top[:, None]), axis=1)) + top
    each = xp.where(kept, logs - xp.take_along_axis(x, safe[:, None], 1)[:, 0], 0)
    counted[...] = kept.sum()
    loss[...] = each.sum() / (counted if mean else 1)


def _classes(target: Array, classes: int, ignore_index: int) -> tuple[Array, Array]:
    """Which targets count, and all of them as class numbers. Raises IndexError where the host can see one that is none."""
    kept = target != ignore_index
    safe = array_module(target).where(kept, target, 0)
    if isinstance(safe, np.ndarray) and safe.size and not (int(safe.min()) >= 0 and int(safe.max()) < classes):
        raise _out_of_bounds(safe, classes)
    return kept, safe


def _out_of_bounds(target: Array, classes: int) -> IndexError:
    """The error for a class number that is none."""
    bad = next(int(t) for t in target.ravel() if not 0 <= t < classes)
    return IndexError(f"Target {bad} is out of bounds: the input has {classes} classes.")


def _cross_entropy_vjp(g: Any, x: Any, target: Any, k1: Any, ignore_index: int, mean: bool) -> Any:
    if not differentiable_again():
        return apply(_cross_entropy_data, g, x, target, k1, ignore_index=ignore_index, mean=mean)
    kept = (target != ignore_index).unsqueeze(1)
    hot = cast(target.unsqueeze(1) == x.new_tensor(np.arange(x.shape[1]), dtype=target.dtype), x.dtype)
    return where(kept, (softmax(x, 1) - hot) * (g / sum_(cast(kept, x.dtype)) if mean else g), 0)


def _cross_entropy_data_kernel(out: Array, g: Array, x: Array, target: Array, counted: Array, ignore_index: int, mean: bool) -> None:
    xp = array_module(x)
    kept = (target != ignore_index)[:, None]
    hot = target[:, None] == xp.arange(x.shape[1])
    out[...] = xp.where(kept, (_shares(xp, x) - hot) * (g / (counted if mean else 1)), 0)


_cross_entropy = Op(
    "cross_entropy",
    ["x", "target"],
    infer=lambda x, target, ignore_index, mean: [((), x.dtype), ((), x.dtype)],
    kernel=_cross_entropy_kernel,
    adds_up=True,
    vjps={"x": _cross_entropy_vjp},
    flops=lambda outs, ins, attrs: 4 * ins[0].size,
)
_cross_entropy_data = Op(
    "cross_entropy_data",
    ["g", "x", "target", "counted"],
    infer=lambda g, x, target, counted, ignore_index, mean: (x.shape, x.dtype),
    kernel=_cross_entropy_data_kernel,
    adds_up=True,
    flops=lambda outs, ins, attrs: 5 * ins[1].size,
)


def class_cross_entropy(x: Tensor, target: Tensor, ignore_index: int, mean: bool) -> Tensor:
    """The mean or sum of ``-log softmax(x)[target]`` of logits ``(N, C)`` and int64 classes ``(N)``. Raises IndexError for a class that is none."""
    loss: Tensor = apply(_cross_entropy, x, target, ignore_index=ignore_index, mean=mean)[0]
    return loss


# -- what stands at a class


def _picked_kernel(out: Array, x: Array, target: Array, ignore_index: int) -> None:
    xp = array_module(x)
    kept, safe = _classes(target, x.shape[1], ignore_index)
    out[...] = xp.where(kept, xp.take_along_axis(x, safe[:, None], 1)[:, 0], 0)


def _picked_data_kernel(out: Array, g: Array, target: Array, shape: tuple[int, ...], ignore_index: int) -> None:
    xp = array_module(g)
    hot = target[:, None] == xp.arange(shape[1]).reshape(-1, *(1,) * (target.ndim - 1))
    out[...] = xp.where(hot & (target != ignore_index)[:, None], g[:, None], 0)


_picked: Op = Op(
    "picked",
    ["x", "target"],
    infer=lambda x, target, ignore_index: (target.shape, x.dtype),
    kernel=_picked_kernel,
    adds_up=True,
    vjps={"x": lambda g, target, x_shape, ignore_index: apply(_picked_data, g, target, shape=x_shape, ignore_index=ignore_index)},
)
_picked_data: Op = Op(
    "picked_data",
    ["g", "target"],
    infer=lambda g, target, shape, ignore_index: (shape, g.dtype),
    kernel=_picked_data_kernel,
    adds_up=True,
    vjps={"g": lambda g, target, ignore_index: apply(_picked, g, target, ignore_index=ignore_index)},
)


def picked(x: Tensor, target: Tensor, ignore_index: int) -> Tensor:
    """What ``x (N, C, ...)`` has at int64 classes ``(N, ...)``; 0 where the class is to be ignored. Raises IndexError for a class that is none."""
    found: Tensor = apply(_picked, x, target, ignore_index=ignore_index)
    return found


def _squares_kernel(out: Array, x: Array, target: Array, mean: bool) -> None:
    d = (x - target).reshape(-1)
    out[...] = (d * d).sum() / (d.size if mean else 1)


def _scale(x: Array, mean: bool) -> float:
    return 2 / x.size if mean else 2.0


def _squares_vjp(g: Any, x: Any, target: Any, mean: bool) -> Any:
    return (x - target) * (g * _scale(x._data, mean))


_squares = Op(
    "squares",
    ["x", "target"],
    infer=lambda x, target, mean: ((), x.dtype),
    kernel=_squares_kernel,
    adds_up=True,
    vjps={"x": _squares_vjp, "target": lambda g, x, target, mean: -_squares_vjp(g, x, target, mean)},
    arrays={
        "x": lambda g, x, target, mean: run(_squares_gradient, (g, x, target), {"scale": _scale(x, mean)})[0],
        "target": lambda g, x, target, mean: run(_squares_gradient, (g, x, target), {"scale": -_scale(x, mean)})[0],
    },
    flops=lambda outs, ins, attrs: 3 * ins[0].size,
)
_squares_gradient: Op = elementwise("squares_gradient", "g x target", lambda m, g, x, target, scale: (x - target) * (g * scale))


def squared_distance(x: Tensor, target: Tensor, mean: bool) -> Tensor:
    """The mean or sum of ``(x - target)^2`` of floats of one shape and dtype."""
    loss: Tensor = apply(_squares, x, target, mean=mean)
    return loss


def _apply(op: Op, x: Tensor, dim: int) -> Tensor:
    if x.dtype.category != FLOAT:
        raise NotImplementedError(f"\"{op.name}\" not implemented for '{x.dtype.legacy_name}': make it a float, or name a dtype")
    return apply(op, x, dim=wrap_dim(dim, x.ndim)) if x.numel() and x.ndim else exp(x * 0) if op is _softmax else x * 0


def softmax(input: Tensor, dim: int = -1, dtype: dtype | None = None) -> Tensor:
    """``exp(x) / sum(exp(x))`` along ``dim``, without overflow."""
    return _apply(_softmax, input if dtype is None else cast(input, dtype), dim)


def log_softmax(x: Tensor, dim: int = -1, dtype: dtype | None = None) -> Tensor:
    """``log(softmax(x))``, without its loss of precision."""
    return _apply(_log_softmax, x if dtype is None else cast(x, dtype), dim)


__all__ = ["log_softmax", "softmax"]  # what users see; losses are in nn.functional
