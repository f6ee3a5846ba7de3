"""Matrix products, through BLAS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from engine.backend import Array, array_module
from engine.dispatch import OPS, Op, Spec, broadcast_shapes, count, run
from engine.graph import apply
from engine.modes import lowered, state
from engine.ops.dims import wrap_dim
from engine.ops.elementwise import cast
from engine.ops.join import stack
from engine.ops.shape import permute, reshape, select, transpose, unsqueeze

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _infer(a: Any, b: Any) -> Spec:
    rows, columns = a.shape, b.shape
    if len(rows) == len(columns) == 2:
        return (rows[0], columns[1]), a.dtype
    return (*broadcast_shapes(rows[:-2], columns[:-2]), rows[-2], columns[-1]), a.dtype


def _matmul_kernel(out: Array, a: Array, b: Array) -> None:
    """By the method ``dot`` where it does: the same product, begun in a third of the time."""
    if a.ndim == b.ndim == 2:
        a.dot(b, out)
    else:
        array_module(out).matmul(a, b, out=out)


_matmul = Op(
    "matmul",
    ["a", "b"],
    infer=_infer,
    kernel=_matmul_kernel,
    adds_up=True,
    vjps={"a": lambda g, b: matmul(g, transpose(b, -1, -2)), "b": lambda g, a: matmul(transpose(a, -1, -2), g)},
    flops=lambda outs, ins, attrs: 2 * outs[0].size * ins[0].shape[-1],
)


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The product of vectors, matrices ``(n, k) (k, m)`` or batches of them, as NumPy's ``@``. Raises RuntimeError on a mismatch."""
    if input.ndim == 0 or other.ndim == 0:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {input.ndim}D and {other.ndim}D")
    input, other = _factors(input, other, "matmul")
    left, right = input, other
    left = unsqueeze(left, 0) if input.ndim == 1 else left
    right = unsqueeze(right, 1) if other.ndim == 1 else right
    if left.shape[-1] != right.shape[-2]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({'x'.join(map(str, input.shape))} and {'x'.join(map(str, other.shape))})"
        )
    y: Tensor = apply(_matmul, left, right)
    if input.ndim == 1 or other.ndim == 1:
        kept = list(y.shape[:-2]) + ([y.shape[-2]] if input.ndim > 1 else []) + ([y.shape[-1]] if other.ndim > 1 else [])
        y = reshape(y, kept)
    return y


def _rank(x: Tensor, n: int, name: str, what: str) -> None:
    if x.ndim != n:
        raise RuntimeError(f"{name}: expected {what} to be a {n}D tensor, got {x.ndim}D of size {list(x.shape)}")


def _factors(a: Tensor, b: Tensor, name: str) -> Any:
    """Both as a product takes them. Raises RuntimeError where they are of two dtypes."""
    a, b = lowered(a, b)
    _same_type(a, b, name)
    return a, b


def _same_type(a: Tensor, b: Tensor, name: str) -> None:
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"{name}: expected both tensors to have the same dtype, but found {a.dtype.legacy_name} and {b.dtype.legacy_name}"
        )


def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The inner product of two vectors."""
    if input.ndim != 1 or tensor.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {input.ndim}D and {tensor.ndim}D tensors")
    input, tensor = _factors(input, tensor, "dot")
    if input.shape != tensor.shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor {list(input.shape)} and src {list(tensor.shape)} to have the same number of elements"
        )
    return matmul(input, tensor)


vdot = dot


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices, ``(n, k) (k, m)`` to ``(n, m)``."""
    _rank(input, 2, "mm", "self")
    _rank(mat2, 2, "mm", "mat2")
    input, mat2 = _factors(input, mat2, "mm")
    return matmul(input, mat2)


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of two batches of matrices, ``(b, n, k) (b, k, m)`` to ``(b, n, m)``."""
    _rank(input, 3, "bmm", "batch1")
    _rank(mat2, 3, "bmm", "batch2")
    input, mat2 = _factors(input, mat2, "bmm")
    if input.shape[0] != mat2.shape[0] or input.shape[2] != mat2.shape[1]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{input.shape[0]}, {input.shape[2]}] but got: [{mat2.shape[0]}, {mat2.shape[1]}]."
        )
    return matmul(input, mat2)


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix and a vector."""
    if input.ndim != 2 or vec.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got {vec.ndim}, {input.ndim}, {vec.ndim}")
    input, vec = _factors(input, vec, "mv")
    if input.shape[1] != vec.shape[0]:
        raise RuntimeError(f"size mismatch, got input ({input.shape[0]}), mat ({input.shape[0]}x{input.shape[1]}), vec ({vec.shape[0]})")
    return matmul(input, vec)


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """All products of the elements of two vectors, ``(n,) (m,)`` to ``(n, m)``."""
    _rank(input, 1, "outer", "self")
    _rank(vec2, 1, "outer", "vec2")
    return unsqueeze(input, 1) * unsqueeze(vec2, 0)


