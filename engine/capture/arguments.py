"""The arguments of a program. It has memory for them, to which they are copied; a large one that only products read is read where it
lies, if that is where a line of the cache begins: else vectors would lie in two, which costs what the copy costs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from engine.backend.memory import LINE
from engine.capture.instruction import Instruction
from engine.capture.layout import Buffer, Storage
from engine.kernels.native import address

Floats = np.ndarray[Any, Any]
LARGE = 1 << 14
"""Bytes from which on an argument is not copied where that can be avoided."""
_EXACT = ("matmul", "matmul_update")
"""Kernels that read nothing beyond their operands' ends."""


class Argument:
    """``array`` is the program's memory for an argument; ``uses`` are the numbers of the program that are places in it."""

    __slots__ = ("array", "dtype", "nbytes", "place", "shape", "uses", "written")

    def __init__(self, array: Floats, uses: Sequence[tuple[Floats, int, int]], written: Written) -> None:
        self.array, self.nbytes, self.place = array, array.nbytes, address(array)
        self.shape, self.dtype = array.shape, array.dtype
        self.uses, self.written = uses, written

    def take(self, given: Floats) -> None:
        """The program is about to run on ``given``, of the same shape and dtype."""
        if self.uses and given.flags.c_contiguous:
            place = address(given)
            if place == self.place:
                return None
            if place % LINE == 0 and not self.written.meets(place, place + self.nbytes):
                return self._point(place)
        self.home()[...] = given
        return None

    def home(self) -> Floats:
        """The program's own memory, which it reads from now on."""
        if self.uses:
            self._point(address(self.array))
        return self.array

    def _point(self, place: int) -> None:
        for code, at, start in self.uses:
            code[at] = place + start
        self.place = place


class Written:
    """Memory outside of the arena that a program writes to."""

    def __init__(self, arrays: Iterable[Floats]) -> None:
        spans = sorted({(address(a), address(a) + a.nbytes) for a in arrays})
        self.lows = [low for low, _ in spans]
        self.highs = list(accumulate((high for _, high in spans), max))

    def meets(self, low: int, high: int) -> bool:
        before = bisect_left(self.lows, high)  # those that begin below its end
        return before > 0 and self.highs[before - 1] > low


def readable_in_place(inputs: Sequence[Storage], kept: Sequence[Storage], instructions: Sequence[Instruction]) -> set[Buffer]:
    """The buffers of arguments that can be read where they lie."""
    found = {s.buffer for s in inputs if s.buffer.nbytes >= LARGE and s.is_dense()} - {s.buffer for s in kept}
    for i in instructions:
        found -= {s.buffer for s in (i.writes if i.kernel in _EXACT else (*i.reads, *i.writes))}
    return found
