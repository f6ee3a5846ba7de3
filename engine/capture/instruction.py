"""Instructions for the kernels, before the program is laid out: their pointers are storages still."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine.capture.layout import Storage
from engine.capture.record import Call
from engine.kernels.native import Native


class Instruction:
    """One kernel call, or one launch from Python (``call``). Pointers are storages until the program is laid out."""

    __slots__ = ("arguments", "call", "kernel", "reads", "writes")

    def __init__(
        self, kernel: str, arguments: list[Any], reads: Sequence[Storage], writes: Sequence[Storage], call: Call | None = None
    ) -> None:
        self.kernel, self.arguments, self.call = kernel, arguments, call
        self.reads, self.writes = list(reads), list(writes)


class Product(Instruction):
    """A matrix product or convolution, whose tiles can be finished on the way out: + bias, + C, ReLU, a mask."""

    __slots__ = ("accumulate", "any_rows", "bias", "head", "mask", "out", "relu", "tail")

    def __init__(self, kernel: str, head: list[Any], tail: list[Any], reads: Sequence[Storage], out: Storage, bias: Storage | None) -> None:
        super().__init__(kernel, [], [*reads, *((bias,) if bias else ())], [out])
        self.head, self.tail, self.out, self.bias = head, tail, out, bias
        self.mask: Storage | None = None
        self.accumulate = self.relu = self.any_rows = False

    def finished(self) -> list[Any]:
        flags = int(self.accumulate) | int(self.relu) << 1 | int(self.any_rows) << 2
        return [*self.head, self.bias or 0, self.mask or 0, flags, *[self.out if a is OUT else a for a in self.tail]]


@dataclass(frozen=True)
class Recipe:
    """An optimizer's formula for the parameters of a group, as arguments of a kernel, and which operands of ``call`` it reads."""

    call: Call
    head: list[Any]
    order: list[int]


class Update(Instruction):
    """A recipe for one parameter or several: ``size`` elements of each of its operands."""

    __slots__ = ("recipe",)

    def __init__(self, recipe: Recipe, size: int, operands: list[Storage]) -> None:
        constants = [a for a in recipe.head if isinstance(a, Storage)]
        super().__init__("map_pieces", [*recipe.head, 0], constants, [], recipe.call)
        self.recipe = recipe
        self.add(size, operands)

    def add(self, size: int, operands: list[Storage]) -> None:
        self.arguments += [size, *operands]
        self.arguments[len(self.recipe.head)] += 1
        read = len(self.recipe.order)
        self.reads += operands[:read]
        self.writes += operands[read:]


def joined(instructions: Sequence[Instruction]) -> Iterator[Instruction]:
    """The same instructions, with a parameter's update done beside the product that makes its gradient."""
    waiting: Instruction | None = None
    for i in instructions:
        if isinstance(waiting, Product) and isinstance(i, Update) and _takes(waiting, i):
            operands = i.arguments[len(i.recipe.head) + 1 :]
            yield Instruction(
                "matmul_update", [*waiting.finished(), *i.recipe.head, *operands], [*waiting.reads, *i.reads], [*waiting.writes, *i.writes]
            )
            waiting = None
            continue
        if waiting is not None:
            yield waiting
        waiting = i
    if waiting is not None:
        yield waiting


def _takes(p: Product, u: Update) -> bool:
    """Whether ``u`` updates one parameter, by what ``p`` computes, and ``p`` reads nothing that ``u`` changes."""
    one = p.kernel == "matmul" and p.tail[0] == 1 and u.arguments[len(u.recipe.head)] == 1 and p.out.is_dense()
    its_own = any(s.buffer is p.out.buffer and s.start == p.out.start and s.size == p.out.size for s in u.reads)
    return one and its_own and not any(r.buffer.meets(w.buffer) for r in p.reads for w in u.writes)


def encoded(kernels: Native, i: Instruction) -> list[int | Storage]:
    """The numbers of a kernel's call: which one, how many arguments, the arguments, with storages for the addresses to come."""
    arguments = i.finished() if isinstance(i, Product) else i.arguments
    numbers = [
        a if isinstance(a, Storage) else struct.unpack("q", struct.pack("d", a))[0] if isinstance(a, float) else int(a) for a in arguments
    ]
    return [kernels.numbers[i.kernel], len(numbers), *numbers]


OUT = object()
"""Where the result goes, in a product's arguments."""
