"""What a function of tensors computes, as a list of calls in which sizes that depend on the batch are symbols.

The function runs twice, on batches of two sizes. A size that differs is so many times the batch's; a constant that differs is none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.dispatch import Op, observing, watching
from engine.modes import no_grad
from engine.tensor import Tensor

Array = np.ndarray[Any, Any]
_SIZES = 2, 3
_INDEX = "elements as an index"


class NotExportable(ValueError):
    """What cannot be written as ONNX, and why."""


@dataclass(frozen=True)
class Batch:
    """A size that is ``times`` the batch's."""

    times: int


Dim = int | Batch


@dataclass(frozen=True)
class Slot:
    """In an index, the place of a computed array: the op's input of this number."""

    at: int


@dataclass(eq=False)
class Value:
    """An array of the program: ``array`` if it is a constant; ``size`` if it is a number that depends on the batch; ``counts`` if it numbers the samples."""

    shape: tuple[Dim, ...]
    dtype: Any
    array: Array | None = None
    size: Batch | None = None
    counts: bool = False


@dataclass(eq=False)
class Call:
    """One launch of an op. In ``attrs``, sizes may be symbols."""

    op: Op
    ins: list[Value]
    attrs: dict[str, Any]
    outs: list[Value]


@dataclass
class Program:
    """The calls of a function in order, its inputs and its results."""

    inputs: list[Value]
    calls: list[Call]
    outputs: list[Value]


