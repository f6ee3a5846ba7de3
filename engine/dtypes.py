"""Element types and PyTorch's rules for mixing them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

BOOL, INTEGER, FLOAT = 0, 1, 2


class dtype:  # noqa: N801 - PyTorch's name
    """An element type; one instance per type, compared by identity (``torch.dtype``)."""

    __slots__ = ("category", "itemsize", "name", "numpy")

    def __init__(self, name: str, numpy: Any, category: int) -> None:
        self.name = name
        self.numpy: np.dtype[Any] = np.dtype(numpy)
        self.category = category
        self.itemsize = self.numpy.itemsize

    @property
    def is_floating_point(self) -> bool:
        return self.category == FLOAT

    @property
    def legacy_name(self) -> str:
        """The name that PyTorch's messages use: ``Float`` for float32."""
        return _LEGACY[self.name]

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name


bool_ = dtype("bool", np.bool_, BOOL)
uint8 = dtype("uint8", np.uint8, INTEGER)
int8 = dtype("int8", np.int8, INTEGER)
int16 = short = dtype("int16", np.int16, INTEGER)
int32 = int_ = dtype("int32", np.int32, INTEGER)
int64 = long = dtype("int64", np.int64, INTEGER)
float16 = half = dtype("float16", np.float16, FLOAT)
bfloat16 = dtype("bfloat16", ml_dtypes.bfloat16, FLOAT)
float32 = float_ = dtype("float32", np.float32, FLOAT)
float64 = double = dtype("float64", np.float64, FLOAT)

char = int8


class Layout:
    """``torch.strided`` and the names of memory formats: all tensors are strided, in C order when new."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"


strided, contiguous_format, preserve_format = Layout("strided"), Layout("contiguous_format"), Layout("preserve_format")
_LEGACY = {
    "bool": "Bool", "uint8": "Byte", "int8": "Char", "int16": "Short", "int32": "Int", "int64": "Long", "float16": "Half",
    "bfloat16": "BFloat16", "float32": "Float", "float64": "Double",
}  # fmt: skip
ALL = (bool_, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64)
BY_NAME = {d.name: d for d in ALL}
BY_NUMPY = {d.numpy: d for d in ALL}
_default = float32


def named(d: Any) -> dtype:
    """The type meant by ``dtype=``: one of these, or Python's ``bool``, ``int`` (int64) or ``float`` (float64)."""
    found = {bool: bool_, int: int64, float: float64}.get(d, d) if isinstance(d, type) else d
    if not isinstance(found, dtype):
        raise TypeError(f"dtype must be torch.dtype, got {d!r}")
    return found


def from_numpy_dtype(numpy_dtype: Any) -> dtype:
    """The engine's type for a NumPy one. Raises TypeError for a type PyTorch does not have."""
    found = BY_NUMPY.get(numpy_dtype) or BY_NUMPY.get(np.dtype(numpy_dtype))
    if found is None:
        supported = ", ".join(d.name for d in ALL)
        raise TypeError(f"can't convert np.ndarray of type {np.dtype(numpy_dtype)}; the supported types are: {supported}")
    return found


def last_integer(d: dtype) -> int:
    """The greatest integer up to which a type holds all."""
    if d.category == BOOL:
        return 1
    return (
        int(np.iinfo(d.numpy).max) if d.category == INTEGER else 2 ** {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}[d.name]
    )


def least_normal(d: dtype) -> float:
    """The least positive number that a type holds with all its bits."""
    return float(ml_dtypes.finfo(d.numpy).tiny)  # type: ignore[no-untyped-call]  # ml_dtypes says no types


def before(bound: float, other: float, d: dtype) -> float:
    """The number next to ``bound`` in a type, on the side of ``other``."""
    return float(np.nextafter(d.numpy.type(bound), d.numpy.type(other)))


def get_default_dtype() -> dtype:
    return _default


def set_default_dtype(d: dtype) -> None:
    """Sets the type of float literals and of float results of integer operands."""
    global _default
    if not isinstance(d, dtype) or d.category != FLOAT:
        raise TypeError(f"only floating-point types are supported as the default type, got {d!r}")
    _default = d


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest type that holds both (``torch.promote_types``)."""
    if type1 is type2:
        return type1
    if type1.category != type2.category:
        return type1 if type1.category > type2.category else type2
    if type1.category == FLOAT and type1.itemsize == type2.itemsize:  # float16 with bfloat16
        return float32
    if type1.category == FLOAT:
        return type1 if type1.itemsize > type2.itemsize else type2
    return from_numpy_dtype(np.promote_types(type1.numpy, type2.numpy))


def of_scalar(value: bool | int | float) -> dtype:
    """The type a Python number has on its own."""
    if isinstance(value, bool | np.bool_):
        return bool_
    return int64 if isinstance(value, int | np.integer) else _default


def result_type(*operands: Any) -> dtype:
    """PyTorch's promotion: tensors with dimensions decide over zero-dimensional ones, these over Python numbers, unless the
    weaker operand is of a higher category (bool < integer < float).

    Source: the type promotion section of PyTorch's "Tensor Attributes" page.
    """
    ranked: list[dtype | None] = [None, None, None]  # with dimensions, zero-dimensional, numbers
    for x in operands:
        d = getattr(x, "dtype", None)
        if isinstance(d, dtype):
            rank = 0 if x.ndim else 1
        else:
            rank, d = 2, of_scalar(x)
        held = ranked[rank]
        ranked[rank] = d if held is None else promote_types(held, d)
    result: dtype | None = None
    for d in ranked:
        if d is not None and (result is None or d.category > result.category):
            result = d
    assert result is not None, "result_type needs an operand"
    return result
