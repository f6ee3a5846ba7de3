"""A recorded step as a program: planned once, replayed with one native call between what Python has to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

import engine.capture.rules  # noqa: F401 - registers the rules
from engine.capture.arena import lay_out
from engine.capture.arguments import Argument, Written, readable_in_place
from engine.capture.builder import Builder, Instruction
from engine.capture.formula import Live, flags
from engine.capture.guards import Guards
from engine.capture.instruction import encoded, joined
from engine.capture.layout import Buffer, Storage
from engine.capture.record import Tape
from engine.dispatch import launch
from engine.kernels.native import Native, address
from engine.modes import is_grad_enabled
from engine.ops.random import current_generator
from engine.optim.optimizer import Hyper, Optimizer
from engine.tensor import Tensor

_Result = TypeVar("_Result")
_Plan = tuple[list[tuple[Live, bool]], list[tuple[np.ndarray[Any, Any], int, Callable[[dict[str, Any]], float]]]]


class _Group:
    """The parameters of an optimizer's group that a program updates alike, and the numbers it updates them with."""

    def __init__(self, hyper: Hyper) -> None:
        self.optimizer: Optimizer = hyper.optimizer
        self.group = hyper.group
        self.parameters = {id(p._data): p for p in self.group["params"]}
        self.members: list[tuple[Tensor, dict[str, np.ndarray[Any, Any]]]] = []
        self.numbers: list[tuple[np.ndarray[Any, Any], list[Any]]] = []
        self.flags = flags(hyper)
        self.guards: list[tuple[Live, bool]] = []
        self.last: dict[str, Any] | None = None
        self.plans: dict[tuple[str, ...], _Plan] = {}  # by the hyperparameters that are others than in the step before
        self.states: list[dict[str, Any]] = []
        self.before: Sequence[Any] = ()
        self.version = -1
        self.sizes = [len(g["params"]) for g in self.optimizer.param_groups]
        self.settled = False  # whether every parameter's state holds the program's arrays

    def bind(self) -> None:
        """Finds the state of each parameter, and puts what was loaded into it where the program has it."""
        if [len(g["params"]) for g in self.optimizer.param_groups] != self.sizes:
            raise Changed("the optimizer has other parameter groups")
        states = [self.optimizer.state[parameter] for parameter, _ in self.members]
        pace = self.optimizer.pace(self.group, states[0])
        if any(self.optimizer.pace(self.group, state) != pace for state in states):
            raise Changed("some of the optimizer's parameters were updated without the others")
        for (_, slots), state in zip(self.members, states, strict=True):
            for name, array in slots.items():
                held = state.get(name)
                if held is None:
                    array[...] = self.optimizer.initial(name, self.group)
                elif held._data is not array:
                    array[...] = held._data
                    state[name] = Tensor._wrap(array)
        self.states, self.version, self.settled = states, self.optimizer.changes, False

    def retreat(self) -> None:
        """Takes the count back: no step was made."""
        for state in self.states:
            for name, value in zip(self.optimizer.numbers, self.before, strict=True):
                if value is None:
                    state.pop(name, None)
                else:
                    state[name] = value

    def _plan(self, changed: tuple[str, ...]) -> _Plan:
        """What has to be looked at where these hyperparameters are others than in the step before: choices, and numbers of the program."""
        guards = [(guard, answer) for guard, answer in self.guards if not guard.names.isdisjoint(changed)]
        numbers = [(array, i, live.find) for array, finds in self.numbers for i, live in finds if not live.names.isdisjoint(changed)]
        self.plans[changed] = guards, numbers
        return guards, numbers

    def advance(self) -> None:
        """Counts the step and puts the numbers that it is made with where the program has them. Raises Changed, the step not counted."""
        self._begin()
        self._count()
        self._end()

    def advance_by(self, steps: int) -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
        """The same for several steps: where the program has numbers, and what they are in each. Raises Changed, no step counted."""
        self._begin()
        tables = [(array, np.empty((steps, array.size), array.dtype)) for array, _ in self.numbers]
        for i in range(steps):
            self._count()
            for array, table in tables:
                table[i] = array
        self._end()
        return tables

    def _begin(self) -> None:
        if self.version != self.optimizer.changes:
            self.bind()
        self.before = tuple(map(self.states[0].get, self.optimizer.numbers))

    def _count(self) -> None:
        """A step of the first parameter, for all of them."""
        hyper, last = self.optimizer.advance(self.group, self.states[0]), self.last
        if last is None or hyper != last:
            changed = tuple([k for k, v in hyper.items() if last is None or v != last[k]])
            guards, numbers = self.plans.get(changed) or self._plan(changed)
            others = flags(hyper) != self.flags if last is None else False
            for k in changed if last else ():
                others = others or hyper[k] is None or k in self.flags
            if others or (guards and any(bool(guard.find(hyper)) is not answer for guard, answer in guards)):
                self.retreat()
                raise Changed(f"the optimizer's settings changed in a way that changes what is computed: {last} became {hyper}")
            for array, i, find in numbers:
                array[i] = find(hyper)
            self.last = hyper

    def _end(self) -> None:
        """The other parameters' counts, and at first the slots."""
        first = self.states[0]
        for name in self.optimizer.numbers:
            value = first[name]
            for state in self.states:
                state[name] = value
        if self.settled:
            return
        for (_, slots), state in zip(self.members, self.states, strict=True):
            if len(slots) and next(iter(slots)) not in state:
                for name, array in slots.items():
                    state[name] = Tensor._wrap(array)
        self.settled = True


