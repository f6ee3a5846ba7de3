"""Single eager launches by the rules and kernels of captured steps: a program of one call, planned once for its shapes.

Its code, in which every address is one relative to an array or to memory that a thread's launches share, is moved to where these lie.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.capture.arena import lay_out
from engine.capture.builder import FLOAT, Builder
from engine.capture.choice import Choice
from engine.capture.instruction import encoded
from engine.capture.layout import Buffer, Storage, dense_steps
from engine.capture.record import Call, NotCaptured, Tape, Value
from engine.dispatch import Op
from engine.kernels.native import Native, address

Floats = np.ndarray[Any, Any]
MOST = 256 << 20
"""Bytes that a thread keeps to compute in."""
KEPT = 1024
"""Programs that are kept for launches to come."""


class _Memory(threading.local):
    """Where a thread's launches compute, one after the other: new memory takes as long to get as to use."""

    held = np.empty(0, np.uint8)

    def of(self, nbytes: int) -> np.ndarray[Any, Any]:
        if nbytes > self.held.size:
            memory = np.empty(nbytes, np.uint8)
            if nbytes > MOST:
                return memory
            self.held = memory
        return self.held


_memory = _Memory()


class _First(Choice):
    """The first candidate, never timed: eager steps have the same bits in every process."""

    def of(self, key: str, candidates: Sequence[int], time: Callable[[int, float], float], least: Callable[[int], float]) -> int:
        return candidates[0]


class Alone:
    """``run(outs, ins)`` computes an op on arrays without gaps, of the shapes of those that it was made with. Raises NotCaptured where kernels do not cover it."""

    def __init__(self, kernels: Native, op: Op, outs: Sequence[Floats], ins: Sequence[Floats], attrs: dict[str, Any]) -> None:
        call = Call(op, [Value(x.shape, x.dtype, array=x) for x in ins], attrs, [Value(y.shape, y.dtype) for y in outs])
        tape = Tape()
        tape.calls, tape.externals, tape.results = [call], call.ins, call.outs
        for v in call.ins:
            v.uses.append(call)
        for v in call.outs:
            v.maker = call
        builder = Builder(tape, kernels, True, {})
        builder.choice = _First({})
        builder.build()
        if any(i.kernel == "python" for i in builder.instructions):
            raise NotCaptured(f"no kernel does {op.name} of these shapes")
        places = {id(builder.storage[v].buffer): k for k, v in enumerate(call.ins, len(outs))}
        for k, (v, y) in enumerate(zip(call.outs, outs, strict=True)):
            s = builder.of(v)
            if s.buffer.array is None and s.is_dense() and s.start == 0:
                s.buffer.array = y
                places[id(s.buffer)] = k
            else:
                to = Storage(Buffer(y.nbytes, y), 0, y.shape, dense_steps(y.shape), FLOAT)
                places[id(to.buffer)] = k
                builder.copy(s, to)
        self._constants = []  # numbers of formulas, which the code names by their address
        for s, numbers, _ in builder.constants:
            s.buffer.array = np.array(numbers, FLOAT)
            self._constants.append(s.buffer.array)
        self.nbytes = lay_out(builder.instructions, [])
        numbers = [a for i in builder.instructions for a in encoded(kernels, i)]
        self._code = np.zeros(len(numbers), np.int64)
        bases = np.full(len(numbers), -1)
        for at, a in enumerate(numbers):
            if not isinstance(a, Storage):
                self._code[at] = a
            elif a.buffer.array is None:
                self._code[at], bases[at] = a.buffer.offset + a.start, len(outs) + len(ins)
            elif id(a.buffer) in places:
                self._code[at], bases[at] = a.start, places[id(a.buffer)]
            else:
                self._code[at] = a.address(0)
                self._constants.append(a.buffer.array)
        self._moved = np.flatnonzero(bases >= 0)
        self._bases = bases[self._moved]
        self._run = kernels.run

    def run(self, outs: Sequence[Floats], ins: Sequence[Floats]) -> None:
        memory = _memory.of(self.nbytes + 64)
        arena = (address(memory) + 63) // 64 * 64
        starts = np.array([*map(address, outs), *map(address, ins), arena])
        code = self._code.copy()
        code[self._moved] += starts[self._bases]
        self._run(address(code), len(code))


_programs: dict[Any, Alone | None] = {}


def program(kernels: Native, op: Op, outs: Sequence[Floats], ins: Sequence[Floats], attrs: dict[str, Any]) -> Alone | None:
    """How to launch ``op`` on these arrays and others of their shapes and dtypes; None where kernels do not cover it."""
    key = (
        op.name,
        *[(x.shape, x.dtype.char) for x in ins],
        *[(name, (v.shape, v.tobytes()) if isinstance(v, np.ndarray) else v) for name, v in attrs.items()],
    )
    if key not in _programs:
        if len(_programs) >= KEPT:
            _programs.clear()
        try:
            _programs[key] = Alone(kernels, op, outs, ins, attrs)
        except NotCaptured:
            _programs[key] = None
    return _programs.get(key)
