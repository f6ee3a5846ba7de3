"""The softmax family and picking the target's logarithm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.backend import Array, array_module
from engine.dispatch import Op
from engine.dtypes import FLOAT, dtype, get_default_dtype
from engine.graph import apply
from engine.ops.dims import wrap_dim
from engine.ops.elementwise import cast
from engine.ops.reduce import sum as sum_
from engine.ops.unary import exp

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
        name, ["x"], infer=lambda x, dim: (x.shape, x.dtype), kernel=kernel, vjps={"x": vjp}, flops=lambda outs, ins, attrs: 4 * ins[0].size
    )


_softmax = _register("softmax", _softmax_kernel, lambda g, y, dim: y * (g - sum_(g * y, dim, keepdim=True)))
_log_softmax = _register("log_softmax", _log_softmax_kernel, lambda g, y, dim: g - exp(y) * sum_(g, dim, keepdim=True))


def _apply(op: Op, x: Tensor, dim: int) -> Tensor:
    if x.dtype.category != FLOAT:
        x = cast(x, get_default_dtype())
    return apply(op, x, dim=wrap_dim(dim, x.ndim)) if x.numel() and x.ndim else exp(x * 0) if op is _softmax else x * 0


def softmax(input: Tensor, dim: int = -1, dtype: dtype | None = None) -> Tensor:
    """``exp(x) / sum(exp(x))`` along ``dim``, without overflow."""
    return _apply(_softmax, input if dtype is None else cast(input, dtype), dim)


def log_softmax(x: Tensor, dim: int = -1, dtype: dtype | None = None) -> Tensor:
    """``log(softmax(x))``, without its loss of precision."""
    return _apply(_log_softmax, x if dtype is None else cast(x, dtype), dim)


__all__ = ["log_softmax", "softmax"]
