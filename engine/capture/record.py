"""Watching one step run, without computing: a flat list of calls on values, and a way to undo what the step counted.

A value is an array as it was when something made it. Whatever was there before the step (parameters, buffers, the state of
optimizers, constants) is an external value, known by its array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine import graph
from engine.backend import Array
from engine.backend.philox import counters_used
from engine.backend.uncomputed import Uncomputed
from engine.capture.reads import NotCaptured, Reads
from engine.dispatch import OPS, Op, idle, is_constant, observing, watching
from engine.nn.module import Module, entering
from engine.ops.random import current_generator
from engine.optim.optimizer import Hyper, stepping
from engine.tensor import Tensor


class Value:
    """An array in the flat program: made by a call, given as an argument, or there before (``array``)."""

    __slots__ = ("argument", "array", "constant", "dtype", "maker", "shape", "uses")

    def __init__(self, shape: tuple[int, ...], dtype: Any, array: Array = None, argument: int | None = None) -> None:
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self.array, self.argument = array, argument
        self.constant = False  # an array that the step makes of numbers, alike each time
        self.maker: Call | None = None
        self.uses: list[Call] = []

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    def __repr__(self) -> str:
        return f"<{'external' if self.array is not None else self.maker.op.name if self.maker else 'argument'} {list(self.shape)} {self.dtype}>"


@dataclass(eq=False)
class Call:
    """One launch. ``writes`` are externals that it writes in place; ``outs`` are new values."""

    op: Op
    ins: list[Any]  # values, and NumPy scalars
    attrs: dict[str, Any]
    outs: list[Value] = field(default_factory=list)
    writes: list[Value] = field(default_factory=list)


@dataclass(eq=False)
class Draw:
    """How many random numbers are drawn from the current generator, for one call or for several that need the same ones."""

    count: int
    words_each: int


class Tape:
    """The calls of a step, and what it hands back."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.arguments: list[Value] = []
        self.externals: list[Value] = []
        self.results: list[Value] = []
        self.gradients: list[tuple[Tensor, Value]] = []
        self.draws: dict[int, Draw] = {}  # by the call's id

    def same(self, other: Tape) -> str | None:
        """None if two records of a step are one program; else what differs."""
        if len(self.calls) != len(other.calls):
            return f"it ran {len(self.calls)} operations once and {len(other.calls)} the next time"
        for a, b in zip(self.calls, other.calls, strict=True):
            if a.op is not b.op or [v.shape for v in a.outs] != [v.shape for v in b.outs]:
                return f"it ran {a.op.name} once and {b.op.name} the next time at the same place"
            for x, y in zip(a.ins, b.ins, strict=True):
                if isinstance(x, Value) != isinstance(y, Value) or (not isinstance(x, Value) and not np.array_equal(x, y, equal_nan=True)):
                    return f"{a.op.name} was given the number {x} once and {y} the next time"
            if not isinstance(a.attrs, Hyper) and not _equal(a.attrs, b.attrs, drawn=a.op.name in DRAWING):
                return f"{a.op.name} was called with {a.attrs} once and with {b.attrs} the next time"
        if len(self.externals) != len(other.externals):
            return "it used other tensors the next time"
        for v, w in zip(self.externals, other.externals, strict=True):
            if isinstance(v.array, Uncomputed) or isinstance(w.array, Uncomputed):
                return "it uses a result of the time before"
            if v.array is not w.array and not np.array_equal(v.array, w.array, equal_nan=v.dtype.kind == "f"):
                return f"a constant {list(v.shape)} changed from one time to the next"
        return None


_assign = OPS["assign"]
DRAWING = ("dropout", "uniform", "normal", "randint")


def _equal(a: dict[str, Any], b: dict[str, Any], drawn: bool) -> bool:
    def one(x: Any, y: Any) -> bool:
        if isinstance(x, tuple) and isinstance(y, tuple):
            return len(x) == len(y) and all(map(one, x, y))
        return np.array_equal(x, y) if isinstance(x, np.ndarray) else bool(x == y)

    return a.keys() == b.keys() and all((drawn and k in ("seed", "stream", "start")) or one(a[k], b[k]) for k in a)


