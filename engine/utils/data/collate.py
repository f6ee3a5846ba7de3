"""How samples become a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.creation import as_tensor, tensor
from engine.dtypes import float64
from engine.ops.join import stack
from engine.tensor import Tensor


def default_convert(data: Any) -> Any:
    """Arrays to tensors, inside mappings and sequences too; all else as it is."""
    if isinstance(data, np.ndarray | np.generic):
        return data if isinstance(data, np.ndarray) and data.dtype.kind in "SUO" else as_tensor(np.asarray(data))
    if isinstance(data, Mapping):
        return {k: default_convert(v) for k, v in data.items()}
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(d) for d in data))
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return [default_convert(d) for d in data]
    return data


def default_collate(batch: Sequence[Any]) -> Any:
    """Stacks samples along a new first dimension: numbers, arrays, tensors, and mappings and sequences of them.

    Raises TypeError for samples of any other type, RuntimeError for samples of different sizes.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return stack(batch)
    if isinstance(first, np.ndarray | np.generic) and np.asarray(first).dtype.kind not in "SUO":
        return as_tensor(np.stack([np.asarray(b) for b in batch]))
    if isinstance(first, float):
        return tensor(batch, dtype=float64)
    if isinstance(first, bool | int):
        return tensor(batch)
    if isinstance(first, str | bytes):
        return list(batch)
    if isinstance(first, Mapping):
        return {k: default_collate([b[k] for b in batch]) for k in first}
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(default_collate(part) for part in zip(*batch, strict=True)))
    if isinstance(first, Sequence):
        if any(len(b) != len(first) for b in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        return [default_collate(part) for part in zip(*batch, strict=True)]
    raise TypeError(f"default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {type(first)}")
