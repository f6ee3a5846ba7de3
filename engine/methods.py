"""What a tensor computes: operators, and the functions of ``engine.ops`` as methods of the same name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine import dtypes
from engine.ops import elementwise, linalg, loss, random, reduce
from engine.ops import select as selection
from engine.ops import shape as shaping

if TYPE_CHECKING:
    from engine.tensor import Tensor


def _in_place(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The ``_`` form of a function: its result takes the place of the tensor's elements and history."""

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return self._become(function(self, *args, **kwargs))

    method.__name__ = f"{function.__name__}_"
    method.__doc__ = f"In-place form of ``{function.__name__}``."
    return method


class Methods:
    """The part of ``Tensor`` that stands in ``engine.ops``."""

    __slots__ = ()

    # -- operators

    __add__ = elementwise.add
    __radd__ = elementwise.add
    __mul__ = elementwise.mul
    __rmul__ = elementwise.mul
    __sub__ = elementwise.sub
    __truediv__ = elementwise.div
    __floordiv__ = elementwise.floor_divide
    __mod__ = elementwise.remainder
    __pow__ = elementwise.pow
    __matmul__ = linalg.matmul
    __neg__ = elementwise.neg
    __abs__ = elementwise.abs
    __invert__ = elementwise.bitwise_not
    __and__ = elementwise.bitwise_and
    __or__ = elementwise.bitwise_or
    __xor__ = elementwise.bitwise_xor
    __lt__ = elementwise.lt
    __le__ = elementwise.le
    __gt__ = elementwise.gt
    __ge__ = elementwise.ge
    __getitem__ = shaping.getitem

    def __rsub__(self: Any, other: Any) -> Tensor:
        return elementwise.sub(other, self)

    def __rtruediv__(self: Any, other: Any) -> Tensor:
        return elementwise.div(other, self)

    def __rpow__(self: Any, other: Any) -> Tensor:
        return elementwise.pow(other, self)

    # -- functions

    add = elementwise.add
    sub = elementwise.sub
    mul = elementwise.mul
    div = elementwise.div
    pow = elementwise.pow
    remainder = elementwise.remainder
    maximum = elementwise.maximum
    minimum = elementwise.minimum
    clamp = elementwise.clamp
    clone = elementwise.clone
    abs = elementwise.abs
    sign = elementwise.sign
    neg = elementwise.neg
    square = elementwise.square
    relu = elementwise.relu
    sqrt = elementwise.sqrt
    rsqrt = elementwise.rsqrt
    reciprocal = elementwise.reciprocal
    exp = elementwise.exp
    expm1 = elementwise.expm1
    log = elementwise.log
    log1p = elementwise.log1p
    log2 = elementwise.log2
    log10 = elementwise.log10
    sin = elementwise.sin
    cos = elementwise.cos
    tanh = elementwise.tanh
    sigmoid = elementwise.sigmoid
    floor = elementwise.floor
    ceil = elementwise.ceil
    round = elementwise.round
    trunc = elementwise.trunc
    eq = elementwise.eq
    ne = elementwise.ne
    lt = elementwise.lt
    le = elementwise.le
    gt = elementwise.gt
    ge = elementwise.ge
    isnan = elementwise.isnan
    isinf = elementwise.isinf
    isfinite = elementwise.isfinite
    logical_not = elementwise.logical_not
    logical_and = elementwise.logical_and
    logical_or = elementwise.logical_or
    sum = reduce.sum
    mean = reduce.mean
    prod = reduce.prod
    var = reduce.var
    std = reduce.std
    amax = reduce.amax
    amin = reduce.amin
    max = reduce.max
    min = reduce.min
    argmax = reduce.argmax
    argmin = reduce.argmin
    all = reduce.all
    any = reduce.any_
    cumsum = reduce.cumsum
    logsumexp = reduce.logsumexp
    norm = reduce.norm
    reshape = shaping.reshape
    view = shaping.reshape
    permute = shaping.permute
    transpose = shaping.transpose
    t = shaping.t
    expand = shaping.expand
    flatten = shaping.flatten
    unsqueeze = shaping.unsqueeze
    squeeze = shaping.squeeze
    gather = shaping.gather
    split = shaping.split
    select = shaping.select
    chunk = shaping.chunk
    tril = selection.tril
    triu = selection.triu
    diag = selection.diag
    roll = selection.roll
    narrow = selection.narrow
    flip = selection.flip_dims
    sort = selection.sort
    argsort = selection.argsort
    topk = selection.topk
    multinomial = selection.multinomial
    matmul = linalg.matmul
    mm = linalg.mm
    bmm = linalg.bmm
    mv = linalg.mv
    dot = linalg.dot
    addmm = linalg.addmm
    softmax = loss.softmax
    log_softmax = loss.log_softmax

    @property
    def T(self: Any) -> Tensor:
        return self.permute(*reversed(range(self.ndim)))

    @property
    def mT(self: Any) -> Tensor:
        """Matrices transposed, ``(..., n, m)`` to ``(..., m, n)``."""
        return self.transpose(-1, -2)

    def view_as(self: Any, other: Tensor) -> Tensor:
        return self.reshape(other.shape)

    def expand_as(self: Any, other: Tensor) -> Tensor:
        return self.expand(other.shape)

    def contiguous(self: Any) -> Tensor:
        return self if self.is_contiguous() else self.clone()

    def masked_fill(self: Any, mask: Tensor, value: Any) -> Tensor:
        return elementwise.where(mask, value, self)

    def float(self: Any) -> Tensor:
        return self.to(dtypes.float32)

    def double(self: Any) -> Tensor:
        return self.to(dtypes.float64)

    def half(self: Any) -> Tensor:
        return self.to(dtypes.float16)

    def long(self: Any) -> Tensor:
        return self.to(dtypes.int64)

    def int(self: Any) -> Tensor:
        return self.to(dtypes.int32)

    def bool(self: Any) -> Tensor:
        return self.to(dtypes.bool_)

    # -- in place

    add_ = _in_place(elementwise.add)
    sub_ = _in_place(elementwise.sub)
    mul_ = _in_place(elementwise.mul)
    div_ = _in_place(elementwise.div)
    pow_ = _in_place(elementwise.pow)
    clamp_ = _in_place(elementwise.clamp)
    exp_ = _in_place(elementwise.exp)
    sqrt_ = _in_place(elementwise.sqrt)
    relu_ = _in_place(elementwise.relu)
    neg_ = _in_place(elementwise.neg)
    sigmoid_ = _in_place(elementwise.sigmoid)
    tanh_ = _in_place(elementwise.tanh)
    abs_ = _in_place(elementwise.abs)
    round_ = _in_place(elementwise.round)
    masked_fill_ = _in_place(masked_fill)
    __iadd__ = add_
    __isub__ = sub_
    __imul__ = mul_
    __itruediv__ = div_

    def fill_(self: Any, value: Any) -> Tensor:
        return self._become(self.new_full(self.shape, value))

    def zero_(self: Any) -> Tensor:
        return self.fill_(0)

    def uniform_(self: Any, a: Any = 0.0, b: Any = 1.0, generator: random.Generator | None = None) -> Tensor:
        """Uniform numbers in [a, b)."""
        return self._become(random.uniform_like(self, generator) * (b - a) + a)

    def normal_(self: Any, mean: Any = 0.0, std: Any = 1.0, generator: random.Generator | None = None) -> Tensor:
        """Normal numbers of the given mean and standard deviation."""
        return self._become(random.normal_like(self, generator) * std + mean)
