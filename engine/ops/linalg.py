"""Matrix products, through BLAS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.backend import array_module
from engine.dispatch import Op, Spec, broadcast_shapes
from engine.dtypes import promote_types
from engine.graph import apply
from engine.ops.elementwise import cast
from engine.ops.reduce import sum as sum_
from engine.ops.shape import reshape, transpose, unsqueeze

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _infer(a: Any, b: Any) -> Spec:
    return (*broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]), a.dtype


_matmul = Op(
    "matmul",
    ["a", "b"],
    infer=_infer,
    kernel=lambda out, a, b: array_module(out).matmul(a, b, out=out),
    vjps={"a": lambda g, b: matmul(g, transpose(b, -1, -2)), "b": lambda g, a: matmul(transpose(a, -1, -2), g)},
    flops=lambda outs, ins, attrs: 2 * outs[0].size * ins[0].shape[-1],
)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """The product of vectors, matrices ``(n, k) (k, m)`` or batches of them, as NumPy's ``@``. Raises RuntimeError on a mismatch."""
    if a.ndim == 0 or b.ndim == 0:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {a.ndim}D and {b.ndim}D")
    d = promote_types(a.dtype, b.dtype)
    left, right = cast(a, d), cast(b, d)
    left = unsqueeze(left, 0) if a.ndim == 1 else left
    right = unsqueeze(right, 1) if b.ndim == 1 else right
    if left.shape[-1] != right.shape[-2]:
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({'x'.join(map(str, a.shape))} and {'x'.join(map(str, b.shape))})")
    y: Tensor = apply(_matmul, left, right)
    if a.ndim == 1 or b.ndim == 1:
        kept = list(y.shape[:-2]) + ([y.shape[-2]] if a.ndim > 1 else []) + ([y.shape[-1]] if b.ndim > 1 else [])
        y = reshape(y, kept)
    return y


def _ranked(name: str, rank: int) -> Any:
    def product(a: Tensor, b: Tensor) -> Tensor:
        for x in (a, b):
            if x.ndim != rank:
                raise RuntimeError(f"{name}: expected tensors of {rank} dimension(s), got {a.ndim}D and {b.ndim}D")
        return matmul(a, b)

    product.__name__ = product.__qualname__ = name
    product.__doc__ = f"``matmul`` of two {rank}-dimensional tensors."
    return product


dot, mm, bmm = _ranked("dot", 1), _ranked("mm", 2), _ranked("bmm", 3)


def mv(a: Tensor, x: Tensor) -> Tensor:
    return matmul(a, x)


def outer(a: Tensor, b: Tensor) -> Tensor:
    return unsqueeze(a, 1) * unsqueeze(b, 0)


def addmm(c: Tensor, a: Tensor, b: Tensor, beta: float = 1, alpha: float = 1) -> Tensor:
    """``beta * c + alpha * (a @ b)``."""
    product = mm(a, b)
    return (c if beta == 1 else c * beta) + (product if alpha == 1 else product * alpha)


def trace(x: Tensor) -> Tensor:
    n = min(x.shape)
    index = list(range(n))
    return sum_(x[index, index])


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x W^T + b``: ``(*, in)`` with ``(out, in)`` and ``(out)`` to ``(*, out)``."""
    if x.shape[-1:] != weight.shape[-1:]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({'x'.join(map(str, x.shape))} and {weight.shape[-1]}x{weight.shape[0] if weight.ndim > 1 else 1}): linear expects {weight.shape[-1]} features in the last dimension, got {x.shape[-1] if x.ndim else 'a number'}"
        )
    rows = x if x.ndim <= 2 else reshape(x, (-1, x.shape[-1]))
    y = matmul(rows, transpose(weight, 0, 1) if weight.ndim > 1 else weight)
    if x.ndim > 2:
        y = reshape(y, (*x.shape[:-1], *weight.shape[:-1]))
    return y if bias is None else y + bias
