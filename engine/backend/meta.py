"""Arrays without elements: what shape rules and the spec's layer table run on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


class MetaArray:
    """A shape and a NumPy dtype; costs no memory whatever its size."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape = tuple(shape)
        self.dtype: np.dtype[Any] = np.dtype(dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __setitem__(self, index: Any, value: Any) -> None:
        """Writes nothing: there are no elements."""

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        """Those of a C-ordered array, in bytes."""
        return tuple(self.dtype.itemsize * math.prod(self.shape[i + 1 :]) for i in range(self.ndim))
