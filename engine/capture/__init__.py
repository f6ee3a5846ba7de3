"""``compile``: a step is recorded once and replayed as a flat program, planned and fused for the arguments' shapes."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import numpy as np

from engine.backend.uncomputed import uncomputed
from engine.capture import single, updates
from engine.capture.guards import Guards
from engine.capture.program import Changed, Program
from engine.capture.reads import Reads
from engine.capture.record import NotCaptured, Recorder, Tape
from engine.capture.watch import Watch
from engine.dispatch import only_recorded
from engine.kernels.native import native
from engine.modes import is_grad_enabled
from engine.nn.module import Module, compilers, entering
from engine.ops.join import stack
from engine.tensor import Tensor

_log = logging.getLogger("engine.capture")
MODES = 4
"""Programs kept for one signature: of a model in training, in evaluation, with frozen layers .."""
ROOM = 512 << 20
"""Bytes that the programs of one signature may take together; the latest is kept in any case."""
ANEW = 8
"""Recordings that changed values may cost; beyond that, a step is recorded anew only if each recording was good for as many replays."""

_OWN = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
"""Errors of a step itself, or of its meeting numbers that were never computed: running it as it is tells."""


class Compiled:
    """A step that records itself for each signature of arguments, then replays. What it cannot record it runs as it is."""

    def __init__(self, step: Callable[..., Any], *, fuse: bool = True, plan: dict[str, int] | None = None) -> None:
        functools.update_wrapper(self, step)
        self.step, self.fuse = step, fuse
        self.plan: dict[str, int] = {} if plan is None else plan
        self.programs: dict[Any, list[Program] | None] = {}  # by signature; None for what cannot be recorded
        self.latest: Program | None = None  # the one that ran last
        self.replays = 0
        self._renewals: Counter[Any] = Counter()  # by signature: recordings that changed values made necessary

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if named or only_recorded():  # arguments by name, or a part of another step
            return self.step(*arguments, **named)
        program = self.latest
        if program is None or not program.fits(arguments):
            program = self.latest = self._program(arguments)
        if program is None:
            return self.step(*arguments)
        try:
            program.replay(arguments)
        except Changed as change:
            program = self.latest = self._anew(arguments, change)
            if program is None:
                return self.step(*arguments)
            program.replay(arguments)
        self.replays += 1
        found = [Tensor._wrap(array.copy()) for array in program.outputs]
        return found[0] if program.single else tuple(found) if found else None

    def many(self, *arguments: Any) -> Any:
        """Several steps at once: each argument has a row for each step, and so has what is returned.

        Where the step is one native program, so are they all: for small networks, the time that Python takes for a step is saved.
        """
        program = self._program(tuple(x[0] for x in arguments))
        found = None
        if program is not None and program.is_native:
            with contextlib.suppress(Changed):  # one of the steps is another one: each by itself
                found = [Tensor._wrap(rows) for rows in program.run_many(arguments)]
                self.replays += len(arguments[0])
        if program is None or found is None:
            each = [self(*(x[i] for x in arguments)) for i in range(len(arguments[0]))]
            if not each or each[0] is None:
                return None
            return stack(each) if isinstance(each[0], Tensor) else tuple(stack(list(column)) for column in zip(*each, strict=True))
        return found[0] if program.single else tuple(found) if found else None

    def _program(self, arguments: tuple[Any, ...]) -> Program | None:
        """The program for arguments like these, made if there is none yet; None where the step has to run as it is."""
        key = (
            is_grad_enabled(),
            *[(x._data.shape, x._data.dtype, type(x._data)) if isinstance(x, Tensor) else id(type(x)) for x in arguments],
        )
        held = self.programs.get(key, ())
        for program in held or ():
            if program.guards.hold():
                return program
        if held is None or (held and self._changes_too_often(key, held[0].guards)):
            self.programs[key] = None
            return None
        made = self._prepare(arguments)
        self.programs[key] = None if made is None else _kept([made, *held])
        return made

    def _changes_too_often(self, key: Any, guards: Guards) -> bool:
        """Whether recording the step once more, because of what its program of before was guarded by, is not worth it."""
        change = guards.broken()
        self._renewals[key] += 1
        if self._renewals[key] <= ANEW or self.replays >= ANEW * self._renewals[key]:
            _log.info("%s is recorded anew: %s", self._name, change)
            return False
        _log.warning(
            "%s runs without capture from here on: it was recorded anew %d times in %d steps, this time because %s",
            self._name, self._renewals[key] - 1, self.replays, change,
        )  # fmt: skip
        return True

    def _anew(self, arguments: tuple[Any, ...], change: Changed) -> Program | None:
        _log.info("%s is recorded anew: %s", self._name, change)
        self.programs = {k: None if p is None else [] for k, p in self.programs.items()}
        return self._program(arguments)

    @property
    def _name(self) -> str:
        return getattr(self.step, "__qualname__", repr(self.step))

    def _prepare(self, arguments: tuple[Any, ...]) -> Program | None:
        """Records the step twice, or three times, so that what changes from one time to the next is seen, takes both back, and plans the program."""
        if any(isinstance(x, Tensor) and not isinstance(x._data, np.ndarray) for x in arguments):
            _log.info("%s runs without capture: its arguments are not on the CPU", self._name)
            return None
        watch = Watch(self.step)
        try:
            if not all(isinstance(x, Tensor) for x in arguments):
                raise NotCaptured("its arguments are not all tensors")
            first, single = self._record(arguments, 0, watch.begin())
            try:
                for leaf, _ in first.gradients:  # a step that does not clear gradients meets them, and is refused
                    leaf.grad = leaf.new_zeros(leaf.shape)
                second, _ = self._record(tuple(Tensor._wrap(uncomputed(np.roll(x._data, 1))) for x in arguments), 1, watch.begin())
            finally:
                for leaf, _ in first.gradients:
                    leaf.grad = None
            difference = first.same(second)
            if difference:  # it may have made something for all the times to come: a mask, say
                first, single = self._record(arguments, 0, watch.begin())
                difference = second.same(first)
            guards = watch.guards()
            if difference:
                raise NotCaptured(difference)
            program = self._planned(first)
        except NotCaptured as reason:
            watch.undo()
            _log.warning("%s runs without capture: %s", self._name, reason)
            return None
        program.single, program.guards = single, guards
        if program.launched and self.fuse:
            _log.info("%s: launched from Python: %s", self._name, ", ".join(sorted(set(program.launched))))
        return program

    def _planned(self, tape: Tape) -> Program:
        try:
            return Program(tape, native(), self.fuse, self.plan)
        except NotCaptured:
            raise
        except Exception as error:  # a fault of ours, where the step itself can run
            _log.exception("a fault of Epochline, not of %s: please report it", self._name)
            raise NotCaptured(f"planning it failed ({type(error).__name__}: {error})") from error

    def _record(self, arguments: tuple[Any, ...], mark: int, reads: Reads) -> tuple[Tape, bool]:
        recorder = Recorder(arguments, mark)
        try:
            result = recorder.run(self.step, arguments, reads)
        except _OWN as error:
            raise NotCaptured(f"{type(error).__name__}: {error}") from error
        finally:
            recorder.undo()
        return recorder.tape, isinstance(result, Tensor)


def _kept(programs: list[Program]) -> list[Program]:
    """Those that are kept of the programs of one signature, the latest first."""
    sizes = accumulate(p.nbytes for p in programs)
    return [p for i, (p, size) in enumerate(zip(programs, sizes, strict=True)) if i == 0 or (i < MODES and size <= ROOM)]


def compile(
    step: Any = None, *, fuse: bool = True, plan: dict[str, int] | None = None, fullgraph: bool = False, dynamic: Any = None, backend: Any = None, mode: Any = None,
    options: Any = None, disable: bool = False,
) -> Any:  # fmt: skip
    """``step`` as a program: a function of tensors that computes, calls ``backward`` and an optimizer's ``step``, and returns tensors.

    The first call with new shapes records the step, without doing it twice; later ones replay it. Without ``fuse`` the program runs the
    same kernels as the step, and gives the same bits. ``plan`` holds which algorithm timing chose for each layer: it is added to, and
    what it holds already is not timed again. Whatever of Python's values the step read is looked at before each replay (docs/capture.md): where
    one changed, the step is recorded anew. Returned tensors are outside of the graph. A step that cannot be recorded (its Python looks at elements, say) runs as it is, and a
    line is logged that says why.

    A module is given back as it is, with a ``forward`` that is a program where nobody differentiates it: under ``no_grad``. Without a step it is a decorator.
    What else PyTorch's ``compile`` is told is taken and has no effect; with ``disable`` nothing has.
    """
    if step is None:
        return functools.partial(compile, fuse=fuse, plan=plan, disable=disable)
    if disable:
        return step
    if not isinstance(step, Module):
        return Compiled(step, fuse=fuse, plan=plan)
    step.__dict__["forward"] = Compiled(functools.partial(_forward, step), fuse=fuse, plan=plan)
    return step


def _forward(module: Module, *arguments: Any, **named: Any) -> Any:
    """A module's own ``forward``, which recorders see."""
    for tell in entering:
        tell(module)
    return type(module).forward(module, *arguments, **named)


compilers.append(compile)
single.install()
updates.install()

__all__ = ["Compiled", "compile"]
