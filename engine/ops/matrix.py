"""What is computed of matrices by way of their decompositions: norms, ranks, exponentials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.backend import Array, array_module
from engine.dispatch import Op
from engine.dtypes import FLOAT
from engine.graph import apply
from engine.ops.decompose import eigvalsh, floats, inv, mT, square_floats, svdvals
from engine.ops.dims import wrap_dim
from engine.ops.join import cat
from engine.ops.linalg import matmul, square_matrices
from engine.ops.reduce import amax, amin, sum, vector_norm
from engine.ops.shape import expand, movedim, reshape, unsqueeze
from engine.ops.unary import abs

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _pinv_vjp(g: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Golub and Pereyra, "The differentiation of pseudo-inverses", 1973."""
    back, across = mT(g), mT(y)
    if x.shape[-2] <= x.shape[-1]:
        k = matmul(back, y)
        wide = matmul(k, across)
        return -mT(matmul(y, k)) + wide - matmul(matmul(x, y), wide) + matmul(matmul(across, y), back - matmul(k, x))
    k = matmul(y, back)
    tall = matmul(across, k)
    return -mT(matmul(k, y)) + matmul(matmul(back - matmul(x, k), y), across) + tall - matmul(matmul(tall, y), x)


def _pinv_kernel(out: Array, x: Array, atol: Any, rtol: Any, hermitian: bool) -> None:
    la = array_module(x).linalg
    if hermitian:
        s, u = la.eigh(x)
        size, vh = array_module(x).abs(s), u.swapaxes(-1, -2)
    else:
        u, s, vh = la.svd(x, full_matrices=False)
        size = s
    limit = array_module(x).maximum(atol, rtol * size.max(-1))[..., None]
    kept = size > limit
    inverse = array_module(x).where(kept, 1 / array_module(x).where(kept, s, 1), 0)
    out[...] = (vh.swapaxes(-1, -2) * inverse[..., None, :]) @ u.swapaxes(-1, -2)


