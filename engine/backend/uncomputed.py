"""Results that were never computed: what a step's launches leave while it is recorded. They have a shape and a dtype, and views can be
taken of them; whoever looks at their elements would see whatever memory held, and is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


class ElementsNeeded(RuntimeError):
    """Python code looked at elements that depend on what a step is given or on what it computes."""


class Uncomputed(np.ndarray[Any, Any]):
    """An array whose elements nobody may look at. Raises ElementsNeeded."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        raise _needed(ufunc.__name__)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in _ABOUT_SHAPES:
            return super().__array_function__(function, types, args, kwargs)
        raise _needed(function.__name__)

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        if not isinstance(part, np.ndarray) or (part.size and not np.may_share_memory(part, self)):
            raise _needed("an index")
        return part


_ABOUT_SHAPES = {
    np.broadcast_arrays, np.broadcast_to, np.diagonal, np.empty_like, np.expand_dims, np.flip, np.full_like, np.lib.stride_tricks.as_strided,
    np.lib.stride_tricks.sliding_window_view, np.may_share_memory, np.moveaxis, np.ndim, np.ones_like, np.ravel, np.reshape, np.result_type,
    np.rollaxis, np.rot90, np.shape, np.shares_memory, np.size, np.squeeze, np.swapaxes, np.transpose, np.zeros_like,
}  # fmt: skip


def _needed(what: str) -> ElementsNeeded:
    return ElementsNeeded(f"its Python code looks at elements ({what})")


def _refused(name: str) -> Callable[..., Any]:
    def refused(self: Uncomputed, *args: Any, **kwargs: Any) -> Any:
        raise _needed(name)

    return refused


for _name in (
    "all", "any", "argmax", "argmin", "argpartition", "argsort", "astype", "byteswap", "choose", "compress", "copy", "cumprod", "cumsum", "dot", "dump", "dumps",
    "item", "max", "mean", "min", "nonzero", "partition", "prod", "ptp", "put", "repeat", "round", "searchsorted", "sort", "std", "sum", "take", "tobytes",
    "tofile", "tolist", "trace", "var", "__bool__", "__complex__", "__contains__", "__float__", "__index__", "__int__", "__setitem__",
):  # fmt: skip
    setattr(Uncomputed, _name, _refused(_name))


def uncomputed(array: np.ndarray[Any, Any]) -> Uncomputed:
    """The array's memory as one whose elements nobody may look at."""
    return array.view(Uncomputed)


__all__ = ["ElementsNeeded", "Uncomputed", "uncomputed"]
