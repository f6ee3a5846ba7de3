"""Inverses, determinants and decompositions of matrices, by LAPACK through NumPy (``torch.linalg``)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from engine.backend import Array, array_module
from engine.dispatch import Op, broadcast_shapes, unseen
from engine.graph import apply
from engine.ops.elementwise import where
from engine.ops.join import cat
from engine.ops.linalg import matmul, square_matrices
from engine.ops.order import tril, triu
from engine.ops.shape import diagonal, expand, transpose, unsqueeze

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


def floats(x: Tensor, name: str) -> None:
    if x.dtype.name not in ("float32", "float64"):
        raise RuntimeError(f"linalg.{name}: Expected a floating point or complex tensor as input. Got {x.dtype.legacy_name}")


def square_floats(x: Tensor, name: str) -> None:
    square_matrices(x, f"linalg.{name}")
    floats(x, name)


def mT(x: Tensor) -> Tensor:
    return transpose(x, -1, -2)


# -- inverses and solutions

_inv: Op = Op(
    "inv",
    ["x"],
    infer=lambda x: (x.shape, x.dtype),
    kernel=lambda out, x: out.__setitem__(..., _lapack("inv", lambda la: la.inv)(x)),
    vjps={"x": lambda g, y: matmul(mT(y), matmul(g, mT(y))).neg()},
)
_solve: Op = Op(
    "solve",
    ["a", "b"],
    infer=lambda a, b: (b.shape, b.dtype),
    kernel=lambda out, a, b: out.__setitem__(..., _lapack("solve", lambda la: la.solve)(a, b)),
    vjps={"a": lambda g, a, y: matmul(apply(_solve, mT(a), g), mT(y)).neg(), "b": lambda g, a: apply(_solve, mT(a), g)},
)


def inv(input: Tensor) -> Tensor:
    """The inverses of square matrices ``(*, n, n)``. Raises LinAlgError for a singular one."""
    square_floats(input, "inv")
    return apply(_inv, input)


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """``x`` with ``a x = b`` (``x a = b`` unless ``left``): ``(*, n, n)`` with ``(*, n)`` or ``(*, n, k)``."""
    square_floats(A, "solve")
    if A.dtype is not B.dtype:
        raise RuntimeError(
            f"linalg.solve: Expected A and B to have the same dtype, but found A of type {A.dtype.legacy_name} and B of type {B.dtype.legacy_name} instead"
        )
    vector = B.ndim == 1 or (B.ndim == A.ndim - 1 and B.shape == A.shape[:-1])
    if vector and not left:
        raise RuntimeError("linalg.solve: Vector broadcasting of the left hand side is not supported for left=False.")
    right = unsqueeze(B, -1) if vector else B
    if not left:
        return mT(solve(mT(A), mT(right)))
    if right.ndim < 2 or right.shape[-2] != A.shape[-1]:
        raise RuntimeError(f"linalg.solve: Incompatible shapes of A and B for the equation AX = B ({list(A.shape)} and {list(B.shape)})")
    batch = broadcast_shapes(A.shape[:-2], right.shape[:-2])
    y = apply(_solve, expand(A, (*batch, *A.shape[-2:])), expand(right, (*batch, *right.shape[-2:])))
    return y.squeeze(-1) if vector else y


def solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    """``x`` with ``a x = b``, of which only the upper (or lower) triangle of ``A`` counts."""
    square_floats(A, "solve_triangular")
    part = triu(A, 1) if upper else tril(A, -1)
    main = diagonal(A, 0, -2, -1)
    part = part + (main * 0 + 1 if unitriangular else main).diag_embed()
    return solve(part, B, left=left)


def det(input: Tensor) -> Tensor:
    """The determinants of square matrices."""
    square_floats(input, "det")
    return apply(_det, input)


def _det_vjp(g: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """``g det(x) inv(x)^T``; of a singular matrix the cofactors, by its singular values."""
    wide = unsqueeze(unsqueeze(g, -1), -1)
    if bool((abs(y) > 1e-12).all()):
        return wide * unsqueeze(unsqueeze(y, -1), -1) * mT(inv(x))
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
    vjps={"x": lambda g, g1, x: unsqueeze(unsqueeze(g, -1), -1).mul(mT(inv(x)))},
    differentiable=2,
)


def slogdet(input: Tensor) -> Slogdet:
    """(sign, logarithm of the magnitude) of the determinants."""
    square_floats(input, "slogdet")
    logabs, sign = apply(_slogdet, input)
    return Slogdet(sign, logabs)


def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant; NaN where it is negative."""
    sign, logabs = slogdet(input)
    return where(sign < 0, math.nan, logabs)


