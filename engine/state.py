"""Saving and loading tensors in the safetensors format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from engine.backend import transfer
from engine.backend.device import CPU
from engine.tensor import Tensor


def to_bytes(tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """The safetensors file of named tensors."""
    return save(
        {k: np.ascontiguousarray(transfer(x._data, CPU)) if x.ndim else transfer(x._data, CPU) for k, x in tensors.items()}, metadata
    )


def save_file(tensors: Mapping[str, Tensor], path: str | Path, metadata: dict[str, str] | None = None) -> None:
    """Writes named tensors, a ``state_dict`` say, to a file that any safetensors reader loads."""
    Path(path).write_bytes(to_bytes(tensors, metadata))


def optimizer_slots(named: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """An optimizer's state by the number of each parameter, from names such as ``optimizer.3.exp_avg``."""
    slots: dict[int, dict[str, Any]] = {}
    for key, value in named.items():
        _, n, slot = key.split(".", 2)
        slots.setdefault(int(n), {})[slot] = value
    return slots


def metadata(card: Mapping[str, Any]) -> dict[str, str]:
    """The metadata of a model's file: PyTorch's format, and what is known of the model, each as JSON."""
    return {"format": "pt", **{k: json.dumps(v) for k, v in card.items()}}


def load(path: str | Path) -> dict[str, Tensor]:
    """The named tensors of a file. Raises FileNotFoundError, or safetensors' error for a file that is not one."""
    return {k: Tensor._wrap(x) for k, x in load_file(str(path)).items()}
