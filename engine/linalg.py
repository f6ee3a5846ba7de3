"""Linear algebra under the names of ``torch.linalg``."""

from engine.ops.decompose import LinAlgError, cholesky, det, eigh, eigvalsh, inv, qr, slogdet, solve, solve_triangular, svd, svdvals
from engine.ops.linalg import cross, matmul, matrix_power, multi_dot
from engine.ops.matrix import cond, matrix_exp, matrix_norm, matrix_rank, pinv, vander, vecdot
from engine.ops.matrix import linalg_norm as norm
from engine.ops.reduce import vector_norm
from engine.ops.shape import diagonal

__all__ = [
    "LinAlgError", "cholesky", "cond", "cross", "det", "diagonal", "eigh", "eigvalsh", "inv", "matmul", "matrix_exp", "matrix_norm", "matrix_power",
    "matrix_rank", "multi_dot", "norm", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd", "svdvals", "vander", "vecdot", "vector_norm",
]  # fmt: skip