# -- decompositions


def _half(x: Tensor) -> Tensor:
    """The lower triangle with half the diagonal."""
    return tril(x) - (diagonal(x, 0, -2, -1) * 0.5).diag_embed()


def _cholesky_vjp(g: Tensor, y: Tensor) -> Tensor:
    """Murray, "Differentiation of the Cholesky decomposition", 2016."""
    inner = _half(matmul(mT(y), tril(g)))
    inverse = inv(y)
    s = matmul(mT(inverse), matmul(inner, inverse))
    return (s + mT(s)) * 0.5


_cholesky: Op = Op(
    "cholesky",
    ["x"],
    infer=lambda x: (x.shape, x.dtype),
    kernel=lambda out, x: out.__setitem__(..., _lapack("cholesky", lambda la: la.cholesky)(x)),
    vjps={"x": _cholesky_vjp},
)


def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """The lower (or upper) triangular factor of symmetric positive definite matrices."""
    square_floats(input, "cholesky")
    factor: Tensor = apply(_cholesky, input)
    return mT(factor) if upper else factor


def _factors(name: str, x: Tensor, *names: str) -> list[Tensor]:
    """The factors that LAPACK finds, unrecorded: their derivatives are written around them."""
    unseen(f"a decomposition ({name})")
    results = _lapack(name, lambda la: getattr(la, name))(x._data, *names)
    return [x._wrap(np.ascontiguousarray(r) if isinstance(r, np.ndarray) else r) for r in results]


def qr(input: Tensor, mode: Any = "reduced") -> QR:
    """``x = Q R`` with orthonormal ``Q`` and upper triangular ``R``; ``mode`` "reduced", "complete" or "r"."""
    mode = {True: "reduced", False: "complete"}.get(mode, mode)
    floats(input, "qr")
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'")
    if input.ndim < 2:
        raise RuntimeError("linalg.qr: The input tensor A must have at least 2 dimensions.")
    if input.requires_grad:
        return _recorded_qr(input, mode)
    if mode == "r":
        unseen("a decomposition (qr)")
        return QR(input.new_zeros(0), input._wrap(np.asarray(_lapack("qr", lambda la: la.qr)(input._data, "r"))))
    return QR(*_factors("qr", input, mode))


def _recorded_qr(x: Tensor, mode: str) -> QR:
    """The factors as functions of ``x``, through the Cholesky factor of ``x^T x`` with LAPACK's signs."""
    if mode == "r":
        raise RuntimeError(
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use linalg.qr(A, mode='reduced') if you are going to require gradients wrt. Q or R."
        )
    m, n = x.shape[-2:]
    if mode == "complete" and m > n:
        raise RuntimeError("The QR decomposition is not differentiable when mode='complete' and nrows > ncols.")
    q, r = _factors("qr", x.detach(), "reduced")
    k = min(m, n)
    head = x[..., :, :k]
    signs = diagonal(r, 0, -2, -1).sign()
    upper = cholesky(matmul(mT(head), head), upper=True) * unsqueeze(signs, -1)
    q = matmul(head, inv(upper))
    return QR(q, upper if n == k else cat([upper, matmul(mT(q), x[..., :, k:])], -1))


def eigh(A: Tensor, UPLO: str = "L") -> Eigh:
    """Eigenvalues, ascending, and eigenvectors of symmetric matrices, of which one triangle is read."""
    square_floats(A, "eigh")
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    values, vectors = apply(_eigh, A, uplo=UPLO.upper())
    return Eigh(values, vectors)


