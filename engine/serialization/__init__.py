"""``save`` and ``load``: tensors and plain containers of them in one file, and nothing in it that could run."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any

import numpy as np

from engine.backend import resolve
from engine.backend.device import device
from engine.dtypes import BY_NAME
from engine.nn.parameter import Parameter
from engine.serialization.pytorch import LEGACY, ZIP, from_pytorch, to_pytorch
from engine.tensor import Size, Tensor, _rebuild

_HARMLESS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("engine.tensor", "_rebuild"): _rebuild,
    ("engine.tensor", "Size"): Size,
    ("engine.nn.parameter", "Parameter"): Parameter,
    ("engine.backend.device", "device"): device,
    **{("engine.dtypes", n): d for n, d in BY_NAME.items()},
    **{
        (f.__module__, getattr(f, "__qualname__", "")): f  # what NumPy's arrays and numbers are rebuilt by
        for f in (np.ndarray, np.dtype, np.ones(1).__reduce_ex__(5)[0], np.ones(1).__reduce__()[0], np.float32(1).__reduce__()[0])
    },
}


class _Unpickler(pickle.Unpickler):
    """Knows only what ``save`` writes for tensors and containers."""

    def find_class(self, module: str, name: str) -> Any:
        found = _HARMLESS.get((module, name))
        if found is None:
            raise pickle.UnpicklingError(
                f"Weights only load failed: the file holds a {module}.{name}, which could run code. If you trust its source, pass weights_only=False"
            )
        return found


def save(obj: Any, f: str | Path | IO[bytes]) -> None:
    """Writes tensors and arrays, and lists, dicts and numbers around them; a whole Module too, which then loads only with ``weights_only=False``."""
    if isinstance(f, str | Path):
        with open(f, "wb") as file:
            pickle.dump(obj, file, protocol=5)
    else:
        pickle.dump(obj, f, protocol=5)


def load(f: str | Path | IO[bytes], map_location: Any = None, *, weights_only: bool = True) -> Any:
    """What ``save`` wrote, or PyTorch did, on the CPU or on ``map_location``; of PyTorch's files only tensors, containers, numbers and text. Raises UnpicklingError for anything that could run code, unless told otherwise."""
    data = Path(f).read_bytes() if isinstance(f, str | Path) else f.read()
    if data.startswith((ZIP, LEGACY)):
        loaded = from_pytorch(data)
    else:
        loaded = (_Unpickler if weights_only else pickle.Unpickler)(io.BytesIO(data)).load()
    return loaded if map_location is None else _moved(loaded, resolve(map_location))


def _moved(x: Any, where: device) -> Any:
    if isinstance(x, Tensor):
        return x.to(where)
    if isinstance(x, dict):
        return type(x)((k, _moved(v, where)) for k, v in x.items())
    return type(x)(_moved(v, where) for v in x) if type(x) in (list, tuple) else x


__all__ = ["from_pytorch", "load", "save", "to_pytorch"]