def _scaled(x: Tensor, factor: float) -> Tensor:
    factor = factor if x.dtype.is_floating_point else int(factor)
    return x if factor == 1 else cast(x * factor, x.dtype)


def _added(c: Tensor, product: Tensor, beta: float, alpha: float, name: str) -> Tensor:
    """``beta * c + alpha * product``; with ``beta`` 0, whatever ``c`` holds is ignored."""
    (c,) = lowered(c)
    _same_type(c, product, name)
    shape = broadcast_shapes(c.shape, product.shape)
    if shape != product.shape:
        raise RuntimeError(f"{name}: The expanded size of the tensor {list(product.shape)} must match the existing size {list(c.shape)}")
    return _scaled(product, alpha) if beta == 0 else _scaled(c, beta) + _scaled(product, alpha)


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """``beta * c + alpha * (a @ b)``."""
    return _added(input, mm(mat1, mat2), beta, alpha, "addmm")


def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """``beta * c + alpha * (a @ x)`` for a vector ``vec``."""
    return _added(input, mv(mat, vec), beta, alpha, "addmv")


def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """``beta * c + alpha * outer(a, b)``."""
    return _added(input, outer(vec1, vec2), beta, alpha, "addr")


def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """``beta * c + alpha * bmm(a, b)``."""
    return _added(input, bmm(batch1, batch2), beta, alpha, "baddbmm")


def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """``beta * c + alpha * bmm(a, b).sum(0)``."""
    return _added(input, bmm(batch1, batch2).sum(0), beta, alpha, "addbmm")


def inner(input: Tensor, other: Tensor) -> Tensor:
    """Products over the last dimensions of both."""
    if input.ndim == 0 or other.ndim == 0:
        return input * other
    if input.shape[-1] != other.shape[-1]:
        raise RuntimeError(
            f"inner() the last dimension must match on both input tensors but got shapes {list(input.shape)} and {list(other.shape)}"
        )
    return tensordot(input, other, ([-1], [-1]))


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """Products over ``dims``: the last so many of ``a`` with the first of ``b``, or two lists of dimensions."""
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.ndim, b.ndim):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        left, right = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        left, right = (list(map(int, d)) for d in dims)
    da, db = [wrap_dim(d, a.ndim) for d in left], [wrap_dim(d, b.ndim) for d in right]
    for i, j in zip(da, db, strict=False):  # a dimension of size 1 meets any other
        if a.shape[i] == 1 != b.shape[j]:
            b = b.sum(j, keepdim=True)
        elif b.shape[j] == 1 != a.shape[i]:
            a = a.sum(i, keepdim=True)
    if len(da) != len(db) or any(a.shape[i] != b.shape[j] for i, j in zip(da, db, strict=False)):
        raise RuntimeError(f"contracted dimensions need to match, but got sizes {[a.shape[i] for i in da]} and {[b.shape[j] for j in db]}")
    free_a, free_b = [i for i in range(a.ndim) if i not in da], [j for j in range(b.ndim) if j not in db]
    k = count([a.shape[i] for i in da])
    x = reshape(permute(a, [*free_a, *da]), (count([a.shape[i] for i in free_a]), k))
    y = reshape(permute(b, [*db, *free_b]), (k, count([b.shape[j] for j in free_b])))
    return reshape(matmul(x, y), [*(a.shape[i] for i in free_a), *(b.shape[j] for j in free_b)])


