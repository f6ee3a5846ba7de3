"""The table of layers: what each yields, costs and needs, found by watching what is launched while it runs on arrays without elements."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from engine.backend import Array
from engine.dispatch import Op
from engine.nn.module import Module
from engine.tensor import Tensor


@dataclass
class Row:
    """One layer of the table; sizes are for one sample."""

    pointer: str
    name: str
    type: str
    output: list[int]
    parameters: int
    flops: int
    activation_bytes: int


@dataclass
class Cost:
    """What was launched: floating-point operations, and bytes of results."""

    flops: int = 0
    bytes: int = 0

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.flops - other.flops, self.bytes - other.bytes)

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.flops + other.flops, self.bytes + other.bytes)


@dataclass
class _Running:
    """A module that computes: the cost before, and that of the modules in it."""

    before: Cost
    inside: Cost = field(default_factory=Cost)


class Table:
    """Collects the ``rows``."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._cost = Cost()
        self._stack: list[_Running] = []
        self._parts: list[tuple[str, Module, list[int], Cost]] = []

    def observe(self, op: Op, outs: list[Array], ins: Any, attrs: dict[str, Any]) -> None:
        """Takes note of a launch."""
        if op.view is None:
            self._cost += Cost(op.flops(outs, ins, attrs), sum(o.nbytes for o in outs))

    @contextlib.contextmanager
    def watching(self, module: Module, into_parts: bool) -> Iterator[None]:
        """Inside, ``module`` runs; ``into_parts`` notes each layer in it by itself."""
        self._stack, self._parts = [_Running(self._cost)], []
        handles = []
        for path, part in module.named_modules() if into_parts else ():
            if part is not module:
                handles.append(part.register_forward_pre_hook(lambda *_: self._stack.append(_Running(self._cost))))
                handles.append(part.register_forward_hook(lambda m, _, y, path=path: self._left(path, m, y)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _left(self, path: str, module: Module, y: Any) -> None:
        """Notes a part that has run, if it computes something itself."""
        running = self._stack.pop()
        total = self._cost - running.before
        own = total - running.inside
        self._stack[-1].inside += total
        if own != Cost() or next(module.parameters(False), None) is not None or not module._modules:
            self._parts.append((path, module, _sizes(y), own))

    def add(self, pointer: str, name: str, type: str, module: Module, y: Tensor) -> None:
        """The rows of a layer that has run and yielded ``y``: one, or those of its parts, and its own for what it computes beside them."""
        n, whole = y.shape[0] if y.ndim else 1, self._stack[0]
        rest = self._cost - whole.before - whole.inside
        seen: set[int] = set()

        def row(path: str, kind: str, m: Module, sizes: list[int], cost: Cost, recurse: bool) -> Row:
            new = {id(p): p.numel() for p in m.parameters(recurse) if id(p) not in seen}  # a shared one counts once
            seen.update(new)
            label = ".".join(part for part in (name, path) if part)
            return Row(pointer, label, kind, sizes, sum(new.values()), cost.flops // n, cost.bytes // n)

        self.rows += [row(path, m.__class__.__name__, m, sizes, cost, False) for path, m, sizes, cost in self._parts]
        own = row("", type, module, list(y.shape[1:]), rest, not self._parts)
        if not self._parts or own.parameters or rest != Cost():
            self.rows.append(own)


def _sizes(y: Any) -> list[int]:
    """One sample's shape, of the first tensor where there are several."""
    first = y[0] if isinstance(y, tuple) else y
    return list(first.shape[1:]) if isinstance(first, Tensor) else []