class Recorder:
    """Runs a step once, while its launches compute nothing, and records it. ``mark`` is what their results begin with. Raises NotCaptured."""

    def __init__(self, arguments: Sequence[Tensor], mark: int) -> None:
        self._mark = mark
        self.tape = Tape()
        self._known: dict[int, Value] = {}
        self._alive: list[Any] = []  # arrays stay, so that no other takes their address
        self._states: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
        self._attributes: dict[int, tuple[Module, dict[str, Any]]] = {}  # of modules, before they ran
        self._leaves: list[Tensor] = []
        self._updated: list[Tensor] = []
        self._viewed: set[int] = set()
        self._drawn_at: dict[tuple[int, int, int], Draw] = {}
        for i, x in enumerate(arguments):
            value = Value(x.shape, x._data.dtype, argument=i)
            self.tape.arguments.append(value)
            self._meet(x._data, value)

    def _meet(self, array: Array, value: Value) -> Value:
        self._known[id(array)] = value
        self._alive.append(array)
        return value

    def _value(self, array: Array) -> Value:
        value = self._known.get(id(array))
        if value is None:
            if not isinstance(array, np.ndarray):
                raise NotCaptured(f"it computes on {type(array).__module__}'s arrays, not NumPy's")
            value = self._meet(array, Value(array.shape, array.dtype, array=array))
            value.constant = is_constant(array)
            self.tape.externals.append(value)
        return value

    def run(self, step: Callable[..., Any], arguments: Sequence[Any], reads: Reads) -> Any:
        """What ``step`` returns; the tape is complete afterwards, and ``reads`` knows what Python's values it depends on."""
        self._generator, self._rng = current_generator(), current_generator().get_state()
        self._drawn_to = self._rng
        hooks: list[tuple[list[Any], Any]] = [(graph.graded, self._graded), (stepping, self._stepping), (entering, self._entered)]
        for hook, tell in hooks:
            hook.append(tell)
        try:
            with idle(self._mark), observing(self._launched, self._launching), watching(self._refuse), reads:
                result = step(*arguments)
        finally:
            for hook, tell in hooks:
                hook.remove(tell)
        if reads.refused:
            raise NotCaptured(reads.refused)
        if self._generator.get_state() != self._drawn_to:
            raise NotCaptured("it draws random numbers in another way than by an op, or sets its generator")
        for t in [result] if isinstance(result, Tensor) else result or ():
            if not isinstance(t, Tensor):
                raise NotCaptured(f"it returns {type(t).__name__}, where tensors or nothing can be returned")
            if t.requires_grad and not self._leaves and not self._updated:
                raise NotCaptured("it returns tensors to be differentiated, which those of a program are not")
            self.tape.results.append(self._value(t._data))
        self.tape.gradients = [(leaf, self._value(leaf.grad._data)) for leaf in self._leaves if leaf.grad is not None]
        for t in (*self._leaves, *self._updated):
            reads.tensor(t)
        return result

    def undo(self) -> None:
        """Puts back what the step counted or drew."""
        for state, before in self._states.values():
            state.clear()
            state.update(before)
        for module, before in self._attributes.values():
            for name, value in list(module.__dict__.items()):
                if isinstance(value, Tensor) and isinstance(value._data, Uncomputed):  # it would keep what was never computed
                    module.__dict__.pop(name)
                    module.__dict__.update({name: before[name]} if name in before else {})
        for leaf in self._leaves:
            leaf.grad = None
        self._generator.set_state(self._rng)

    # -- what happens meanwhile

    def _refuse(self, what: str, array: Array) -> None:
        known = self._known.get(id(array))
        if array is None or (known is not None and (known.array is None or any(known in call.writes for call in self.tape.calls))):
            raise NotCaptured(f"it needs {what}")

    def _graded(self, leaf: Tensor) -> None:
        if leaf.grad is not None and not any(leaf is known for known in self._leaves):
            raise NotCaptured("gradients add up over steps: call zero_grad() in the step")
        self._leaves.append(leaf)

    def _entered(self, module: Module) -> None:
        self._attributes.setdefault(id(module), (module, dict(module.__dict__)))

    def _stepping(self, parameter: Tensor, state: dict[str, Any]) -> None:
        self._states.setdefault(id(state), (state, dict(state)))
        self._updated.append(parameter)

    def _launching(self, op: Op, outs: list[Array], ins: Sequence[Array], attrs: dict[str, Any]) -> None:
        """Looks at what is about to be overwritten."""
        if op.name != "assign" and not isinstance(attrs, Hyper):
            return
        for array in outs:
            if is_constant(array) and op.name == "assign":
                self._renewed(array)
            known = self._known.get(id(array))
            if known is not None and (known.argument is not None or (known.maker and (known.maker.op.view or id(known) in self._viewed))):
                raise NotCaptured(f"{op.name} writes into an argument, or into a view of another tensor")

    def _renewed(self, array: Array) -> None:
        """What is written into a constant has to begin with it each time: a call ahead of all others copies it to where it was."""
        value, first = self._value(array), Value(array.shape, array.dtype, array=array.copy())
        call = Call(_assign, [first], {}, writes=[value])
        first.uses.append(call)
        self.tape.externals.append(first)
        self.tape.calls.insert(0, call)

    def _launched(self, op: Op, outs: list[Array], ins: Sequence[Array], attrs: dict[str, Any]) -> None:
        call = Call(op, [self._value(x) if isinstance(x, np.ndarray) else x for x in ins], attrs)
        for x in call.ins:
            if isinstance(x, Value):
                x.uses.append(call)
        if op.name in DRAWING:
            self._drawn(call, outs[0], op.name, attrs)
        for array in outs:
            known = self._known.get(id(array))
            if known is None and (op.name == "assign" or isinstance(attrs, Hyper)):
                known = self._value(array)
            if known is not None and known.array is not None:
                call.writes.append(known)
                continue
            value = Value(array.shape, array.dtype)  # where it is known: the same memory, from here on under another name
            value.maker = call
            call.outs.append(value)
            self._meet(array, value)
        if op.view is not None:
            self._viewed.add(id(call.ins[0]))
        self.tape.calls.append(call)

    def _drawn(self, call: Call, out: Array, name: str, attrs: dict[str, Any]) -> None:
        key = (attrs["seed"], attrs["stream"], attrs["start"])
        if key not in self._drawn_at:
            draw = Draw(out.size, 2 if name == "randint" or out.dtype == np.float64 else 1)
            after = [*key[:2], key[2] + counters_used(draw.count, draw.words_each)]
            if current_generator() is not self._generator or self._generator.get_state() != after or list(key) != self._drawn_to:
                raise NotCaptured(f"{name} draws from a generator of its own, or from one that was set in the step")
            self._drawn_at[key], self._drawn_to = draw, after
        self.tape.draws[id(call)] = self._drawn_at[key]


__all__ = ["DRAWING", "Call", "Draw", "NotCaptured", "Recorder", "Tape", "Value"]
