"""Ops that work element by element on broadcast operands of one dtype.

Each is one scalar rule ``rule(m, *operands)``, with ``m`` the namespace of the mathematics; called with NumPy or CuPy it is the
array code. A derivative is written with the engine's own ops, so it can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import dtypes
from engine.backend import Array, array_module
from engine.dispatch import Op, Spec, broadcast_shapes
from engine.dtypes import FLOAT, dtype, get_default_dtype, result_type
from engine.graph import apply
from engine.modes import tensor_class

if TYPE_CHECKING:
    from engine.tensor import Tensor

Rule = Callable[..., Array]


def elementwise(
    name: str,
    inputs: str,
    rule: Rule | str,
    result: Any = None,
    arrays: dict[str, Callable[..., Array]] | None = None,
    **vjps: Callable[..., Any],
) -> Op:
    """Registers a rule, or the name of a NumPy ufunc, over ``inputs``; ``result`` is the dtype where it is not the operands'."""

    def infer(*ins: Any, **attrs: Any) -> Spec:
        shape: tuple[int, ...] = ins[0].shape
        for x in ins:
            own = x.shape
            if own != shape and own:
                if shape:
                    shape = broadcast_shapes(*[x.shape for x in ins])
                    break
                shape = own
        return shape, ins[-1].dtype if result is None else result

    if isinstance(rule, str):

        def kernel(out: Array, *ins: Any, **attrs: Any) -> None:
            getattr(array_module(out), rule)(*ins, out=out)
    else:

        def kernel(out: Array, *ins: Any, **attrs: Any) -> None:
            out[...] = rule(array_module(out), *ins, **attrs)

    single = not isinstance(rule, str)  # several steps round once, as one step does
    return Op(name, inputs.split(), infer=infer, kernel=kernel, vjps=vjps, arrays=arrays, rule=rule, adds_up=single)


def is_tensor(x: Any) -> bool:
    return isinstance(getattr(x, "dtype", None), dtype)


def cast(x: Any, d: dtype) -> Any:
    """An operand in another dtype: a tensor by the differentiable ``to``, a number as a NumPy scalar."""
    if isinstance(d, type):
        d = dtypes.named(d)
    if is_tensor(x):
        return x if x.dtype is d else apply(_to, x, dtype=d.numpy)
    try:
        return d.numpy.type(x)
    except OverflowError:  # negative numbers wrap around in uint8, as in PyTorch
        return np.asarray(x, np.int64).astype(d.numpy)[()]


def promoted(op: Op, *operands: Any, floating: bool = False) -> Any:
    """Applies ``op`` to operands brought to their common dtype, a floating one if ``floating``."""
    if not any(map(is_tensor, operands)):
        raise TypeError(f"{op.name}(): expected a Tensor among the arguments, got {' and '.join(type(x).__name__ for x in operands)}")
    d = getattr(operands[0], "dtype", None)
    if d is not None and all(getattr(x, "dtype", None) is d for x in operands) and (not floating or d.category == FLOAT):
        return apply(op, *operands)
    operands = tuple(tensor_class()._wrap(x) if isinstance(x, np.ndarray) else x for x in operands)
    d = result_type(*operands)
    if floating and d.category != FLOAT:
        d = get_default_dtype()
    return apply(op, *(cast(x, d) for x in operands))


def tensor_argument(x: Any, name: str, what: str = "input", position: int = 1) -> None:
    """Raises TypeError for a number where PyTorch takes tensors only."""
    if not is_tensor(x):
        raise TypeError(f"{name}(): argument '{what}' (position {position}) must be Tensor, not {type(x).__name__}")


def both_tensors(name: str, a: Any, b: Any) -> None:
    tensor_argument(a, name)
    tensor_argument(b, name, "other", 2)


def unary(op: Op, x: Tensor, floating: bool = True) -> Tensor:
    """Applies ``op`` to a tensor, of the default float dtype if it is of integers and ``floating``."""
    if not isinstance(getattr(x, "dtype", None), dtype):
        tensor_argument(x, op.name)
    return apply(op, cast(x, get_default_dtype()) if floating and x.dtype.category != FLOAT else x)


