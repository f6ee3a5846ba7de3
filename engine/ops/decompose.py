"""Inverses, determinants and decompositions of matrices, by LAPACK through NumPy (``torch.linalg``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine.backend import Array, array_module
from engine.dispatch import Op, broadcast_shapes
from engine.dtypes import FLOAT
from engine.graph import apply
from engine.ops.dims import wrap_dim
from engine.ops.elementwise import where
from engine.ops.join import cat
from engine.ops.linalg import matmul, square_matrices
from engine.ops.order import tril, triu
from engine.ops.reduce import amax, amin, sum, vector_norm
from engine.ops.shape import diagonal, expand, movedim, reshape, transpose, unsqueeze
from engine.ops.unary import abs

if TYPE_CHECKING:
    from engine.tensor import Tensor


class LinAlgError(RuntimeError):
    """A matrix that has no such inverse or decomposition (``torch.linalg.LinAlgError``)."""


class Slogdet(NamedTuple):
    sign: Tensor
    logabsdet: Tensor


class QR(NamedTuple):
    Q: Tensor
    R: Tensor


class SVD(NamedTuple):
    U: Tensor
    S: Tensor
    Vh: Tensor


class Eigh(NamedTuple):
    eigenvalues: Tensor
    eigenvectors: Tensor


def _lapack(name: str, function: Callable[[Any], Any]) -> Callable[..., Any]:
    """A NumPy routine with the error of PyTorch where it fails."""

    def computed(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(array_module(args[0]).linalg)(*args, **kwargs)
        except np.linalg.LinAlgError as error:
            raise LinAlgError(f"linalg.{name}: {error}") from None

    return computed


def _floating(x: Tensor, name: str) -> None:
    if x.dtype.name not in ("float32", "float64"):
        raise RuntimeError(f"linalg.{name}: Expected a floating point or complex tensor as input. Got {x.dtype.legacy_name}")


def _square(x: Tensor, name: str) -> None:
    square_matrices(x, f"linalg.{name}")
    _floating(x, name)


def _mT(x: Tensor) -> Tensor:
    return transpose(x, -1, -2)


# -- inverses and solutions

_inv: Op = Op(
    "inv",
    ["x"],
    infer=lambda x: (x.shape, x.dtype),
    kernel=lambda out, x: out.__setitem__(..., _lapack("inv", lambda la: la.inv)(x)),
    vjps={"x": lambda g, y: -matmul(_mT(y), matmul(g, _mT(y)))},
)
_solve: Op = Op(
    "solve",
    ["a", "b"],
    infer=lambda a, b: (b.shape, b.dtype),
    kernel=lambda out, a, b: out.__setitem__(..., _lapack("solve", lambda la: la.solve)(a, b)),
    vjps={"a": lambda g, a, y: -matmul(apply(_solve, _mT(a), g), _mT(y)), "b": lambda g, a: apply(_solve, _mT(a), g)},
)


def inv(x: Tensor) -> Tensor:
    """The inverses of square matrices ``(*, n, n)``. Raises LinAlgError for a singular one."""
    _square(x, "inv")
    return apply(_inv, x)


def solve(a: Tensor, b: Tensor, *, left: bool = True) -> Tensor:
    """``x`` with ``a x = b`` (``x a = b`` unless ``left``): ``(*, n, n)`` with ``(*, n)`` or ``(*, n, k)``."""
    _square(a, "solve")
    if a.dtype is not b.dtype:
        raise RuntimeError(f"linalg.solve: Expected A and B to have the same dtype, but found A of type {a.dtype.legacy_name} and B of type {b.dtype.legacy_name} instead")
    vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1])
    if vector and not left:
        raise RuntimeError("linalg.solve: Vector broadcasting of the left hand side is not supported for left=False.")
    right = unsqueeze(b, -1) if vector else b
    if not left:
        return _mT(solve(_mT(a), _mT(right)))
    if right.ndim < 2 or right.shape[-2] != a.shape[-1]:
        raise RuntimeError(f"linalg.solve: Incompatible shapes of A and B for the equation AX = B ({list(a.shape)} and {list(b.shape)})")
    batch = broadcast_shapes(a.shape[:-2], right.shape[:-2])
    y = apply(_solve, expand(a, (*batch, *a.shape[-2:])), expand(right, (*batch, *right.shape[-2:])))
    return y.squeeze(-1) if vector else y


def solve_triangular(a: Tensor, b: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    """``x`` with ``a x = b``, of which only the upper (or lower) triangle of ``a`` counts."""
    _square(a, "solve_triangular")
    part = triu(a, 1) if upper else tril(a, -1)
    main = diagonal(a, 0, -2, -1)
    part = part + (main * 0 + 1 if unitriangular else main).diag_embed()
    return solve(part, b, left=left)


def det(x: Tensor) -> Tensor:
    """The determinants of square matrices."""
    _square(x, "det")
    return apply(_det, x)


def _det_vjp(g: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """``g det(x) inv(x)^T``; of a singular matrix the cofactors, by its singular values."""
    wide = unsqueeze(unsqueeze(g, -1), -1)
    if bool((abs(y) > 1e-12).all()):
        return wide * unsqueeze(unsqueeze(y, -1), -1) * _mT(inv(x))
    u, s, vh = svd(x)
    n = s.shape[-1]
    rows = unsqueeze(s, -2).expand((*s.shape[:-1], n, n))
    others = where(rows.new_eye(n).bool(), 1.0, rows).prod(-1)
    return wide * unsqueeze(unsqueeze(apply(_det, u) * apply(_det, vh), -1), -1) * matmul(u * unsqueeze(others, -2), vh)


_det: Op = Op(
    "det",
    ["x"],
    infer=lambda x: (x.shape[:-2], x.dtype),
    kernel=lambda out, x: out.__setitem__(..., array_module(x).linalg.det(x)),
    vjps={"x": _det_vjp},
)


def _slogdet_kernel(outs: list[Array], x: Array) -> None:
    logabs, sign = outs
    sign[...], logabs[...] = array_module(x).linalg.slogdet(x)


_slogdet: Op = Op(
    "slogdet",
    ["x"],
    infer=lambda x: [(x.shape[:-2], x.dtype), (x.shape[:-2], x.dtype)],
    kernel=_slogdet_kernel,
    vjps={"x": lambda g, x: unsqueeze(unsqueeze(g, -1), -1) * _mT(inv(x))},
)


def slogdet(x: Tensor) -> Slogdet:
    """(sign, logarithm of the magnitude) of the determinants."""
    _square(x, "slogdet")
    logabs, sign = apply(_slogdet, x)
    return Slogdet(sign, logabs)


def logdet(x: Tensor) -> Tensor:
    """The logarithm of the determinant; NaN where it is negative."""
    sign, logabs = slogdet(x)
    return where(sign < 0, math.nan, logabs)


# -- decompositions


def _half(x: Tensor) -> Tensor:
    """The lower triangle with half the diagonal."""
    return tril(x) - (diagonal(x, 0, -2, -1) * 0.5).diag_embed()


def _cholesky_vjp(g: Tensor, y: Tensor) -> Tensor:
    """Murray, "Differentiation of the Cholesky decomposition", 2016."""
    inner = _half(matmul(_mT(y), tril(g)))
    inverse = inv(y)
    s = matmul(_mT(inverse), matmul(inner, inverse))
    return (s + _mT(s)) * 0.5


_cholesky: Op = Op(
    "cholesky",
    ["x"],
    infer=lambda x: (x.shape, x.dtype),
    kernel=lambda out, x: out.__setitem__(..., _lapack("cholesky", lambda la: la.cholesky)(x)),
    vjps={"x": _cholesky_vjp},
)


def cholesky(x: Tensor, upper: bool = False) -> Tensor:
    """The lower (or upper) triangular factor of symmetric positive definite matrices."""
    _square(x, "cholesky")
    factor: Tensor = apply(_cholesky, x)
    return _mT(factor) if upper else factor


def _factors(name: str, x: Tensor, *names: str) -> list[Tensor]:
    """The factors that LAPACK finds, unrecorded: their derivatives are written around them."""
    results = _lapack(name, lambda la: getattr(la, name))(x._data, *names)
    return [x._wrap(np.ascontiguousarray(r) if isinstance(r, np.ndarray) else r) for r in results]


def qr(x: Tensor, mode: Any = "reduced") -> QR:
    """``x = Q R`` with orthonormal ``Q`` and upper triangular ``R``; ``mode`` "reduced", "complete" or "r"."""
    mode = {True: "reduced", False: "complete"}.get(mode, mode)
    _floating(x, "qr")
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'")
    if x.ndim < 2:
        raise RuntimeError("linalg.qr: The input tensor A must have at least 2 dimensions.")
    if x.requires_grad:
        return _recorded_qr(x, mode)
    if mode == "r":
        return QR(x.new_zeros(0), x._wrap(np.asarray(_lapack("qr", lambda la: la.qr)(x._data, "r"))))
    return QR(*_factors("qr", x, mode))


def _recorded_qr(x: Tensor, mode: str) -> QR:
    """The factors as functions of ``x``, through the Cholesky factor of ``x^T x`` with LAPACK's signs."""
    if mode == "r":
        raise RuntimeError("The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use linalg.qr(A, mode='reduced') if you are going to require gradients wrt. Q or R.")
    m, n = x.shape[-2:]
    if mode == "complete" and m > n:
        raise RuntimeError("The QR decomposition is not differentiable when mode='complete' and nrows > ncols.")
    q, r = _factors("qr", x.detach(), "reduced")
    k = min(m, n)
    head = x[..., :, :k]
    signs = diagonal(r, 0, -2, -1).sign()
    upper = cholesky(matmul(_mT(head), head), upper=True) * unsqueeze(signs, -1)
    q = matmul(head, inv(upper))
    return QR(q, upper if n == k else cat([upper, matmul(_mT(q), x[..., :, k:])], -1))


