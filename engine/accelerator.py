"""What programs ask about the device they should prefer (``torch.accelerator``)."""

from __future__ import annotations

from engine.backend import device as Device
from engine.cuda import device_count, is_available, synchronize


def current_accelerator(check_available: bool = False) -> Device | None:
    """The CUDA device, or None where there is none."""
    return Device("cuda") if is_available() else None


__all__ = ["current_accelerator", "device_count", "is_available", "synchronize"]