class Changed(Exception):
    """The program no longer is what the step would do: it has to be recorded anew."""


class Program:
    """Replays a tape. ``run(arguments)`` does what the recorded step did, on new arguments of the same shapes and dtypes."""

    def __init__(self, tape: Tape, native: Native | None, fuse: bool, plan: dict[str, int]) -> None:
        builder = Builder(tape, native, fuse, plan)
        builder.build()
        self.tape, self.native, self.builder = tape, native, builder
        instructions = builder.instructions
        self.results = [builder.of(v) for v in tape.results]
        gradients = [builder.dense(v) for _, v in tape.gradients]
        kept = [*builder.inputs, *self.results, *gradients]
        self.nbytes = lay_out(instructions, kept)
        memory = np.zeros(self.nbytes + 64, np.uint8)
        base = address(memory)
        self.arena = memory[-base % 64 :]
        self.base = address(self.arena)
        self.uses: dict[Buffer, list[tuple[np.ndarray[Any, Any], int, int]]]
        self.uses = {buffer: [] for buffer in readable_in_place(builder.inputs, [*self.results, *gradients], instructions)}
        self.outputs = [s.view(self.arena) for s in self.results]
        self.gradients = [(leaf, Tensor._wrap(s.view(self.arena))) for (leaf, _), s in zip(tape.gradients, gradients, strict=True)]
        self._numbers()
        self.segments = self._segments(list(joined(instructions)))
        written = Written([self.arena, *(s.buffer.array for i in instructions for s in i.writes if s.buffer.array is not None)])
        self.inputs = [Argument(s.view(self.arena), self.uses.get(s.buffer, ()), written) for s in builder.inputs]
        self.draws = [(key, draw.count, draw.words_each) for draw, key in builder.keys.items()]
        self.graded = is_grad_enabled()
        self.guards = Guards(())
        self.single = False  # whether the step returns one tensor, not a tuple of them

    # -- laying out

    def _numbers(self) -> None:
        """Constants of formulas; those of updates are filled in at each step."""
        groups: dict[int, _Group] = {}
        by_call: dict[int, _Group] = {}
        for call in self.tape.calls:
            if not isinstance(call.attrs, Hyper):
                continue
            if id(call.attrs) not in groups:
                groups[id(call.attrs)] = _Group(call.attrs)
            group = groups[id(call.attrs)]
            by_call[id(call)] = group
            names = call.attrs.optimizer.active_slots(call.attrs.group)
            slots = {name: v.array for name, v in zip(names, call.ins[2:], strict=True)}
            group.members.append((group.parameters[id(call.ins[0].array)], slots))
        for storage, constants, update in self.builder.constants:
            array = storage.view(self.arena)
            finds = [(i, c) for i, c in enumerate(constants) if isinstance(c, Live)]
            for i, c in enumerate(constants):
                array[i] = c.now if isinstance(c, Live) else c
            if update is not None and finds:
                by_call[id(update)].numbers.append((array, finds))
        for update, guard, answer in self.builder.guards:
            by_call[id(update)].guards.append((guard, answer))
        self.groups = list(groups.values())
        self.group_of = by_call

    def _segments(self, instructions: Sequence[Instruction]) -> list[Callable[[], Any]]:
        """Runs of native code, and launches from Python between them."""
        segments: list[Callable[[], Any]] = []
        self.codes: list[np.ndarray[Any, Any]] = []
        pending: list[int | Storage] = []

        def flush() -> None:
            if pending:
                code = np.array([a.address(self.base) if isinstance(a, Storage) else a for a in pending], np.int64)
                for at, a in enumerate(pending):
                    if isinstance(a, Storage) and a.buffer in self.uses:
                        self.uses[a.buffer].append((code, at, a.start))
                self.codes.append(code)
                segments.append(self._native_segment(code))
                pending.clear()

        self.launched: list[str] = []
        for i in instructions:
            if i.kernel == "python":
                flush()
                segments.append(self._python_segment(i))
                assert i.call is not None
                self.launched.append(i.call.op.name)
            else:
                assert self.native is not None
                pending += encoded(self.native, i)
        flush()
        return segments

    def _native_segment(self, code: np.ndarray[Any, Any]) -> Callable[[], Any]:
        assert self.native is not None
        run, place, size = self.native.run, address(code), len(code)

        def segment() -> None:
            wrong = run(place, size)
            if wrong:
                _check(wrong)

        return segment

    def _python_segment(self, i: Instruction) -> Callable[[], Any]:
        call = i.call
        assert call is not None
        ins, outs = ([a.view(self.arena) if isinstance(a, Storage) else a for a in part] for part in i.arguments)
        op, attrs = call.op, call.attrs
        if op.view is not None:

            def reshaped() -> None:
                assert op.view is not None
                outs[0][...] = op.view(ins[0], **attrs)

            return reshaped
        if isinstance(attrs, Hyper):
            group = self.group_of[id(call)]

            def update() -> None:
                assert group.last is not None
                launch(op, outs, ins, group.last)

            return update
        if id(call) in self.tape.draws:
            own, key = dict(attrs), self.builder.key(call)

            def draw() -> None:
                own.update(seed=int(key[0]), stream=int(key[1]), start=int(key[2]))
                launch(op, outs, ins, own)

            return draw
        return lambda: launch(op, outs, ins, attrs)

    # -- replaying

    def fits(self, arguments: Sequence[Any]) -> bool:
        """Whether it is the program of such arguments, and what the step read is as it was."""
        if len(arguments) != len(self.inputs) or is_grad_enabled() is not self.graded:
            return False
        for argument, t in zip(self.inputs, arguments, strict=True):
            if not isinstance(t, Tensor):
                return False
            given = t._data
            if type(given) is not np.ndarray or given.shape != argument.shape or given.dtype != argument.dtype:
                return False
        return self.guards.hold()

    def run(self, arguments: Sequence[Tensor]) -> None:
        """One step; results are in ``outputs`` and ``gradients`` afterwards. Raises Changed, or ValueError for other shapes or dtypes."""
        for argument, t in zip(self.inputs, arguments, strict=True):
            if t._data.shape != argument.shape or t._data.dtype != argument.dtype:
                raise ValueError(
                    f"replay of a program for {[(list(a.shape), a.dtype.name) for a in self.inputs]} was given "
                    f"{[(list(a._data.shape), a._data.dtype.name) for a in arguments]}"
                )
        self.replay(arguments)

    def replay(self, arguments: Sequence[Tensor]) -> None:
        """One step on arguments that are known to have the shapes and dtypes of its own. Raises Changed."""
        for argument, t in zip(self.inputs, arguments, strict=True):
            argument.take(t._data)
        self._advance()
        for segment in self.segments:
            segment()
        self._leave()

    def _advance(self) -> None:
        """What changes from step to step: counts, numbers of the optimizer, random counters."""
        self._together(_Group.advance)
        self._draw()

    def _together(self, advance: Callable[[_Group], _Result]) -> list[_Result]:
        """Every group a step on, or none of them. Raises Changed."""
        found = []
        for i, group in enumerate(self.groups):
            try:
                found.append(advance(group))
            except Changed:
                for done in self.groups[:i]:
                    done.retreat()
                raise
        return found

    def _draw(self) -> None:
        for key, count, words in self.draws:
            taken = current_generator().take(count, words)
            key[0], key[1], key[2] = taken["seed"], taken["stream"], taken["start"]

    def _leave(self) -> None:
        """Gradients and versions as a step leaves them."""
        for leaf, gradient in self.gradients:
            leaf.grad = gradient
        for group in self.groups:
            for parameter, _ in group.members:
                parameter._version[0] += 1

    def run_many(self, arguments: Sequence[Tensor]) -> list[np.ndarray[Any, Any]]:
        """As many steps as the arguments have rows, each on a row of every argument, in one native call; the rows of each result.

        Raises Changed, no step made, where one of them would not be the program's.
        """
        steps = len(arguments[0]._data)
        rows = [np.ascontiguousarray(t._data) for t in arguments]
        own = [argument.home() for argument in self.inputs]
        for array, r in zip(own, rows, strict=True):
            if r.shape != (steps, *array.shape) or r.dtype != array.dtype:
                raise ValueError(
                    f"{steps} steps of a program for {list(array.shape)} {array.dtype.name} were given {list(r.shape)} {r.dtype.name}"
                )
        results = [np.empty((steps, *o.shape), o.dtype) for o in self.outputs]
        copies = [*((a, r, 0) for a, r in zip(own, rows, strict=True)), *((o, r, 1) for o, r in zip(self.outputs, results, strict=True))]
        tables = [table for of in self._together(lambda g: g.advance_by(steps)) for table in of]
        keys = [(key, np.empty((steps, 3), np.int64)) for key, _, _ in self.draws]
        for i in range(steps if keys else 0):
            self._draw()
            for key, table in keys:
                table[i] = key
        copies += [(array, table, 0) for array, table in (*tables, *keys)]
        (code,) = self.codes
        assert self.native is not None
        table = np.array([[address(a), address(r), a.nbytes, after] for a, r, after in copies], np.int64)
        _check(self.native.repeat(address(code), len(code), steps, address(table), len(table)))
        self._leave()
        return results

    @property
    def is_native(self) -> bool:
        """Whether the program is one native call."""
        return len(self.segments) == len(self.codes) == 1


def _check(missing: int) -> None:
    """Raises IndexError for what a kernel looked up and did not find (kernels/cpu/rows.h)."""
    if missing:
        row, number = (missing - 1) % 2, (missing - 1) // 2
        number = -(number + 1) // 2 if number % 2 else number // 2
        raise IndexError(
            f"index out of range in self: {number} is no row of the weight."
            if row
            else f"Target {number} is out of bounds of the classes that the input has."
        )


__all__ = ["Changed", "Program"]
