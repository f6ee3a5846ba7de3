"""Names that programs use around their mathematics: constructors of PyTorch's early days, limits of dtypes."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from engine import dispatch, dtypes
from engine.creation import zeros
from engine.dtypes import dtype as DType
from engine.ops.dims import sizes
from engine.tensor import Size, Tensor, as_array


class TypedTensor:
    """A constructor for one dtype: ``FloatTensor([1, 2])`` holds these numbers, ``FloatTensor(2, 3)`` has this shape."""

    def __init__(self, name: str, dtype: DType) -> None:
        self.__name__, self.dtype = name, dtype

    def __call__(self, *args: Any) -> Tensor:
        if len(args) == 1 and not isinstance(args[0], int):
            return Tensor._wrap(as_array(args[0], self.dtype))
        return zeros(sizes(args) if args else (0,), dtype=self.dtype)

    def __repr__(self) -> str:
        return f"<class 'torch.{self.__name__}'>"


FloatTensor = TypedTensor("FloatTensor", dtypes.float32)
DoubleTensor = TypedTensor("DoubleTensor", dtypes.float64)
HalfTensor = TypedTensor("HalfTensor", dtypes.float16)
ShortTensor = TypedTensor("ShortTensor", dtypes.int16)
IntTensor = TypedTensor("IntTensor", dtypes.int32)
LongTensor = TypedTensor("LongTensor", dtypes.int64)
ByteTensor = TypedTensor("ByteTensor", dtypes.uint8)
CharTensor = TypedTensor("CharTensor", dtypes.int8)
BoolTensor = TypedTensor("BoolTensor", dtypes.bool_)


def is_tensor(obj: Any) -> bool:
    return isinstance(obj, Tensor)


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """All algorithms are deterministic already."""


def is_floating_point(input: Tensor) -> bool:
    return input.is_floating_point()


def is_complex(input: Tensor) -> bool:
    """False: there are no complex tensors."""
    return False


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that tensors of these shapes (or of one dimension, given as an int) have in common. Raises RuntimeError where they do not fit."""
    given = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    if any(n < 0 for s in given for n in s):
        raise RuntimeError(f"Trying to create tensor with negative dimension: {given}")
    return Size(dispatch.broadcast_shapes(*given))


def numel(input: Tensor) -> int:
    return input.numel()


class finfo:  # noqa: N801 - PyTorch's name
    """The limits of a float dtype: ``eps``, ``tiny``, ``max``, ``min``, ``bits``."""

    def __init__(self, type: DType | None = None) -> None:
        d = type or dtypes.get_default_dtype()
        if d.category != dtypes.FLOAT:
            raise TypeError(f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle '{d.name}'")
        limits: Any = (ml_dtypes if d is dtypes.bfloat16 else np).finfo(d.numpy)
        self.eps, self.max, self.min = float(limits.eps), float(limits.max), float(limits.min)
        self.tiny = self.smallest_normal = float(limits.tiny)
        self.bits, self.dtype, self.resolution = 8 * d.itemsize, d.name, float(limits.resolution)


class iinfo:  # noqa: N801 - PyTorch's name
    """The limits of an integer dtype: ``max``, ``min``, ``bits``."""

    def __init__(self, type: DType) -> None:
        if type.category != dtypes.INTEGER:
            raise TypeError(f"torch.iinfo() requires an integer input type. Use torch.finfo to handle '{type.name}'")
        limits = np.iinfo(type.numpy)
        self.max, self.min, self.bits, self.dtype = int(limits.max), int(limits.min), 8 * type.itemsize, type.name
