"""The functions of ``engine.ops`` under the names they have at PyTorch's top level."""

from engine.ops.elementwise import (
    abs, add, bitwise_and, bitwise_not, bitwise_or, bitwise_xor, ceil, clamp, clone, cos, div, eq, exp, expm1, floor, floor_divide, ge, gt,
    isfinite, isinf, isnan, le, log, log1p, log2, log10, logical_and, logical_not, logical_or, logical_xor, lt, maximum, minimum, mul, ne,
    neg, pow, reciprocal, relu, remainder, round, rsqrt, sigmoid, sign, sin, sqrt, square, sub, tanh, trunc, where,
)  # fmt: skip
from engine.ops.linalg import addmm, bmm, dot, matmul, mm, mv, outer, trace
from engine.ops.loss import log_softmax, softmax
from engine.ops.reduce import all, amax, amin, argmax, argmin, cumsum, logsumexp, max, mean, min, norm, prod, std, sum, var
from engine.ops.reduce import any_ as any
from engine.ops.shape import (
    broadcast_tensors, cat, chunk, flatten, gather, permute, reshape, split, squeeze, stack, t, transpose, unsqueeze,
)  # fmt: skip

__all__ = [
    "abs", "add", "addmm", "all", "amax", "amin", "any", "argmax", "argmin", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "bmm",
    "broadcast_tensors", "cat", "ceil", "chunk", "clamp", "clone", "cos", "cumsum", "div", "dot", "eq", "exp", "expm1", "flatten", "floor",
    "floor_divide", "gather", "ge", "gt", "isfinite", "isinf", "isnan", "le", "log", "log1p", "log2", "log10", "log_softmax", "logical_and",
    "logical_not", "logical_or", "logical_xor", "logsumexp", "lt", "matmul", "max", "maximum", "mean", "min", "minimum", "mm", "mul", "mv",
    "ne", "neg", "norm", "outer", "permute", "pow", "prod", "reciprocal", "relu", "remainder", "reshape", "round", "rsqrt", "sigmoid",
    "sign", "sin", "softmax", "split", "sqrt", "square", "squeeze", "stack", "std", "sub", "sum", "t", "tanh", "trace", "transpose", "trunc",
    "unsqueeze", "var", "where",
]  # fmt: skip