@dataclass
class _Run:
    """One run: the launches that depend on the arguments, and every array that they took or made."""

    given: list[Array]
    launches: list[tuple[Op, list[Array], list[Any], dict[str, Any]]] = field(default_factory=list)
    alive: dict[int, Array] = field(default_factory=dict)  # what depends on the arguments; none is freed, so that ids stay
    stale: set[int] = field(default_factory=set)  # of that, what shares memory with something that was written over

    def __post_init__(self) -> None:
        self.alive.update({id(x): x for x in self.given})

    def see(self, op: Op, outs: list[Array], ins: Sequence[Any], attrs: dict[str, Any]) -> None:
        """Takes note of a launch, which may write its result over what it took."""
        if op.name == "index":
            ins, attrs = self._with_slots(ins, attrs)
        if any(id(x) in self.stale for x in ins):
            raise NotExportable(f"{op.name} takes a view of something that was written over")
        if not any(id(x) in self.alive for x in ins):
            return
        for out in outs:
            if id(out) in self.alive:
                self.stale.update(k for k, x in self.alive.items() if x is not out and np.may_share_memory(x, out))
            elif op.name == "assign":
                raise NotExportable("it writes into a tensor of its own")
        self.launches.append((op, outs, list(ins), dict(attrs)))
        self.alive.update({id(out): out for out in outs})

    def _with_slots(self, ins: Sequence[Any], attrs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The op ``index`` with computed arrays in the index as inputs of its own."""
        taken = list(ins)

        def entry(e: Any) -> Any:
            if id(e) not in self.alive:
                return e
            if e.dtype == np.bool_:
                raise NotExportable("it needs elements by a mask, whose number depends on them")
            taken.append(e)
            return Slot(len(taken) - 1)

        index = attrs["index"]
        return taken, {"index": tuple(map(entry, index)) if isinstance(index, tuple) else entry(index)}

    def refuse(self, what: str, array: Array) -> None:
        """Whatever Python looks at or changes beside the ops is in no program; an index is the op's."""
        if what == _INDEX:
            return
        if array is None or id(array) in self.alive:
            raise NotExportable(f"it needs {what}")


@no_grad()
def _run(function: Callable[..., Any], arguments: Sequence[Tensor]) -> tuple[_Run, list[Array]]:
    run = _Run([x._data for x in arguments])
    with observing(run.see), watching(run.refuse):
        result = function(*arguments)
    results = [result] if isinstance(result, Tensor) else list(result)
    for y in results:
        if not isinstance(y, Tensor) or id(y._data) not in run.alive.keys() - run.stale:
            raise NotExportable(f"expected tensors that depend on the input as results, got {type(y).__name__}")
    return run, [y._data for y in results]


def trace(function: Callable[..., Any], examples: Sequence[Array]) -> Program:
    """The program of ``function`` of tensors like ``examples``, arrays of any batch size of which the first axis is the batch.

    Raises NotExportable where it does other things for other batches, or computes beside the engine's ops.
    """
    runs = [_run(function, [Tensor._wrap(_resized(x, n)) for x in examples]) for n in _SIZES]
    (a, results), (b, others) = runs
    if [op for op, *_ in a.launches] != [op for op, *_ in b.launches]:
        raise NotExportable("it computes other things for batches of other sizes")
    return _Merger().program(a, b, results, others)


def _resized(x: Array, n: int) -> Array:
    """``n`` samples, other numbers for each ``n``, so that what is computed from them beside the ops is no constant."""
    rng = np.random.default_rng(n)
    if x.dtype.kind == "f":
        return rng.normal(size=(n, *x.shape[1:])).astype(x.dtype)
    return rng.permuted(np.resize(x, (n, *x.shape[1:])), axis=None) if x.size else np.resize(x, (n, *x.shape[1:]))


class _Merger:
    """Makes one program of two runs."""

    def __init__(self) -> None:
        self._values: dict[int, Value] = {}
        self._alive: list[Array] = []

    def program(self, a: _Run, b: _Run, results: list[Array], others: list[Array]) -> Program:
        inputs = [self._new(x, y) for x, y in zip(a.given, b.given, strict=True)]
        calls = []
        for (op, outs, ins, attrs), (_, outs_b, ins_b, attrs_b) in zip(a.launches, b.launches, strict=True):
            if op.name == "embedding_bag":  # a bag for each sample
                ins, attrs, attrs_b = _bags(ins, ins_b, attrs, attrs_b)
            taken = [self._taken(op, x, y) for x, y in zip(ins, ins_b)]
            symbols = {k: _symbol(v, attrs_b[k], op.name) for k, v in attrs.items()}
            calls.append(Call(op, taken, symbols, [self._new(x, y) for x, y in zip(outs, outs_b, strict=True)]))
        return Program(inputs, _needed(calls, [self._values[id(y)] for y in results]), [self._values[id(y)] for y in results])

    def _new(self, x: Array, y: Array) -> Value:
        self._alive.append(x)
        value = self._values[id(x)] = Value(_symbol(x.shape, y.shape, "shape"), x.dtype)
        return value

    def _taken(self, op: Op, x: Any, y: Any) -> Value:
        found = self._values.get(id(x))
        if found is not None:
            return found
        one, other = np.asarray(x), np.asarray(y)
        special = _of_batch(one, other)
        if special is not None:
            self._alive.append(x)
            self._values[id(x)] = special
            return special
        shape: tuple[Dim, ...] = one.shape
        if one.shape != other.shape and one.ndim == other.ndim:  # alike for every sample: one row stands for all
            shape = _symbol(one.shape, other.shape, op.name)
            one, other = (_row(a, shape) for a in (one, other))
        if one.shape != other.shape or not np.array_equal(one, other, equal_nan=one.dtype.kind == "f"):
            raise NotExportable(f"{op.name} takes something that depends on the batch and was computed beside the engine's ops")
        self._alive.append(x)
        value = self._values[id(x)] = Value(shape, one.dtype, one)
        return value


def _needed(calls: list[Call], results: list[Value]) -> list[Call]:
    """The calls that the results depend on."""
    wanted, kept = {id(v) for v in results}, []
    for call in reversed(calls):
        if any(id(out) in wanted for out in call.outs):
            wanted.update(id(x) for x in call.ins)
            kept.append(call)
    return kept[::-1]


def _bags(ins: list[Any], ins_b: list[Any], attrs: dict[str, Any], attrs_b: dict[str, Any]) -> Any:
    """The bags of ``embedding_bag`` by their one length. Raises NotExportable where they have several."""
    length = len(ins[1]) // len(ins[2])
    for index, starts in ((ins[1], ins[2]), (ins_b[1], ins_b[2])):
        if not np.array_equal(starts, np.arange(len(starts)) * length) or len(index) != len(starts) * length:
            raise NotExportable("bags of different lengths have no form in ONNX")
    return ins[:2], {**attrs, "length": length}, {**attrs_b, "length": length}


def _of_batch(x: Array, y: Array) -> Value | None:
    """The size of the batch, so many times, or the numbers of its samples from 0 on; None for another constant."""
    if x.dtype.kind in "iu" and not x.ndim and not y.ndim and x != y and int(x) * _SIZES[1] == int(y) * _SIZES[0]:
        return Value((), x.dtype, size=Batch(int(x) // _SIZES[0]))
    if (
        x.dtype.kind in "iu"
        and (x.shape, y.shape) == ((_SIZES[0],), (_SIZES[1],))
        and all(np.array_equal(a, np.arange(len(a))) for a in (x, y))
    ):
        return Value((Batch(1),), x.dtype, counts=True)
    return None


def _row(x: Array, shape: tuple[Dim, ...]) -> Array:
    """The first along every axis that is the batch, where all are equal; else ``x``."""
    row = x[tuple(slice(0, 1) if isinstance(n, Batch) else slice(None) for n in shape)]
    return np.array(row) if np.array_equal(np.broadcast_to(row, x.shape), x, equal_nan=x.dtype.kind == "f") else x


def _symbol(x: Any, y: Any, where: str) -> Any:
    """An attribute of both runs, with a ``Batch`` for each number that differs as the sizes do."""
    if isinstance(x, tuple | list) and isinstance(y, tuple | list) and len(x) == len(y):
        return tuple(_symbol(p, q, where) for p, q in zip(x, y))
    if isinstance(x, np.ndarray) and isinstance(y, np.ndarray) and np.array_equal(x, y, equal_nan=x.dtype.kind == "f"):
        return x
    if isinstance(x, slice) and isinstance(y, slice):
        return slice(*(_symbol(getattr(x, n), getattr(y, n), where) for n in ("start", "stop", "step")))
    if x is y or (type(x) is type(y) and not isinstance(x, np.ndarray) and x == y):
        return x
    if isinstance(x, int) and isinstance(y, int) and x * _SIZES[1] == y * _SIZES[0]:
        return Batch(x // _SIZES[0])
    raise NotExportable(f"{where} of {x!r:.60} for a batch of {_SIZES[0]} is {y!r:.60} for one of {_SIZES[1]}")