_pinv: Op = Op(
    "pinv",
    ["x"],
    infer=lambda x, atol, rtol, hermitian: ((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype),
    kernel=_pinv_kernel,
    vjps={"x": _pinv_vjp},
)


def _limits(x: Tensor, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """The tolerances below which a singular value counts as zero, as arrays or numbers."""
    absolute, relative = (v._data if hasattr(v, "_data") else v for v in (atol, rtol))
    if relative is None:
        relative = float(np.finfo(x.dtype.numpy).eps) * max(x.shape[-2:])
        if absolute is not None:
            relative = relative * (absolute <= 0)
    return 0.0 if absolute is None else absolute, relative


def pinv(input: Tensor, rcond: Any = None, hermitian: bool = False, *, rtol: Any = None, atol: Any = None) -> Tensor:
    """The Moore-Penrose inverse; singular values up to ``max(atol, rtol * the greatest)`` count as zero."""
    floats(input, "pinv")
    if input.ndim < 2:
        raise RuntimeError(f"linalg.pinv: expected a tensor with 2 or more dimensions, got {list(input.shape)}")
    if 0 in input.shape:
        return mT(input) * 1
    least, share = _limits(input, atol, rcond if rtol is None else rtol)
    return apply(_pinv, input, atol=least, rtol=share, hermitian=hermitian)


def matrix_rank(input: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Tensor:
    """How many singular values exceed ``max(atol, rtol * the greatest)``."""
    s = abs(eigvalsh(input.detach())) if hermitian else svdvals(input.detach())
    if s.shape[-1] == 0:
        return sum(s, -1).long()
    least, share = _limits(input, tol if atol is None else atol, rtol)
    xp = array_module(s._data)
    limit = xp.maximum(least, share * s._data.max(-1)) if s.numel() else xp.zeros(s.shape[:-1])
    return sum(s > s._wrap(xp.asarray(limit, s.dtype.numpy))[..., None], -1)


def matrix_norm(input: Tensor, ord: Any = "fro", dim: Sequence[int] = (-2, -1), keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """input norm of matrices: "fro", "nuc", inf, -inf, 1, -1, 2 or -2."""
    input = input if dtype is None else input.to(dtype)
    if input.dtype.category != FLOAT:
        raise RuntimeError(f"linalg.matrix_norm: Expected a floating point or complex tensor as input. Got {input.dtype.legacy_name}")
    if input.ndim < 2:
        raise RuntimeError(f"linalg.matrix_norm: The input tensor A must have at least 2 dimensions. Got {input.ndim}.")
    a, b = (wrap_dim(d, input.ndim) for d in dim)
    if a == b:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({dim[0]}, {dim[1]})")
    if ord == "fro":
        return vector_norm(input, 2, (a, b), keepdim)
    if ord in (math.inf, -math.inf, 1, -1):
        rows = math.isinf(ord)
        folded, rest = (b, a) if rows else (a, b)
        totals = sum(abs(input), folded, keepdim=True)
        y = (amax if ord > 0 else amin)(totals, rest, keepdim=True)
        return y if keepdim else y.squeeze((a, b))
    if ord not in ("nuc", 2, -2):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    s = svdvals(movedim(input, (a, b), (-2, -1)))
    y = sum(s, -1) if ord == "nuc" else (amax if ord > 0 else amin)(s, -1)
    return reshape(y, [1 if i in (a, b) else n for i, n in enumerate(input.shape)]) if keepdim else y


def linalg_norm(input: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """input vector's or a matrix's norm, by the number of dimensions named."""
    if dim is None and ord is None:
        return vector_norm(input, 2, None, keepdim, dtype=dtype)
    dims = [dim] if isinstance(dim, int) else dim
    if dims is not None and len(dims) not in (1, 2):
        raise RuntimeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dims)}")
    if dims is None and input.ndim not in (1, 2):
        raise RuntimeError(f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {input.ndim}D.")
    if (dims is None and input.ndim == 2) or (dims is not None and len(dims) == 2 and ord is not None):
        return matrix_norm(input, ord, dims or (0, 1), keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise RuntimeError(f"linalg.norm: Order {ord} not supported for a vector")
    return vector_norm(input, 2 if ord is None else ord, dims, keepdim, dtype=dtype)


def cond(input: Tensor, p: Any = None) -> Tensor:
    """The condition number: of the singular values, or by the norm ``p``."""
    if p in (None, 2, -2):
        s = svdvals(input)
        return s[..., 0] / s[..., -1] if p != -2 else s[..., -1] / s[..., 0]
    square_matrices(input, f"linalg.cond with p={p}")
    return matrix_norm(input, p) * matrix_norm(inv(input), p)


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """Powers ``0 .. N-1`` of each element."""
    x = x if x.ndim else reshape(x, 1)
    n = x.shape[-1] if N is None else N
    if n < 1:
        raise RuntimeError(f"N must be greater than 1. Got {n}")
    ones = unsqueeze(x * 0 + 1, -1)
    powers = expand(unsqueeze(x, -1), (*x.shape, n - 1)).cumprod(-1)
    return cat([ones, powers], -1)


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """Inner products along a dimension."""
    return sum(x * y, dim)


def matrix_exp(input: Tensor) -> Tensor:
    """The exponential of square matrices, by scaling, a Taylor series of degree 18 and squaring."""
    square_floats(input, "matrix_exp")
    if input.shape[-1] == 0:
        return input.clone()
    size = float(matrix_norm(input.detach(), 1).max()) if input.numel() else 0.0
    halvings = max(0, math.ceil(math.log2(size)) + 1) if size > 0.5 else 0
    scaled = input * 0.5**halvings
    term = y = input * 0 + input.new_eye(input.shape[-1])
    for k in range(1, 19):
        term = matmul(term, scaled) / k
        y = y + term
    for _ in range(halvings):
        y = matmul(y, y)
    return y


__all__ = ["matrix_exp", "pinv"]