# -- casts and copies

_to = Op(
    "to", ["x"], infer=lambda x, dtype: (x.shape, dtype), kernel=lambda out, x, dtype: out.__setitem__(..., x), vjps={"x": lambda g: g}
)
_clone = elementwise("clone", "x", lambda m, x: x, x=lambda g: g)


def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy of its own memory; gradients pass through."""
    return apply(_clone, input)


# -- arithmetic

_add = elementwise("add", "a b", "add", a=lambda g: g, b=lambda g: g)
_sub = elementwise("sub", "a b", "subtract", a=lambda g: g, b=lambda g: -g)
_mul = elementwise("mul", "a b", "multiply", a=lambda g, b: g * b, b=lambda g, a: g * a)
_div = elementwise("div", "a b", "true_divide", a=lambda g, b: g / b, b=lambda g, a, b: -g * a / (b * b))
_floor_divide = elementwise("floor_divide", "a b", "floor_divide")
_div_floor = elementwise("div_floor", "a b", "floor_divide", a=lambda g: g * 0, b=lambda g, b: g * 0 * b)
_div_trunc = elementwise("div_trunc", "a b", lambda m, a, b: _truncated(m, a, b), a=lambda g: g * 0, b=lambda g, b: g * 0 * b)
_remainder = elementwise("remainder", "a b", "remainder", a=lambda g: g, b=lambda g, a, b: -g * (a / b).floor())
_pow = elementwise(
    "pow",
    "a b",
    lambda m, a, b: _powers(m, a, b),
    a=lambda g, a, b: _pow_base(g, a, b),
    b=lambda g, a, y: g * y * where(_lift(a, g) != 0, a, 1.0).log(),
)
_maximum = elementwise("maximum", "a b", "maximum", a=lambda g, a, b: g * _share(a, b), b=lambda g, a, b: g * _share(b, a))
_minimum = elementwise("minimum", "a b", "minimum", a=lambda g, a, b: g * _share(b, a), b=lambda g, a, b: g * _share(a, b))


def _truncated(m: Any, a: Any, b: Any) -> Array:
    """The quotient rounded towards zero, exact for integers too."""
    if m.result_type(a, b).kind not in "iu":
        return m.trunc(m.true_divide(a, b))
    q = m.floor_divide(a, b)
    return q + ((q * b != a) & ((a < 0) != (b < 0)))


def _powers(m: Any, a: Any, b: Any) -> Array:
    """Integers to negative powers are 0, apart from 1 and -1."""
    if m.result_type(a, b).kind != "i":
        return m.power(a, b)
    whole = m.power(a, m.maximum(b, 0))
    return m.where(m.asarray(b) < 0, m.where(m.abs(a) == 1, m.where(m.asarray(b) % 2 == 0, m.asarray(a) * a, a), 0), whole)


def _pow_base(g: Tensor, a: Any, b: Any) -> Tensor:
    """``b a^(b-1)``, which is 0, not 0 / 0, where ``b`` is 0."""
    if not is_tensor(b):
        return g * 0 if b == 0 else g * b * a ** (b - 1)
    return where(b == 0, 0, g * b * a ** (b - 1))


def _lift(x: Any, like: Tensor) -> Tensor:
    """A saved number as a tensor beside ``like``."""
    return x if is_tensor(x) else like.new_full((), x)


def _share(a: Tensor, b: Tensor) -> Tensor:
    """1 where ``a`` is greater, one half where both are equal, else 0: how a maximum's gradient is dealt out."""
    return cast(a > b, a.dtype) + cast(a == b, a.dtype) * 0.5


def _whole_alpha(a: Any, b: Any, alpha: float) -> None:
    if isinstance(alpha, float) and result_type(a, b).category != FLOAT:
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")


def add(input: Any, other: Any, alpha: float = 1) -> Tensor:
    """``a + alpha * b``, broadcast."""
    _whole_alpha(input, other, alpha)
    return promoted(_add, input, other if alpha == 1 else other * alpha)


