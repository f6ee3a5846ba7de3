"""What programs ask about CUDA before they choose a device, and say to one (``torch.cuda``)."""

from __future__ import annotations

from typing import Any

from engine.backend import cuda_device_count, cupy
from engine.backend import device as Device
from engine.cuda import amp
from engine.ops.random import manual_seed


def is_available() -> bool:
    return cuda_device_count() > 0


def device_count() -> int:
    return cuda_device_count()


def current_device() -> int:
    """The number of the device that new CUDA arrays go to. Raises RuntimeError where there is none."""
    return int(cupy().cuda.runtime.getDevice())


def set_device(device: Any) -> None:
    index = device if isinstance(device, int) else Device(device).index or 0
    cupy().cuda.Device(index).use()


def get_device_name(device: Any = None) -> str:
    index = current_device() if device is None else device if isinstance(device, int) else Device(device).index or 0
    return str(cupy().cuda.runtime.getDeviceProperties(index)["name"].decode())


def empty_cache() -> None:
    """Gives memory that is held but not used back to the driver."""
    if cuda_device_count():
        cupy().get_default_memory_pool().free_all_blocks()


def memory_reserved(device: Any = None) -> int:
    """Bytes held, in use or not."""
    return int(cupy().get_default_memory_pool().total_bytes()) if cuda_device_count() else 0


def memory_allocated(device: Any = None) -> int:
    """Bytes in use by arrays."""
    return int(cupy().get_default_memory_pool().used_bytes()) if cuda_device_count() else 0


manual_seed_all = manual_seed
"""One seed serves every device."""


def synchronize(device: Any = None) -> None:
    """Waits for what a device has been given to do; without a device there is nothing to wait for."""
    if cuda_device_count():
        cupy().cuda.runtime.deviceSynchronize()


__all__ = [
    "amp", "current_device", "device_count", "empty_cache", "get_device_name", "is_available", "manual_seed", "manual_seed_all", "memory_allocated",
    "memory_reserved", "set_device", "synchronize",
]  # fmt: skip
