"""Optimizers outside of programs: their rules as compiled formulas, for parameters that are large enough.

The scalar rule of an optimizer is array code for NumPy and CuPy; here it becomes a formula once for each way that its hyperparameters
decide (``weight_decay`` or none, say), and one pass over memory does what NumPy does in ten.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from engine.capture.formula import Live, NotTraceable, Program, Symbol, traced
from engine.dispatch import OPS, Op
from engine.kernels.native import Native, address, native
from engine.optim.optimizer import Optimizer

SMALL = 16384
"""Elements below which NumPy is as fast."""


class _Formula:
    """A rule for some decisions of its hyperparameters."""

    def __init__(self, op: Op, operands: int, hyper: dict[str, Any]) -> None:
        guards: list[tuple[Live, bool]] = []
        self.flags = {k: v for k, v in hyper.items() if isinstance(v, bool)}
        numbers = {k: v if k in self.flags else Live(v, operator.itemgetter(k), frozenset((k,)), guards) for k, v in hyper.items()}
        made = traced(op.rule, [Symbol("operand", leaf=i) for i in range(operands)], numbers)  # type: ignore[arg-type]  # an update has a rule
        outputs = made if isinstance(made, tuple) else (made,)
        self.guards = guards
        self.program = p = Program(outputs, [[0], *([i] for i in range(2, operands))])
        head = [len(p.inputs), p.outputs, len(p.constants), 0, p.places, len(p.steps) // 3, *p.steps, 1]
        self._tail = 2 + len(head)  # the size and the addresses, which change from parameter to parameter
        length = self._tail + 1 + len(p.inputs) + p.outputs
        self._code = np.array([0, length - 2, *head] + [0] * (length - self._tail), np.int64)
        self._last: tuple[dict[str, Any], np.ndarray[Any, Any]] | None = None

    def fits(self, hyper: dict[str, Any]) -> bool:
        if self._last is not None and hyper == self._last[0]:
            return True
        return all(hyper[k] is v for k, v in self.flags.items()) and all(bool(g.find(hyper)) is answer for g, answer in self.guards)

    def _constants(self, hyper: dict[str, Any]) -> np.ndarray[Any, Any]:
        last = self._last
        if last is None or hyper != last[0]:
            numbers = [c.find(hyper) if isinstance(c, Live) else c for c in self.program.constants]
            last = self._last = hyper, np.array(numbers, np.float32)
        return last[1]

    def run(self, kernels: Native, outs: list[np.ndarray[Any, Any]], ins: tuple[np.ndarray[Any, Any], ...], hyper: dict[str, Any]) -> None:
        constants, code = self._constants(hyper), self._code.copy()
        constants_at, *places = [address(a) for a in (constants, *(ins[i] for i in self.program.inputs), *outs)]
        code[0], code[5], code[self._tail :] = kernels.numbers["map_pieces"], constants_at, [outs[0].size, *places]
        kernels.run(address(code), len(code))


def _compiled(op: Op, kernels: Native) -> Callable[..., None]:
    """The op's kernel for NumPy arrays."""
    formulas: dict[int, list[_Formula] | None] = {}

    def plain(outs: Any, *ins: np.ndarray[Any, Any], **hyper: Any) -> None:
        assert op.kernel is not None
        op.kernel(outs, *ins, **hyper)

    def kernel(outs: Any, *ins: np.ndarray[Any, Any], **hyper: Any) -> None:
        held = formulas.setdefault(len(ins), []) if ins[0].size >= SMALL else None
        if (
            held is None
            or not all(type(v) in (bool, int, float) for v in hyper.values())
            or not all(a.dtype == np.float32 and a.flags.c_contiguous for a in ins)
        ):
            return plain(outs, *ins, **hyper)
        found = next((f for f in held if f.fits(hyper)), None)
        if found is None:
            try:
                found = _Formula(op, len(ins), hyper)
            except NotTraceable:
                formulas[len(ins)] = None
                return plain(outs, *ins, **hyper)
            held.append(found)
        return found.run(kernels, outs if isinstance(outs, list) else [outs], ins, hyper)

    return kernel


def install() -> None:
    """Gives every optimizer its compiled kernel, where there are compiled kernels."""
    kernels = native()
    if kernels is None:
        return
    kinds = [Optimizer]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        op = getattr(kind, "update", None)
        if op is not None and OPS[op.name].kernel is not None:
            op.overrides.setdefault("numpy", _compiled(op, kernels))