def kron(input: Tensor, other: Tensor) -> Tensor:
    """Kronecker's product: every element of ``input`` times the whole of ``other``."""
    n = max(input.ndim, other.ndim)
    sa, sb = (1,) * (n - input.ndim) + input.shape, (1,) * (n - other.ndim) + other.shape
    x = reshape(input, [k for s in sa for k in (s, 1)])
    y = reshape(other, [k for s in sb for k in (1, s)])
    return reshape(x * y, [p * q for p, q in zip(sa, sb, strict=True)])


def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The vector product along a dimension of size 3, the first such one unless ``dim`` is given."""
    if input.ndim != other.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    if dim is None:
        fitting = [i for i, (n, m) in enumerate(zip(input.shape, other.shape, strict=True)) if n == m == 3]
        if not fitting:
            raise RuntimeError("no dimension of size 3 in input")
        dim = fitting[0]
    at = wrap_dim(dim, input.ndim)
    if input.shape[at] != 3 or other.shape[at] != 3:
        raise RuntimeError(f"linalg.cross: inputs dimension {dim} must have length 3. Got {input.shape[at]} and {other.shape[at]}")
    x, y = ([select(v, at, i) for i in range(3)] for v in (input, other))
    return stack([x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]], at)


def matrix_power(input: Tensor, n: int) -> Tensor:
    """Square matrices multiplied with themselves ``n`` times; negative powers are those of the inverse."""
    square_matrices(input, "linalg.matrix_power")
    if n == 0:
        return input * 0 + input.new_eye(input.shape[-1])
    if n < 0:
        input, n = input.inverse(), -n
    result: Tensor | None = None
    while n:
        if n & 1:
            result = input if result is None else matmul(result, input)
        n >>= 1
        input = matmul(input, input) if n else input
    assert result is not None
    return result


def square_matrices(x: Tensor, name: str) -> None:
    """Raises RuntimeError for anything but (batches of) square matrices."""
    if x.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    if x.shape[-1] != x.shape[-2]:
        raise RuntimeError(f"{name}: A must be batches of square matrices, but they are {x.shape[-2]} by {x.shape[-1]} matrices")


def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of matrices (the first and last may be vectors), multiplied in the order that costs least."""
    xs = list(tensors)
    if len(xs) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(xs)}")
    for i, x in enumerate(xs):
        if x.ndim != 2 and not (x.ndim == 1 and i in (0, len(xs) - 1)):
            raise RuntimeError(f"multi_dot(): tensor {i} must be 2D but got {x.ndim}D")
        if x.dtype is not xs[0].dtype:
            raise RuntimeError(
                f"multi_dot(): all tensors must have be the same dtype but tensor 0 is {xs[0].dtype.name} and tensor {i} {x.dtype.name}"
            )
    first, last = xs[0].ndim == 1, xs[-1].ndim == 1
    xs[0] = unsqueeze(xs[0], 0) if first else xs[0]
    xs[-1] = unsqueeze(xs[-1], 1) if last else xs[-1]
    sizes = [x.shape[0] for x in xs] + [xs[-1].shape[1]]
    for i in range(len(xs) - 1):
        if xs[i].shape[1] != xs[i + 1].shape[0]:
            raise RuntimeError(
                f"multi_dot(): tensors {i} and {i + 1} with shapes {list(xs[i].shape)} and {list(xs[i + 1].shape)} cannot be multiplied"
            )
    best: dict[tuple[int, int], tuple[int, int]] = {(i, i): (0, i) for i in range(len(xs))}
    for length in range(1, len(xs)):
        for i in range(len(xs) - length):
            j = i + length
            best[i, j] = min((best[i, k][0] + best[k + 1, j][0] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j))

    def product(i: int, j: int) -> Tensor:
        k = best[i, j][1]
        return xs[i] if i == j else matmul(product(i, k), product(k + 1, j))

    y = product(0, len(xs) - 1)
    return reshape(y, [n for n, drop in zip(y.shape, (first, last), strict=True) if not drop])


def _linear_kernel(out: Any, x: Any, w: Any, b: Any = None) -> None:
    rows = _rows_of(out)
    _rows_of(x).dot(w.T, rows)
    if b is not None:
        rows += b


def _rows(x: Tensor) -> Tensor:
    return x if x.ndim == 2 else reshape(x, (count(x.shape[:-1]), x.shape[-1]))


def _reshaped(x: Array, shape: tuple[int, ...]) -> Array:
    return x if x.shape == shape else run(OPS["reshape"], (x,), {"shape": shape})[0]


