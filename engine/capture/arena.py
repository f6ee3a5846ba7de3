"""One stretch of memory for all buffers of a program: buffers that are not needed at the same time lie in the same place."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

from engine.backend.memory import LINE
from engine.capture.builder import Instruction
from engine.capture.layout import Buffer, Storage

SLACK = 256  # bytes that a kernel may read, not use, past a buffer


def lifetimes(instructions: Sequence[Instruction]) -> dict[Buffer, list[int]]:
    """The first and the last instruction that touches each buffer of the arena."""
    spans: dict[Buffer, list[int]] = {}
    for i, instruction in enumerate(instructions):
        for s in (*instruction.reads, *instruction.writes):
            if s.buffer.array is None:
                spans.setdefault(s.buffer, [i, i])[1] = i
    return spans


def lay_out(instructions: Sequence[Instruction], kept: Sequence[Storage]) -> int:
    """Gives every buffer its offset; pinned ones a place of their own. Returns the bytes of the arena.

    Large buffers are placed first, each at the lowest offset where it meets no other that lives at the same time.
    """
    spans = lifetimes(instructions)
    for s in kept:
        if s.buffer.array is None:
            spans.setdefault(s.buffer, [0, 0])
    placed: list[tuple[int, int, int, int]] = []  # start, end, first, last; in order
    end = 0
    everything = len(instructions)
    for buffer, (first, last) in sorted(spans.items(), key=lambda item: -item[0].nbytes):
        if buffer.pinned:
            first, last = -1, everything
        size = (buffer.nbytes + SLACK + LINE - 1) // LINE * LINE
        at = 0
        for low, high, begins, ends in placed:
            if begins <= last and first <= ends:
                if at + size <= low:
                    break
                if high > at:
                    at = high
        buffer.offset = at
        insort(placed, (at, at + size, first, last))
        end = max(end, at + size)
    return end