def sub(input: Any, other: Any, alpha: float = 1) -> Tensor:
    if any(getattr(x, "dtype", None) is dtypes.bool_ or isinstance(x, bool) for x in (input, other)):
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
        )
    _whole_alpha(input, other, alpha)
    return promoted(_sub, input, other if alpha == 1 else other * alpha)


def mul(input: Any, other: Any) -> Tensor:
    return promoted(_mul, input, other)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """``a / b``; ``rounding_mode`` may be "floor" or "trunc"."""
    if rounding_mode is None:
        return promoted(_div, input, other, floating=True)
    if rounding_mode not in ("floor", "trunc"):
        raise RuntimeError(f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'")
    _no_integer_zero(input, other, f"div_{rounding_mode}")
    return promoted(_div_floor if rounding_mode == "floor" else _div_trunc, input, other)


def _no_bools(a: Any, b: Any, name: str) -> None:
    if result_type(a, b) is dtypes.bool_:
        raise NotImplementedError(f"\"{name}\" not implemented for 'Bool'")


def _no_integer_zero(a: Any, b: Any, name: str) -> None:
    """Integers have no infinity: dividing by zero is an error where the host can see it. Raises NotImplementedError for two bools."""
    if result_type(a, b).category == FLOAT:
        return
    _no_bools(a, b, name)
    divisor = b._data if is_tensor(b) else np.asarray(b)
    if isinstance(divisor, np.ndarray) and divisor.size and not divisor.all():
        raise RuntimeError("ZeroDivisionError")


def floor_divide(input: Any, other: Any) -> Tensor:
    _no_integer_zero(input, other, "div_floor")
    return promoted(_floor_divide, input, other)


def remainder(input: Any, other: Any) -> Tensor:
    """What is left of ``input`` after division, with the sign of ``other``."""
    _no_integer_zero(input, other, "remainder")
    return promoted(_remainder, input, other)


def pow(input: Any, exponent: Any) -> Tensor:
    if not is_tensor(exponent) and exponent == 2 and (isinstance(exponent, int) or input.dtype.category == FLOAT):
        return input.square()
    if isinstance(exponent, int) and exponent < 0 and input.dtype.category != FLOAT:
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    if is_tensor(exponent):
        _no_bools(input, exponent, "pow")
    return promoted(_pow, input, exponent)


def maximum(input: Tensor, other: Tensor) -> Tensor:
    """The greater of two elements; the gradient is shared in halves where both are equal."""
    both_tensors("maximum", input, other)
    return promoted(_maximum, input, other)


def minimum(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of two elements; the gradient is shared in halves where both are equal."""
    both_tensors("minimum", input, other)
    return promoted(_minimum, input, other)


# -- selection

_where = elementwise("where", "c a b", lambda m, c, a, b: m.where(c, a, b), a=lambda g, c: where(c, g, 0), b=lambda g, c: where(c, 0, g))
_clamp = elementwise("clamp", "x", lambda m, x, lo, hi: m.clip(x, lo, hi), x=lambda g, x, lo, hi: where(_inside(x, lo, hi), g, 0))
_clamp_min = elementwise("clamp_min", "x lo", "maximum", x=lambda g, x, lo: where(x >= lo, g, 0), lo=lambda g, x, lo: where(x < lo, g, 0))
_clamp_max = elementwise("clamp_max", "x hi", "minimum", x=lambda g, x, hi: where(x <= hi, g, 0), hi=lambda g, x, hi: where(x > hi, g, 0))


def where(condition: Tensor, a: Any = None, b: Any = None) -> Any:
    """``a`` where ``condition`` holds, else ``b``; all three broadcast. Alone, the condition's ``nonzero(as_tuple=True)``."""
    if a is None and b is None:
        return condition.nonzero(as_tuple=True)
    if condition.dtype.name not in ("bool", "uint8"):
        raise RuntimeError(f"where expected condition to be a boolean tensor, but got a tensor with dtype {condition.dtype.legacy_name}")
    d = result_type(a, b)
    return apply(_where, cast(condition, dtypes.bool_), cast(a, d), cast(b, d))


def _inside(x: Tensor, lo: float | None, hi: float | None) -> Tensor:
    if lo is None or hi is None:
        return x <= hi if lo is None else x >= lo
    return (x >= lo) & (x <= hi)


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """``input`` limited to [min, max]; numbers or tensors."""
    tensor_argument(input, "clamp")
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if not is_tensor(min) and not is_tensor(max):
        return apply(_clamp, cast(input, result_type(input, *(v for v in (min, max) if v is not None))), lo=min, hi=max)
    d = result_type(*(v for v in (input, min, max) if v is not None))
    input = cast(input, d)
    for op, limit in ((_clamp_min, min), (_clamp_max, max)):
        if limit is not None:
            input = apply(op, input, cast(limit, d))
    return input


def clamp_min(x: Tensor, min: Any) -> Tensor:
    return clamp(x, min=min)


def clamp_max(x: Tensor, max: Any) -> Tensor:
    return clamp(x, max=max)


# -- comparison and logic


def _comparison(name: str, ufunc: str, numbers: bool = True) -> Callable[[Any, Any], Tensor]:
    op = elementwise(name, "a b", ufunc, np.bool_)

    def compare(input: Any, other: Any) -> Tensor:
        tensor_argument(input, name)
        if not numbers:
            tensor_argument(other, name, "other", 2)
        return promoted(op, input, other)

    compare.__name__ = compare.__qualname__ = name
    compare.__doc__ = f"Element-wise ``{ufunc}``, broadcast; a bool tensor."
    return compare


eq, ne = _comparison("eq", "equal"), _comparison("ne", "not_equal")
lt, le = _comparison("lt", "less"), _comparison("le", "less_equal")
gt, ge = _comparison("gt", "greater"), _comparison("ge", "greater_equal")
logical_and, logical_or = _comparison("logical_and", "logical_and", False), _comparison("logical_or", "logical_or", False)
logical_xor = _comparison("logical_xor", "logical_xor", False)

_bitwise = {name: elementwise(name, "a b", name) for name in ("bitwise_and", "bitwise_or", "bitwise_xor")}
_invert = elementwise("bitwise_not", "x", "invert")
_predicates = {name: elementwise(name, "x", name, np.bool_) for name in ("isnan", "isinf", "isfinite", "logical_not")}


def of_bits(op: Op, *operands: Any, bools: bool = True) -> Tensor:
    """Applies an op on bits. Raises NotImplementedError for floats, and for bools unless they have ``bools``."""
    d = result_type(*operands)
    if d.category == FLOAT or not (bools or d is not dtypes.bool_):
        raise NotImplementedError(f"\"{op.name}_cpu\" not implemented for '{d.legacy_name}'")
    return promoted(op, *operands)


def bitwise_and(input: Any, other: Any) -> Tensor:
    return of_bits(_bitwise["bitwise_and"], input, other)


def bitwise_or(input: Any, other: Any) -> Tensor:
    return of_bits(_bitwise["bitwise_or"], input, other)


def bitwise_xor(input: Any, other: Any) -> Tensor:
    return of_bits(_bitwise["bitwise_xor"], input, other)


def bitwise_not(input: Tensor) -> Tensor:
    if input.dtype.category == FLOAT:
        raise NotImplementedError(f"\"bitwise_not_cpu\" not implemented for '{input.dtype.legacy_name}'")
    return unary(_invert, input, floating=False)


def isnan(input: Tensor) -> Tensor:
    return unary(_predicates["isnan"], input, floating=False)


def isinf(input: Tensor) -> Tensor:
    return unary(_predicates["isinf"], input, floating=False)


def isfinite(input: Tensor) -> Tensor:
    return unary(_predicates["isfinite"], input, floating=False)


def logical_not(input: Tensor) -> Tensor:
    return unary(_predicates["logical_not"], input, floating=False)


__all__ = [
    "add", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "clamp", "clamp_max", "clamp_min", "clone", "div", "eq", "floor_divide", "ge", "gt",
    "isfinite", "isinf", "isnan", "le", "logical_and", "logical_not", "logical_or", "logical_xor", "lt", "maximum", "minimum", "mul", "ne", "pow",
    "remainder", "sub", "where",
]  # fmt: skip
