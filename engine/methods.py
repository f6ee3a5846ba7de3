"""What a tensor computes: operators, and the functions of ``engine.functional`` as methods of the same name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine import dtypes, functional
from engine.ops import decompose, elementwise, linalg, random, reduce, unary
from engine.ops import index as indexing
from engine.ops import pad as padding
from engine.ops import shape as shaping
from engine.ops import special as specials
from engine.ops.dims import sizes

if TYPE_CHECKING:
    from engine.tensor import Tensor

_METHODS = """
abs absolute acos acosh add addbmm addcdiv addcmul addmm addmv addr adjoint all allclose amax amin aminmax angle any arccos arccosh arcsin arcsinh
arctan arctan2 arctanh argmax argmin argsort argwhere as_strided asin asinh atan atan2 atanh baddbmm bernoulli bincount bitwise_and
bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor bmm broadcast_to ceil cholesky chunk clamp clamp_max clamp_min clip clone conj
conj_physical copysign corrcoef cos cosh count_nonzero cov cross cummax cummin cumprod cumsum deg2rad det diag diag_embed diagflat diagonal
diagonal_scatter diff digamma dist div divide dot dsplit eq equal erf erfc erfinv exp exp2 expm1 fix flatten flip fliplr flipud float_power floor
floor_divide fmax fmin fmod frac gather gcd ge ger greater greater_equal gt heaviside histc hsplit hypot i0 index_add index_copy index_fill index_put
index_reduce index_select inner inverse isclose isfinite isin isinf isnan isneginf isposinf isreal kron kthvalue lcm ldexp le lerp less less_equal
lgamma log log10 log1p log2 log_softmax logaddexp logaddexp2 logcumsumexp logdet logical_and logical_not logical_or logical_xor logit logsumexp lt
masked_fill masked_scatter masked_select matmul matrix_exp matrix_power max maximum mean median min minimum mm mode moveaxis movedim msort mul multinomial
multiply mv mvlgamma nan_to_num nanmean nanmedian nanquantile nansum narrow ne neg negative nextafter nonzero norm not_equal outer permute pinverse
positive pow prod put qr quantile rad2deg ravel reciprocal relu remainder renorm repeat_interleave reshape resolve_conj resolve_neg roll rot90 round
rsqrt scatter scatter_add scatter_reduce select select_scatter sgn sigmoid sign signbit sin sinc sinh slice_scatter slogdet softmax sort split
split_with_sizes sqrt square squeeze std sub subtract sum svd swapaxes swapdims t take take_along_dim tan tanh tensor_split tile topk trace transpose tril
triu true_divide trunc unbind unflatten unique unique_consecutive unsqueeze var vdot vsplit where xlogy
"""
_IN_PLACE = """
abs absolute acos acosh add addbmm addcdiv addcmul addmm addmv addr arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan atan2 atanh
baddbmm bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil clamp clamp_max clamp_min clip copysign cos cosh cumprod cumsum
deg2rad digamma div divide erf erfc erfinv exp exp2 expm1 fix float_power floor floor_divide fmod frac gcd heaviside hypot i0 index_add index_copy
index_fill index_put index_reduce lcm ldexp lerp lgamma log log10 log1p log2 logit masked_fill masked_scatter mul multiply mvlgamma nan_to_num neg
negative nextafter pow put rad2deg reciprocal relu remainder renorm round rsqrt scatter scatter_add scatter_reduce sgn sigmoid sign sin sinc sinh sqrt
square sub subtract tan tanh tril triu true_divide trunc xlogy
eq ge greater greater_equal gt le less less_equal logical_and logical_not logical_or logical_xor lt ne not_equal
"""


def _in_place(function: Callable[..., Tensor], name: str) -> Callable[..., Tensor]:
    """The ``_`` form of a function: its result takes the place of the tensor's elements and history."""

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return self._become(function(self, *args, **kwargs))

    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = f"In-place form of ``{name}``."
    return method