def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of symmetric matrices, ascending."""
    return eigh(A, UPLO).eigenvalues


def _eigh_kernel(outs: list[Array], x: Array, uplo: str) -> None:
    outs[0][...], outs[1][...] = _lapack("eigh", lambda la: la.eigh)(x, uplo)


def _eigh_vjp(g: Tensor, g1: Tensor, y: Tensor, y1: Tensor) -> Tensor:
    """Giles, "An extended collection of matrix derivative results", 2008, section 3.1."""
    gaps = _off_diagonal(unsqueeze(y, -2) - unsqueeze(y, -1))
    inner = matmul(mT(y1), g1) / gaps
    inner = inner - diagonal(inner, 0, -2, -1).diag_embed() + g.diag_embed()
    full = matmul(y1, matmul(inner, mT(y1)))
    return (full + mT(full)) * 0.5


def _off_diagonal(gaps: Tensor) -> Tensor:
    """Ones on the diagonal, where nothing is divided."""
    return where(gaps.new_eye(gaps.shape[-1]).bool(), 1.0, gaps)


_eigh: Op = Op(
    "eigh",
    ["x"],
    infer=lambda x, uplo: [(x.shape[:-1], x.dtype), (x.shape, x.dtype)],
    kernel=_eigh_kernel,
    vjps={"x": _eigh_vjp},
    differentiable=2,
)


def _svd_kernel(outs: list[Array], x: Array, full_matrices: bool) -> None:
    outs[0][...], outs[1][...], outs[2][...] = _lapack("svd", lambda la: la.svd)(x, full_matrices)


def _svd_infer(x: Any, full_matrices: bool) -> Any:
    *batch, m, n = x.shape
    k = min(m, n)
    rows, columns = (m, n) if full_matrices else (k, k)
    return [((*batch, m, rows), x.dtype), ((*batch, k), x.dtype), ((*batch, columns, n), x.dtype)]


def _svd_vjp(g: Tensor, g1: Tensor, g2: Tensor, x: Tensor, y: Tensor, y1: Tensor, y2: Tensor) -> Tensor:
    """Townsend, "Differentiating the singular value decomposition", 2016; for the reduced form."""
    k = y1.shape[-1]
    if x.numel() == 0:
        return x * 0
    for beyond in (g[..., k:], g2[..., k:, :]):
        if beyond.numel() and bool(beyond.any()):
            raise RuntimeError("svd_backward: The singular vectors beyond the singular values are not unique and have no derivative")
    y, g, y2, g2 = y[..., :k], g[..., :k], y2[..., :k, :], g2[..., :k, :]
    s, v = unsqueeze(y1, -2), mT(y2)
    gaps = _off_diagonal(s * s - mT(s * s))
    from_u, from_v = matmul(mT(y), g), matmul(y2, mT(g2))
    inner = (from_u - mT(from_u)) / gaps * s + mT(s) * ((from_v - mT(from_v)) / gaps) + g1.diag_embed()
    result = matmul(y, matmul(inner, y2))
    if x.shape[-2] > k:
        result = result + matmul((g - matmul(y, from_u)) / s, y2)
    if x.shape[-1] > k:
        result = result + matmul(y, mT(mT(g2) - matmul(v, from_v)) / mT(s))
    return result


_svd: Op = Op("svd", ["x"], infer=_svd_infer, kernel=_svd_kernel, vjps={"x": _svd_vjp}, differentiable=3)


def svd(A: Tensor, full_matrices: bool = True) -> SVD:
    """``x = U diag(S) Vh``, singular values descending. Gradients need ``full_matrices=False`` and distinct singular values."""
    floats(A, "svd")
    if A.ndim < 2:
        raise RuntimeError(f"linalg.svd: input should have at least 2 dimensions, but has {A.ndim} dimensions instead")
    return SVD(*apply(_svd, A, full_matrices=full_matrices))


def svd_(input: Tensor, some: bool = True, compute_uv: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """``x = U diag(S) V^T`` under PyTorch's older name, with ``V`` not transposed."""
    u, s, vh = svd(input, full_matrices=not some)
    return u, s, mT(vh)


def svdvals(A: Tensor) -> Tensor:
    """The singular values, descending."""
    return svd(A, full_matrices=False).S


__all__ = ["LinAlgError", "cholesky", "det", "inv", "logdet", "qr", "slogdet", "svd_", "svdvals"]
