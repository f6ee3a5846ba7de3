"""From the calls of a tape to instructions for the kernels.

Element-by-element calls are not run where they stand: their formulas are kept and grow until something needs the elements, so a chain
of them becomes one pass over memory. Products stay open for a moment, so that a bias, an addition, a ReLU or its derivative can be
done when a tile is written. Whatever no rule covers is launched from Python, as it was in the recorded step.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine.capture import formula
from engine.capture.choice import Choice
from engine.capture.formula import Live, NotTraceable, Symbol, nodes, operands
from engine.capture.instruction import OUT, Instruction, Product, Recipe, Update
from engine.capture.layout import COLUMN, FULL, ONE, ROW, Buffer, Storage, channels_last, dense_steps, rows_of, viewed
from engine.capture.record import Call, Draw, NotCaptured, Tape, Value
from engine.optim.optimizer import Hyper

FLOAT = np.dtype(np.float32)
GRAIN = 1 << 14  # elements a task: the cut does not depend on the number of threads


Rule = Callable[["Builder", Call], bool]
RULES: dict[str, Rule] = {}
"""How calls become instructions, by the op's name. A rule says False where it does not apply."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


class Builder:
    """Walks a tape once and collects instructions. Without ``fuse``, or kernels, every call is launched from Python, in the order of the tape."""

    def __init__(self, tape: Tape, native: Any, fuse: bool, plan: dict[str, int]) -> None:
        self.tape, self.native, self.fuse, self.choice = tape, native, fuse and native is not None, Choice(plan)
        self.instructions: list[Instruction] = []
        self.storage: dict[Value, Storage] = {}
        self.lazy: dict[Value, Symbol] = {}
        self.open: dict[Value, Product] = {}
        self.left = {v: len(v.uses) for c in tape.calls for v in c.outs}
        self.done: dict[Any, Any] = {}  # results that a rule made ahead of their call
        self.constants: list[tuple[Storage, list[Any], Call | None]] = []
        self.inputs: list[Storage] = []
        self.keys: dict[Draw, np.ndarray[Any, Any]] = {}  # the seed, stream and counter of each draw
        self.kept = {id(v) for v in tape.results} | {id(v) for _, v in tape.gradients}
        self.recipes: list[Recipe] = []
        self.pieces: Update | None = None  # the optimizer's update that is being collected
        self.guards: list[tuple[Call, Live, bool]] = []  # choices that an update made by its numbers
        self._copies: dict[tuple[Value, tuple[int, ...]], Storage] = {}
        if not all(v.size for v in (*tape.arguments, *tape.externals, *(v for call in tape.calls for v in call.outs))):
            raise NotCaptured("it has tensors without elements")
        for v in [*tape.arguments, *tape.externals]:
            if v.array is None:
                storage = self.temporary(v.shape, v.dtype)
                storage.buffer.pinned = True
                self.inputs.append(storage)
            else:
                item = v.array.itemsize
                storage = Storage(Buffer(v.array.nbytes, v.array), 0, v.shape, tuple(s // item for s in v.array.strides), v.dtype)
            self.storage[v] = storage

    # -- memory

    def temporary(self, shape: Sequence[int], dtype: Any = FLOAT, order: Sequence[int] | None = None) -> Storage:
        dtype = np.dtype(dtype)
        return Storage(Buffer(max(math.prod(shape), 1) * dtype.itemsize), 0, tuple(shape), dense_steps(shape, order), dtype)

    def new(self, v: Value, order: Sequence[int] | None = None) -> Storage:
        """Memory for a value that is about to be computed."""
        self.storage[v] = self.temporary(v.shape, v.dtype, order)
        return self.storage[v]

    def of(self, v: Value) -> Storage:
        """Where a value lies, computed if it was waiting."""
        if v not in self.storage:
            if (
                v.dtype != FLOAT and v in self.lazy and v.maker is not None
            ):  # comparisons, as the booleans that they are outside of formulas
                self.launch(v.maker)
            else:
                self.compute([v])
        return self.storage[v]

    def dense(self, v: Value, order: Sequence[int] | None = None) -> Storage:
        """A value without gaps, its dimensions in ``order``; copied if it lies otherwise."""
        s = self.of(v)
        if s.is_dense(order):
            return s
        key = (v, tuple(order or ()))
        if s.buffer.array is not None:  # what was there before may be written to in the meantime
            return self.copied(s, order)
        if key not in self._copies:
            self._copies[key] = self.copied(s, order)
        return self._copies[key]

    def last(self, v: Value) -> Storage:
        """An image batch with its channels last."""
        return self.dense(v, channels_last(len(v.shape)))

    def copied(self, s: Storage, order: Sequence[int] | None = None) -> Storage:
        to = self.temporary(s.shape, s.dtype, order)
        self.copy(s, to)
        return to

    def copy(self, s: Storage, to: Storage) -> None:
        """Elements to another place, of the same shape."""
        if s.dtype != FLOAT:
            raise NotCaptured(f"it rearranges {s.dtype.name} elements")
        dims = sorted((d for d in range(len(s.shape)) if s.shape[d] > 1), key=lambda d: -to.steps[d])
        merged: list[list[int]] = []
        for d in dims:
            n, a, b = s.shape[d], s.steps[d], to.steps[d]
            if merged and merged[-1][1] == a * n and merged[-1][2] == b * n:
                merged[-1] = [merged[-1][0] * n, a, b]
            else:
                merged.append([n, a, b])
        if len(merged) > 6:
            raise NotCaptured("it rearranges more than 6 dimensions")
        if len(merged) > 1:  # the dimension that the source has closest goes next to the last: a transpose in blocks
            closest = min(range(len(merged) - 1), key=lambda i: merged[i][1] or 1 << 60)
            if merged[closest][1] == 1:
                merged[closest:-1] = [*merged[closest + 1 : -1], merged[closest]]
        merged = [[1, 0, 0]] * (6 - len(merged)) + merged
        self.emit("copy", [6, s, to, *[n for m in merged for n in m]], [s], [to])

    def key(self, call: Call) -> np.ndarray[Any, Any]:
        """Where the program will find the seed, stream and counter that a call draws by."""
        return self.keys.setdefault(self.tape.draws[id(call)], np.zeros(3, np.int64))

    # -- instructions

    def emit(self, kernel: str, arguments: list[Any], reads: Sequence[Storage], writes: Sequence[Storage]) -> Instruction:
        self.instructions.append(Instruction(kernel, arguments, reads, writes))
        return self.instructions[-1]

    def product(self, p: Product, v: Value) -> None:
        p.any_rows = self.choice.of_any_size
        self.instructions.append(p)
        self.open[v] = p

    def launch(self, call: Call) -> None:
        """A call as it was: from Python, on arrays."""
        ins = [self.of(x) if isinstance(x, Value) else x for x in call.ins]
        if call.op.view is not None:
            source = call.ins[0]
            s = viewed(call.op, call.attrs, ins[0])
            if s is None:  # a reshape that needs the elements in order
                if self.fuse:
                    s = viewed(call.op, call.attrs, self.dense(source))
                    assert s is not None
                    self.storage[call.outs[0]] = s
                    return
                to = self.new(call.outs[0])
                self.instructions.append(Instruction("python", [ins, [to]], ins, [to], call))
                return
            self.storage[call.outs[0]] = s
            return
        for v in call.writes:
            self.settle(v)
        outs = [self.storage[v] for v in call.writes] or [self.new(v) for v in call.outs]
        self.instructions.append(Instruction("python", [ins, outs], [i for i in ins if isinstance(i, Storage)], outs, call))

    # -- formulas

    def operands_of(self, v: Value) -> list[Value]:
        return operands(self.lazy[v])

    def symbol(self, v: Any) -> Symbol:
        """A value in a formula: by what it is computed from, if it is waiting."""
        if not isinstance(v, Value):
            return formula.symbol(v)
        return self.lazy[v] if v in self.lazy and v not in self.storage else Symbol("operand", leaf=v)

    def wait(self, v: Value, s: Symbol) -> None:
        """Leaves a value to be computed when it is needed."""
        self.lazy[v] = s

    def settle(self, v: Value) -> None:
        """Computes what waits for ``v``'s elements as they are now: they are about to change."""
        buffer = self.storage[v].buffer

        def touched(s: Symbol) -> bool:
            return any(o in self.storage and self.storage[o].buffer.meets(buffer) for o in operands(s))

        waiting = [w for w, s in self.lazy.items() if w not in self.storage and (self.left[w] > 0 or id(w) in self.kept) and touched(s)]
        for w in waiting:
            self.compute([w])

    def compute(
        self, values: Sequence[Value], sums: Sequence[tuple[Symbol, Storage, int]] = (), stores: Sequence[tuple[Symbol, Storage]] = (),
        order: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        """Computes waiting values of one shape in a pass; sums over rows (ROW) or everything (ONE), and other formulas into given places, with them."""
        values = [v for v in values if v not in self.storage]
        for v in values:
            if v not in self.lazy:
                raise NotCaptured(f"{v} is needed before it was computed")
        if not values and not sums and not stores:
            return
        summed_up = [leaf.shape for s, _, _ in sums for leaf in operands(s)]
        shape = values[0].shape if values else stores[0][1].shape if stores else np.broadcast_shapes(*summed_up)
        values += self._also_wanted([*(self.lazy[v] for v in values), *(s for s, _ in stores), *(s for s, _, _ in sums)], values, shape)
        roots = [self.lazy[v] for v in values] + [s for s, _ in stores] + [s for s, _, _ in sums]
        leaves = list(dict.fromkeys(leaf for r in roots for leaf in operands(r)))
        places = {leaf: self.of(leaf) for leaf in leaves}
        order = order or self._order(shape, [*(s for _, s in stores), *places.values()])
        if not stores and not any(kind == ONE for _, _, kind in sums):
            to_come = self._sums_to_come(values, order)
            sums, roots = [*sums, *to_come], [*roots, *(s for s, _, _ in to_come)]
        clobbers: list[list[Value]] = [[] for _ in values]
        clobbers += [[leaf for leaf, place in places.items() if place.buffer is s.buffer] for _, s in stores]
        program = formula.Program(roots, clobbers)
        outputs = [*(self.new(v, order) for v in values), *(s for _, s in stores)]
        kept = [d for d in order if shape[d] != 1]
        sizes = [shape[d] for d in kept]

        def steps(s: Storage) -> list[int]:
            lead = len(shape) - len(s.shape)
            return [0 if d < lead or s.shape[d - lead] == 1 else s.steps[d - lead] for d in kept]

        ins = [places[leaf] for leaf in program.inputs]
        split = None
        if any(kind == ROW for _, _, kind in sums):
            width = next(s.size for _, s, kind in sums if kind == ROW)
            split = next(i for i in range(len(sizes) + 1) if math.prod(sizes[i:]) == width)
        at, kinds = rows_of(sizes, [*map(steps, ins), *map(steps, outputs)], split)
        rows, width = math.prod(sizes[:at]), math.prod(sizes[at:])
        described: list[Any] = []
        for i, s in enumerate(ins):
            lies = kinds[i]
            if lies is None:  # it lies across: a copy in the order of the others
                expanded = Storage(s.buffer, s.start, tuple(shape), tuple(self._expanded(s, shape)), s.dtype)
                ins[i] = self.copied(expanded, order)
                lies = (FULL, width)
            described += [ins[i], *lies]
        across: list[tuple[Storage, Storage]] = []
        for i, s in enumerate(outputs):
            lies = kinds[len(ins) + i]
            if s.is_dense(order) or lies is None or lies[0] != FULL:
                lies = (FULL, width)
                if not s.is_dense(order):  # a part that no rows fit
                    across.append((self.temporary(s.shape, s.dtype, order), s))
                    s = outputs[i] = across[-1][0]
            described += [s, *lies]
        for _, s, kind in sums:
            described += [s, kind, 0]
        part = GRAIN if rows == 1 else max(1, GRAIN // width)
        tasks = -(-rows // part) if rows > 1 else -(-width // GRAIN)
        summed = sum(width if kind == ROW else 1 for _, _, kind in sums)
        partial = self.temporary((2 * tasks * summed,)) if summed else None
        head = self.formula(program)
        written = [*outputs, *(s for _, s, _ in sums)]
        reads_ = [*ins, *(a for a in head if isinstance(a, Storage))]
        self.emit("map", [*head, rows, width, part, partial or 0, *described], reads_, [*written, *((partial,) if partial else ())])
        for made, s in across:
            self.copy(made, s)

    def _also_wanted(self, roots: Sequence[Symbol], values: Sequence[Value], shape: tuple[int, ...]) -> list[Value]:
        """Waiting values that are computed on the way and needed later: they are kept in the same pass."""
        inside = {id(s) for root in roots for s in nodes(root)} - {id(root) for root in roots}
        return [
            w for w, s in self.lazy.items()
            if id(s) in inside and s.inputs and w not in self.storage and w not in values and w.dtype == FLOAT
            and w.shape == shape and (self.left.get(w, 0) > 0 or id(w) in self.kept)
        ]  # fmt: skip

    def _sums_to_come(self, values: Sequence[Value], order: Sequence[int]) -> list[tuple[Symbol, Storage, int]]:
        """Sums over the rows of what is about to be computed that later calls ask for: a bias's gradient, mostly."""
        found: list[tuple[Symbol, Storage, int]] = []
        for v in values:
            for use in v.uses:
                dims: tuple[int, ...] = use.attrs.get("dims", ())
                if use.op.name != "sum" or use.outs[0] in self.storage or ("sum", v, dims) in self.done or use.outs[0].size == 1:
                    continue
                kept = [d for d in range(len(v.shape)) if d not in dims and v.shape[d] > 1]
                if kept and [d for d in order if v.shape[d] > 1][-len(kept) :] == kept and v.size // use.outs[0].size > 1:
                    to = self.done["sum", v, dims] = self.temporary((use.outs[0].size,))
                    found.append((self.lazy[v], to, ROW))
        widths = {s.size for _, s, _ in found}
        if len(widths) > 1:
            for v in values:
                for use in v.uses:
                    self.done.pop(("sum", v, use.attrs.get("dims")), None)
            return []
        return found

    def _expanded(self, s: Storage, shape: Sequence[int]) -> list[int]:
        lead = len(shape) - len(s.shape)
        return [0 if d < lead or s.shape[d - lead] == 1 else s.steps[d - lead] for d in range(len(shape))]

    def formula(self, program: formula.Program, call: Call | None = None) -> list[Any]:
        constants: Any = 0
        if program.constants:
            constants = self.temporary((len(program.constants),))
            constants.buffer.pinned = True
            self.constants.append((constants, program.constants, call))
        return [
            len(program.inputs),
            program.outputs,
            len(program.constants),
            constants,
            program.places,
            len(program.steps) // 3,
            *program.steps,
        ]

    def _order(self, shape: Sequence[int], places: Sequence[Storage]) -> tuple[int, ...]:
        """The order of dimensions in memory, outermost first: as most of the operands of that shape have it."""
        for s in sorted(places, key=lambda s: -s.size):
            if tuple(s.shape) == tuple(shape):
                order = tuple(sorted(range(len(shape)), key=lambda d: (-s.steps[d] if shape[d] > 1 else 0, d)))
                order = tuple(d for d in order if shape[d] > 1)
                order = (*(d for d in range(len(shape)) if shape[d] == 1), *order)
                if s.is_dense(order):
                    return order
        return tuple(range(len(shape)))

    # -- the walk

    def build(self) -> None:
        calls = self.tape.calls
        alive = self._alive()
        for call in calls:
            for v in call.ins:
                if isinstance(v, Value) and v in self.left:
                    self.left[v] -= 1
            if id(call) not in alive or (call.outs and all(v in self.storage or v in self.done for v in call.outs)):
                continue
            if not isinstance(call.attrs, Hyper):
                self.pieces = None
            apply = RULES.get(call.op.name) or RULES.get(_kind(call))
            if self.fuse and call.op.view is None and apply is not None:
                with contextlib.suppress(NotTraceable):
                    if apply(self, call):
                        continue
            self.launch(call)
        for v in self.tape.results:
            self.of(v).buffer.pinned = True
        for _, v in self.tape.gradients:
            self.dense(v).buffer.pinned = True
        self.choice.release()

    def _alive(self) -> set[int]:
        """The calls whose results reach something that is kept or written."""
        needed: set[int] = set()
        wanted = set(self.kept)
        for call in reversed(self.tape.calls):
            if call.writes or any(id(v) in wanted for v in call.outs):
                needed.add(id(call))
                wanted.update(id(v) for v in call.ins if isinstance(v, Value))
        for call in self.tape.calls:
            if id(call) not in needed:
                for v in call.ins:
                    if isinstance(v, Value):
                        v.uses = [u for u in v.uses if u is not call]
        self.left = {v: len(v.uses) for c in self.tape.calls for v in c.outs}
        return needed

    def only_use(self, v: Value) -> bool:
        return len(v.uses) == 1 and id(v) not in self.kept

    def free_to_overwrite(self, v: Value) -> bool:
        """Whether nothing will look at ``v``'s memory any more."""
        s = self.storage.get(v)
        if s is None or s.buffer.array is not None or s.buffer.pinned or not s.is_dense(self._order(s.shape, [s])) or s.start:
            return False
        for w, t in self.storage.items():
            if t.buffer is s.buffer and (self.left.get(w, 0) > 0 or id(w) in self.kept):
                return False
        return not any(
            w not in self.storage
            and self.left[w] > 0
            and any(self.storage.get(o) and self.storage[o].buffer is s.buffer for o in operands(f))
            for w, f in self.lazy.items()
        )


def _kind(call: Call) -> str:
    """The name of the rule for a call whose op has none of its own."""
    if isinstance(call.attrs, Hyper):
        return "update"
    return "elementwise" if call.op.rule is not None else "cat" if "sections" in call.attrs else ""


__all__ = ["COLUMN", "FULL", "ONE", "OUT", "ROW", "RULES", "Builder", "Instruction", "Product", "Recipe", "Update", "rule"]