class Methods:
    """The part of ``Tensor`` that stands in ``engine.ops``."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    # -- operators

    __add__ = elementwise.add
    __radd__ = elementwise.add
    __mul__ = elementwise.mul
    __rmul__ = elementwise.mul
    __sub__ = elementwise.sub
    __truediv__ = elementwise.div
    __div__ = elementwise.div
    __floordiv__ = elementwise.floor_divide
    __mod__ = elementwise.remainder
    __pow__ = elementwise.pow
    __matmul__ = linalg.matmul
    __neg__ = unary.neg
    __abs__ = unary.abs
    __invert__ = elementwise.bitwise_not
    __and__ = elementwise.bitwise_and
    __rand__ = elementwise.bitwise_and
    __or__ = elementwise.bitwise_or
    __ror__ = elementwise.bitwise_or
    __xor__ = elementwise.bitwise_xor
    __rxor__ = elementwise.bitwise_xor
    __lshift__ = functional.bitwise_left_shift
    __rshift__ = functional.bitwise_right_shift
    __lt__ = elementwise.lt
    __le__ = elementwise.le
    __gt__ = elementwise.gt
    __ge__ = elementwise.ge
    __getitem__ = indexing.getitem

    def __pos__(self: Any) -> Tensor:
        return self

    def __rsub__(self: Any, other: Any) -> Tensor:
        return elementwise.sub(other, self)

    def __rtruediv__(self: Any, other: Any) -> Tensor:
        return elementwise.div(other, self)

    __rdiv__ = __rtruediv__

    def __rfloordiv__(self: Any, other: Any) -> Tensor:
        return elementwise.floor_divide(other, self)

    def __rmod__(self: Any, other: Any) -> Tensor:
        return elementwise.remainder(other, self)

    def __rpow__(self: Any, other: Any) -> Tensor:
        return elementwise.pow(other, self)

    def __rmatmul__(self: Any, other: Any) -> Tensor:
        return linalg.matmul(other, self)

    # -- methods that no function stands for, or of another signature

    view = shaping.view
    view_as = shaping.view_as
    reshape_as = shaping.reshape_as
    expand = shaping.expand
    expand_as = shaping.expand_as
    unfold = shaping.unfold
    repeat = padding.repeat
    svdvals = decompose.svdvals

    @property
    def T(self: Any) -> Tensor:
        return self.permute(*reversed(range(self.ndim)))

    @property
    def mT(self: Any) -> Tensor:
        """Matrices transposed, ``(..., n, m)`` to ``(..., m, n)``."""
        if self.ndim < 2:
            raise RuntimeError(f"tensor.mT is only supported on matrices or batches of matrices. Got {self.ndim}-D tensor.")
        return self.transpose(-1, -2)

    @property
    def H(self: Any) -> Tensor:
        if self.ndim not in (0, 2):
            raise RuntimeError(f"tensor.H is only supported on matrices (2-D tensors). Got {self.ndim}-D tensor.")
        return self.mT if self.ndim else self

    @property
    def mH(self: Any) -> Tensor:
        return self.mT

    def where(self: Any, condition: Tensor, other: Any) -> Tensor:
        """These elements where ``condition`` holds, else those of ``other``."""
        return elementwise.where(condition, self, other)

    def polygamma(self: Any, n: int) -> Tensor:
        return specials.polygamma(n, self)

    def new(self: Any, *args: Any) -> Tensor:
        """A tensor of this dtype, on this device: of a size, or of the elements of a list."""
        return self.new_tensor(args[0]) if len(args) == 1 and not isinstance(args[0], int | tuple) else self.new_zeros(*args or (0,))

    def is_complex(self: Any) -> bool:
        return False

    def ndimension(self: Any) -> int:
        return int(self.ndim)

    def get_device(self: Any) -> int:
        """The number of the CUDA device, -1 on the CPU."""
        return -1 if self.device.index is None else int(self.device.index)

    def is_nonzero(self: Any) -> bool:
        return bool(self)

    def sum_to_size(self: Any, *size: Any) -> Tensor:
        """Summed over the dimensions along which ``size`` would be broadcast."""
        wanted = sizes(size)
        lead = self.ndim - len(wanted)
        if lead < 0 or any(n not in (1, m) for n, m in zip(wanted, self.shape[lead:], strict=True)):
            raise RuntimeError(f"size {{{list(wanted)}}} is not expandable to size {{{list(self.shape)}}}.")
        dims = [*range(lead), *(i + lead for i, n in enumerate(wanted) if n == 1 != self.shape[i + lead])]
        return shaping.reshape(reduce.sum(self, dims, True) if dims or not self.ndim else self, wanted)

    # -- in place

    def fill_(self: Any, value: Any) -> Tensor:
        if getattr(value, "ndim", 0):
            raise RuntimeError(f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions.")
        filled = elementwise.cast(value, self.dtype).expand(self.shape) if hasattr(value, "_data") else self.new_full(self.shape, value)
        return self._become(filled)

    def zero_(self: Any) -> Tensor:
        return self.fill_(0)

    def squeeze_(self: Any, dim: Any = None) -> Tensor:
        return self._reshaped(shaping.squeeze(self, dim))

    def unsqueeze_(self: Any, dim: int) -> Tensor:
        return self._reshaped(shaping.unsqueeze(self, dim))

    def __reversed__(self: Any) -> Tensor:
        return self.flip(0) if self.ndim else self

    def t_(self: Any) -> Tensor:
        return self._reshaped(shaping.t(self))

    def transpose_(self: Any, dim0: int, dim1: int) -> Tensor:
        return self._reshaped(shaping.transpose(self, dim0, dim1))

    swapaxes_ = swapdims_ = transpose_

    def fill_diagonal_(self: Any, fill_value: Any, wrap: bool = False) -> Tensor:
        """One value on the diagonal of a matrix."""
        self.diagonal().fill_(fill_value)
        return self

    def _filled(self: Any, name: str, numbers: Tensor) -> Tensor:
        if self.dtype.category != dtypes.FLOAT and name not in ("bernoulli_", "geometric_", "random_"):
            raise RuntimeError(f"\"{name}\" not implemented for '{self.dtype.legacy_name}'")
        return self._become(elementwise.cast(numbers, self.dtype))

    def uniform_(self: Any, a: Any = 0.0, b: Any = 1.0, *, generator: random.Generator | None = None) -> Tensor:
        """Uniform numbers in [a, b)."""
        if a > b:
            raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={a} > to={b}")
        drawn = random.uniform_like(self, generator) if self.dtype.category == dtypes.FLOAT else random.draws_like(self, generator)
        last = dtypes.before(b, a, drawn.dtype)  # in few bits a sum may round up to b
        return self._filled("uniform_", (drawn * (b - a) + a).clamp(max=last))

    def normal_(self: Any, mean: Any = 0.0, std: Any = 1.0, *, generator: random.Generator | None = None) -> Tensor:
        """Normal numbers of the given mean and standard deviation."""
        if std < 0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
        return self._filled("normal_", random.normal_like(self, generator) * std + mean)

    def log_normal_(self: Any, mean: Any = 1.0, std: Any = 2.0, *, generator: random.Generator | None = None) -> Tensor:
        """The exponentials of normal numbers."""
        if std <= 0:
            raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std}")
        return self._filled("log_normal_", unary.exp(random.normal_like(self, generator) * std + mean))

    def exponential_(self: Any, lambd: Any = 1.0, *, generator: random.Generator | None = None) -> Tensor:
        """Exponential numbers of rate ``lambd``."""
        if lambd <= 0:
            raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
        return self._filled("exponential_", random.exponential_like(self, generator) / lambd)

    def cauchy_(self: Any, median: Any = 0.0, sigma: Any = 1.0, *, generator: random.Generator | None = None) -> Tensor:
        """Numbers of Cauchy's distribution."""
        if sigma <= 0:
            raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
        return self._filled("cauchy_", functional.tan((random.draws_like(self, generator) - 0.5) * math.pi) * sigma + median)

    def is_signed(self: Any) -> bool:
        return self.dtype.category in (dtypes.INTEGER, dtypes.FLOAT) and self.dtype is not dtypes.uint8

    def is_same_size(self: Any, other: Tensor) -> bool:
        return bool(self.shape == other.shape)

    def is_inference(self: Any) -> bool:
        """False: tensors made in ``inference_mode`` are like others."""
        return False

    def is_shared(self: Any) -> bool:
        """False: worker processes get batches through memory of their own."""
        return False

    def share_memory_(self: Any) -> Tensor:
        """Itself, which other processes do not see."""
        return self

    def apply_(self: Any, callable: Callable[[Any], Any]) -> Tensor:
        """Each element by what a function of Python's makes of it: slow."""
        flat = [callable(v) for v in self.detach().reshape(-1).tolist()]
        return self._become(self.new_tensor(flat, dtype=self.dtype).reshape(self.shape))

    def geometric_(self: Any, p: Any, *, generator: random.Generator | None = None) -> Tensor:
        """How many trials until the first success of probability ``p``."""
        if not 0 < p < 1:
            raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
        return self._filled("geometric_", unary.ceil(unary.log1p(-random.draws_like(self, generator)) / math.log1p(-p)).clamp(min=1))

    def bernoulli_(self: Any, p: Any = 0.5, *, generator: random.Generator | None = None) -> Tensor:
        """Ones with probability ``p``, a number or a tensor."""
        return self._filled("bernoulli_", elementwise.lt(random.draws_like(self, generator), p))

    def random_(self: Any, *bounds: Any, generator: random.Generator | None = None) -> Tensor:
        """Integers from the first bound, 0 if there is one only, up to but not including the last; without bounds as many as the dtype holds."""
        low, high = (0, dtypes.last_integer(self.dtype) + 1) if not bounds else (0, *bounds) if len(bounds) == 1 else bounds
        if high is None:
            high = dtypes.last_integer(self.dtype) + 1
        return self._become(random.randint_like(self, low, high, generator))