def _linear_data(g: Tensor, w: Tensor) -> Tensor:
    gx = matmul(_rows(g), w)
    return gx if g.ndim == 2 else reshape(gx, (*g.shape[:-1], w.shape[1]))


def _rows_of(x: Array) -> Array:
    return x if x.ndim == 2 else x.reshape(count(x.shape[:-1]), x.shape[-1])


_linear_weight = Op(
    "linear_weight",
    ["v", "x"],
    infer=lambda v, x: ((v.shape[-1], x.shape[-1]), x.dtype),
    kernel=lambda out, v, x: _rows_of(v).T.dot(_rows_of(x), out),
    adds_up=True,
    vjps={
        "v": lambda g, x, v_shape: reshape(matmul(_rows(x), transpose(g, 0, 1)), v_shape),
        "x": lambda g, v, x_shape: reshape(matmul(_rows(v), g), x_shape),
    },
    flops=lambda outs, ins, attrs: 2 * outs[0].size * ins[0].size // max(1, ins[0].shape[-1]),
)
_linear = Op(
    "linear",
    ["x", "w", "b"],
    infer=lambda x, w, b=None: ((*x.shape[:-1], w.shape[0]), x.dtype),
    kernel=_linear_kernel,
    adds_up=True,
    vjps={"x": _linear_data, "w": lambda g, x: apply(_linear_weight, g, x), "b": lambda g: g},
    arrays={
        "x": lambda g, w: (
            _reshaped(run(_matmul, (_reshaped(g, (count(g.shape[:-1]), w.shape[0])), w), {})[0], (*g.shape[:-1], w.shape[1]))
            if g.ndim != 2
            else run(_matmul, (g, w), {})[0]
        ),
        "w": lambda g, x: run(_linear_weight, (g, x), {})[0],
        "b": lambda g: run(OPS["sum"], (g,), {"dims": tuple(range(g.ndim - 1)), "keepdim": False})[0],
    },
    flops=lambda outs, ins, attrs: 2 * outs[0].size * ins[0].shape[-1] + outs[0].size * (len(ins) > 2),
)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x W^T + b``: ``(*, in)`` with ``(out, in)`` and ``(out)`` to ``(*, out)``."""
    if state.autocast is not None:
        input, weight, bias = lowered(input, weight, bias)
    _same_type(input, weight, "linear")
    features = weight._data.shape
    if input._data.shape[-1:] != features[-1:]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({'x'.join(map(str, input.shape))} and {weight.shape[-1]}x{weight.shape[0] if weight.ndim > 1 else 1}): linear expects {weight.shape[-1]} features in the last dimension, got {input.shape[-1] if input.ndim else 'a number'}"
        )
    if len(features) == 2 and (bias is None or (bias.dtype is input.dtype and bias._data.shape == features[:1])):
        return apply(_linear, input, weight) if bias is None else apply(_linear, input, weight, bias)
    y = matmul(input, transpose(weight, 0, 1) if weight.ndim > 1 else weight)
    return y if bias is None else y + bias


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x1^T W_k x2 + b_k``: ``(*, n)`` and ``(*, m)`` with ``(out, n, m)`` to ``(*, out)``."""
    if input1.shape[:-1] != input2.shape[:-1]:
        raise RuntimeError(f"bilinear(): input batch dimensions do not match: got {list(input1.shape)} and {list(input2.shape)}")
    if (input1.shape[-1], input2.shape[-1]) != tuple(weight.shape[1:]):
        raise RuntimeError(
            f"bilinear(): input sizes {input1.shape[-1]} and {input2.shape[-1]} do not match the weight {list(weight.shape)}"
        )
    rows1, rows2 = (
        reshape(input1, (count(input1.shape[:-1]), input1.shape[-1])),
        reshape(input2, (count(input2.shape[:-1]), input2.shape[-1])),
    )
    half = tensordot(rows1, weight, ([1], [1]))  # (rows, out, m)
    y = reshape(matmul(half, unsqueeze(rows2, -1)), (*input1.shape[:-1], weight.shape[0]))
    return y if bias is None else y + bias


__all__ = [
    "addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "cross", "dot", "inner", "kron", "matmul", "matrix_power", "mm", "multi_dot", "mv", "outer", "tensordot", "vdot",
]  # fmt: skip
