"""``device``: where a tensor's elements live."""

from __future__ import annotations

import re
import threading

_PATTERN = re.compile(r"(cpu|cuda|meta)(?::(\d+))?")


class device:  # noqa: N801 - PyTorch's name
    """``device("cuda:1")``, ``device("cuda", 1)`` or ``device("cpu")``; ``meta`` has shapes and types but no elements."""

    __slots__ = ("index", "type")
    type: str
    index: int | None

    def __init__(self, spec: str | device | int, index: int | None = None) -> None:
        if isinstance(spec, device):
            self.type, self.index = spec.type, spec.index
            return
        if isinstance(spec, int):
            spec = f"cuda:{spec}"
        match = _PATTERN.fullmatch(spec)
        if match is None:
            raise RuntimeError(f"Expected one of cpu, cuda, meta, optionally with an index (cuda:0), got the device string: {spec!r}")
        self.type = match[1]
        self.index = int(match[2]) if match[2] else index

    def __enter__(self) -> device:
        """Inside, tensors are made on this device unless they are told where."""
        defaults().append(self)
        return self

    def __exit__(self, *exc: object) -> None:
        defaults().pop()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device(type='{self.type}')" if self.index is None else f"device(type='{self.type}', index={self.index})"


CPU = device("cpu")
META = device("meta")


class _Defaults(threading.local):
    """Of each thread, the devices that tensors are made on, the innermost last: a server checks several specs at once."""

    def __init__(self) -> None:
        self.devices = [CPU]


_defaults = _Defaults()


def defaults() -> list[device]:
    """The default devices of this thread, the innermost last."""
    return _defaults.devices


def get_default_device() -> device:
    """Where tensors are made that are not told where."""
    return _defaults.devices[-1]


def set_default_device(device_: str | device | int | None) -> None:
    """From here on this thread makes tensors there unless it is told where; None is the CPU."""
    _defaults.devices[:] = [CPU if device_ is None else device(device_)]
