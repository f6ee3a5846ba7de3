"""What programs ask about the device they should prefer (``torch.accelerator``)."""

from __future__ import annotations

from engine.backend import cuda_device_count
from engine.backend import device as Device
from engine.cuda import synchronize


def is_available() -> bool:
    return cuda_device_count() > 0


def device_count() -> int:
    return cuda_device_count()


def current_accelerator(check_available: bool = False) -> Device | None:
    """The CUDA device, or None where there is none."""
    return Device("cuda") if cuda_device_count() else None


__all__ = ["current_accelerator", "device_count", "is_available", "synchronize"]