def eigh(x: Tensor, UPLO: str = "L") -> Eigh:
    """Eigenvalues, ascending, and eigenvectors of symmetric matrices, of which one triangle is read."""
    _square(x, "eigh")
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    values, vectors = apply(_eigh, x, uplo=UPLO.upper())
    return Eigh(values, vectors)


def eigvalsh(x: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of symmetric matrices, ascending."""
    return eigh(x, UPLO).eigenvalues


def _eigh_kernel(outs: list[Array], x: Array, uplo: str) -> None:
    outs[0][...], outs[1][...] = _lapack("eigh", lambda la: la.eigh)(x, uplo)


_eigh: Op = Op(
    "eigh",
    ["x"],
    infer=lambda x, uplo: [(x.shape[:-1], x.dtype), (x.shape, x.dtype)],
    kernel=_eigh_kernel,
    vjps={"x": lambda g, y1: matmul(y1 * unsqueeze(g, -2), _mT(y1))},
)


def svd(x: Tensor, full_matrices: bool = True) -> SVD:
    """``x = U diag(S) Vh``, singular values descending. The factors carry no gradient; ``svdvals`` does."""
    _floating(x, "svd")
    if x.ndim < 2:
        raise RuntimeError(f"linalg.svd: input should have at least 2 dimensions, but has {x.ndim} dimensions instead")
    if x.requires_grad:
        raise NotImplementedError("gradients through the factors of svd; svdvals has gradients")
    u, s, vh = _lapack("svd", lambda la: la.svd)(x._data, full_matrices)
    return SVD(*(x._wrap(np.ascontiguousarray(p) if isinstance(p, np.ndarray) else p) for p in (u, s, vh)))


def svd_(x: Tensor, some: bool = True, compute_uv: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """``x = U diag(S) V^T`` under PyTorch's older name, with ``V`` not transposed."""
    u, s, vh = svd(x, full_matrices=not some)
    return u, s, _mT(vh)


def _svdvals_kernel(outs: list[Array], x: Array) -> None:
    u, s, vh = array_module(x).linalg.svd(x, full_matrices=False)
    outs[0][...], outs[1][...], outs[2][...] = s, u, vh


def _svd_infer(x: Any) -> Any:
    k = min(x.shape[-2:])
    return [((*x.shape[:-2], k), x.dtype), ((*x.shape[:-1], k), x.dtype), ((*x.shape[:-2], k, x.shape[-1]), x.dtype)]


_svdvals: Op = Op(
    "svdvals", ["x"], infer=_svd_infer, kernel=_svdvals_kernel, vjps={"x": lambda g, y1, y2: matmul(y1 * unsqueeze(g, -2), y2)}
)


def svdvals(x: Tensor) -> Tensor:
    """The singular values, descending."""
    _floating(x, "svdvals")
    values: Tensor = apply(_svdvals, x)[0]
    return values


def pinv(x: Tensor, rcond: float | None = None, hermitian: bool = False, *, rtol: float | None = None, atol: float | None = None) -> Tensor:
    """The Moore-Penrose inverse; singular values below a share ``rcond`` of the greatest count as zero."""
    _floating(x, "pinv")
    if x.ndim < 2:
        raise RuntimeError(f"linalg.pinv: expected a tensor with 2 or more dimensions, got {list(x.shape)}")
    if 0 in x.shape:
        return _mT(x)
    limit = rcond if rcond is not None else rtol if rtol is not None else np.finfo(x.dtype.numpy).eps * max(x.shape[-2:])
    if x.requires_grad:
        tall = x.shape[-2] >= x.shape[-1]
        gram = matmul(_mT(x), x) if tall else matmul(x, _mT(x))
        return matmul(inv(gram), _mT(x)) if tall else matmul(_mT(x), inv(gram))
    u, s, vh = svd(x, full_matrices=False)
    least = s[..., :1] * limit if atol is None else s[..., :1] * limit + atol
    return matmul(_mT(vh) * unsqueeze(where(s > least, 1 / s, 0), -2), _mT(u))


def matrix_rank(x: Tensor, *, atol: float | None = None, rtol: float | None = None, hermitian: bool = False) -> Tensor:
    """How many singular values exceed ``max(atol, rtol * the greatest)``."""
    s = abs(eigvalsh(x.detach())) if hermitian else svdvals(x.detach())
    if s.shape[-1] == 0:
        return s.sum(-1).long()
    relative = rtol if rtol is not None else (0 if atol else np.finfo(x.dtype.numpy).eps * max(x.shape[-2:]))
    limit = (amax(s, -1, keepdim=True) * relative).clamp(min=atol or 0.0)
    return sum(s > limit, -1)


def matrix_norm(x: Tensor, ord: Any = "fro", dim: Sequence[int] = (-2, -1), keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """A norm of matrices: "fro", "nuc", inf, -inf, 1, -1, 2 or -2."""
    x = x if dtype is None else x.to(dtype)
    if x.dtype.category != FLOAT:
        raise RuntimeError(f"linalg.matrix_norm: Expected a floating point or complex tensor as input. Got {x.dtype.legacy_name}")
    if x.ndim < 2:
        raise RuntimeError(f"linalg.matrix_norm: The input tensor A must have at least 2 dimensions. Got {x.ndim}.")
    a, b = (wrap_dim(d, x.ndim) for d in dim)
    if a == b:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({dim[0]}, {dim[1]})")
    if ord == "fro":
        return vector_norm(x, 2, (a, b), keepdim)
    if ord in (math.inf, -math.inf, 1, -1):
        rows = math.isinf(ord)
        folded, rest = (b, a) if rows else (a, b)
        totals = sum(abs(x), folded, keepdim=True)
        y = (amax if ord > 0 else amin)(totals, rest, keepdim=True)
        return y if keepdim else y.squeeze((a, b))
    if ord not in ("nuc", 2, -2):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    s = svdvals(movedim(x, (a, b), (-2, -1)))
    y = sum(s, -1) if ord == "nuc" else (amax if ord > 0 else amin)(s, -1)
    return reshape(y, [1 if i in (a, b) else n for i, n in enumerate(x.shape)]) if keepdim else y


def linalg_norm(x: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """A vector's or a matrix's norm, by the number of dimensions named."""
    if dim is None and ord is None:
        return vector_norm(x, 2, None, keepdim, dtype=dtype)
    dims = [dim] if isinstance(dim, int) else dim
    if dims is not None and len(dims) not in (1, 2):
        raise RuntimeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dims)}")
    if dims is None and x.ndim not in (1, 2):
        raise RuntimeError(f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {x.ndim}D.")
    if (dims is None and x.ndim == 2) or (dims is not None and len(dims) == 2 and ord is not None):
        return matrix_norm(x, ord, dims or (0, 1), keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise RuntimeError(f"linalg.norm: Order {ord} not supported for a vector")
    return vector_norm(x, 2 if ord is None else ord, dims, keepdim, dtype=dtype)


def cond(x: Tensor, p: Any = None) -> Tensor:
    """The condition number: of the singular values, or by the norm ``p``."""
    if p in (None, 2, -2):
        s = svdvals(x)
        return s[..., 0] / s[..., -1] if p != -2 else s[..., -1] / s[..., 0]
    square_matrices(x, f"linalg.cond with p={p}")
    return matrix_norm(x, p) * matrix_norm(inv(x), p)


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """Powers ``0 .. N-1`` of each element."""
    n = x.shape[-1] if N is None else N
    if n < 1:
        raise RuntimeError(f"N must be greater than 1. Got {n}")
    ones = unsqueeze(x * 0 + 1, -1)
    powers = expand(unsqueeze(x, -1), (*x.shape, n - 1)).cumprod(-1)
    return cat([ones, powers], -1)


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """Inner products along a dimension."""
    return sum(x * y, dim)


def matrix_exp(x: Tensor) -> Tensor:
    """The exponential of square matrices, by scaling, a Taylor series of degree 18 and squaring."""
    _square(x, "matrix_exp")
    if x.shape[-1] == 0:
        return x.clone()
    size = float(matrix_norm(x.detach(), 1).max()) if x.numel() else 0.0
    halvings = max(0, math.ceil(math.log2(size)) + 1) if size > 0.5 else 0
    scaled = x * 0.5**halvings
    term = y = x * 0 + x.new_eye(x.shape[-1])
    for k in range(1, 19):
        term = matmul(term, scaled) / k
        y = y + term
    for _ in range(halvings):
        y = matmul(y, y)
    return y


__all__ = ["LinAlgError", "cholesky", "det", "inv", "logdet", "matrix_exp", "pinv", "qr", "slogdet", "svd_", "svdvals"]
