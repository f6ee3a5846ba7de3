"""Sizes that no machine could train: found by arithmetic, before anything as large is computed with."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from engine.spec.problems import Problem, pointer

MAX_BYTES = 1 << 40
"""What training may take in all, on the largest of machines."""
MAX_EXTENT = 1 << 16
"""The largest size of a window, a border or a map along one axis that a layer may ask for."""
MAX_REPEATS = 256
"""How many layers one layer may be made of, and how often an architecture may repeat a block."""
MAX_POSITIONS = 1 << 26
"""How many places a map may have, such as the pixels of an image or the steps of a sequence."""
_MAX_INTEGER = (1 << 63) - 1
_EXTENTS = (
    "dilation", "downscale_factor", "kernel_size", "max_len", "output_padding", "output_size", "padding", "scale_factor", "size", "stride", "upscale_factor",
)  # fmt: skip

_REPEATS = ("depth", "depths", "num_layers")


def _numbers(value: Any) -> Iterator[int | float]:
    if isinstance(value, list | tuple):
        for v in value:
            yield from _numbers(v)
    elif isinstance(value, int | float):
        yield value


def check_arguments(kind: str, arguments: dict[str, Any], at: str) -> list[Problem]:
    """What is too large among the arguments of a layer of this ``kind``."""
    problems = []
    wanted = arguments.get("output_size")
    extents = [wanted] * int(kind[-2]) if isinstance(wanted, int) and kind[-2:] in ("1d", "2d", "3d") else list(_numbers(wanted))
    if extents and math.prod(extents) > MAX_POSITIONS:
        detail = f"expected at most {MAX_POSITIONS:,} places a channel, got {wanted}"
        return [Problem(pointer(at, "output_size"), "too_large", detail, MAX_POSITIONS, wanted)]
    for name, value in arguments.items():
        limit = MAX_EXTENT if name in _EXTENTS else MAX_REPEATS if name in _REPEATS else _MAX_INTEGER
        if any(abs(n) > limit for n in _numbers(value)):
            problems.append(
                Problem(pointer(at, name), "too_large", f"expected numbers of at most {limit}, got {value}"[:300], limit, value)
            )
    return problems


def check_map(shape: tuple[int, ...], at: str) -> list[Problem]:
    """Whether what a layer yields, ``(N, C, ...)``, has too many places, or none."""
    found = "x".join(map(str, shape[1:]))
    if 0 in shape:
        return [Problem(at, "yields_nothing", f"yields {found}: no number at all", None, list(shape[1:]))]
    positions = math.prod(shape[2:])
    if positions <= MAX_POSITIONS:
        return []
    return [
        Problem(
            at,
            "too_large",
            f"yields {found}, which is {positions:,} places a channel: expected at most {MAX_POSITIONS:,}",
            MAX_POSITIONS,
            positions,
        )
    ]


def in_units(size_bytes: int) -> str:
    """``1.5 GiB`` and the like."""
    for unit, power in (("TiB", 40), ("GiB", 30), ("MiB", 20)):
        if size_bytes >= 1 << power:
            return f"{size_bytes / (1 << power):,.1f} {unit}"
    return f"{size_bytes / 1024:,.1f} KiB"