def _cast_to(dtype: dtypes.dtype, name: str) -> Callable[..., Tensor]:
    def method(self: Any, memory_format: Any = None) -> Tensor:
        return self.to(dtype)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"In {dtype.name}."
    return method


for _name in _METHODS.split():
    if _name not in Methods.__dict__:
        setattr(Methods, _name, getattr(functional, _name))
for _name in _IN_PLACE.split():
    setattr(Methods, f"{_name}_", _in_place(getattr(functional, _name), _name))
for _name, _dtype in {
    "float": dtypes.float32, "double": dtypes.float64, "half": dtypes.float16, "bfloat16": dtypes.bfloat16, "long": dtypes.int64, "int": dtypes.int32,
    "short": dtypes.int16, "char": dtypes.int8, "byte": dtypes.uint8, "bool": dtypes.bool_,
}.items():  # fmt: skip
    setattr(Methods, _name, _cast_to(_dtype, _name))
for _operator, _name in {
    "iadd": "add_", "isub": "sub_", "imul": "mul_", "itruediv": "div_", "ifloordiv": "floor_divide_", "imod": "remainder_", "ipow": "pow_", "iand": "bitwise_and_",
    "ior": "bitwise_or_", "ixor": "bitwise_xor_",
}.items():  # fmt: skip
    setattr(Methods, f"__{_operator}__", getattr(Methods, _name))
