"""Optimizers outside of programs: their rules as compiled formulas, all parameters of a group in one call.

The scalar rule of an optimizer is array code for NumPy and CuPy; here it becomes a formula once for each way that its hyperparameters
decide (``weight_decay`` or none, say), and one pass over memory does what NumPy does in ten.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Callable, Sequence
from types import NoneType
from typing import Any

import numpy as np

from engine.capture.formula import Live, NotTraceable, flags, update_program
from engine.dispatch import OPS, Call, Op
from engine.kernels.native import Native, address, native
from engine.optim.optimizer import Hyper, Optimizer

Floats = np.ndarray[Any, Any]


class _Formula:
    """A rule for some decisions of its hyperparameters."""

    def __init__(self, op: Op, operands: int, hyper: dict[str, Any]) -> None:
        self.guards: list[tuple[Live, bool]] = []
        self.flags = flags(hyper)
        self.program = p = update_program(op, operands, hyper, self.guards)
        self.head = [len(p.inputs), p.outputs, len(p.constants), 0, p.places, len(p.steps) // 3, *p.steps]
        self._last: tuple[dict[str, Any], Floats] | None = None

    def fits(self, hyper: dict[str, Any]) -> bool:
        if self._last is not None and hyper == self._last[0]:
            return True
        return flags(hyper) == self.flags and all(bool(g.find(hyper)) is answer for g, answer in self.guards)

    def constants(self, hyper: dict[str, Any]) -> Floats:
        last = self._last
        if last is None or hyper != last[0]:
            numbers = [c.find(hyper) if isinstance(c, Live) else c for c in self.program.constants]
            last = self._last = hyper, np.array(numbers, np.float32)
        return last[1]

    def run(self, kernels: Native, outs: list[Floats], ins: Sequence[Floats], hyper: dict[str, Any]) -> None:
        _Plan(self, kernels, [(outs, ins, hyper)]).run([(outs, ins, hyper)], hyper)


class _Plan:
    """A formula on the parameters of one group: a program in which only the gradients' places change from step to step."""

    def __init__(self, formula: _Formula, kernels: Native, calls: Sequence[Call]) -> None:
        self.formula, self.kernels = formula, kernels
        self.outs = [outs for outs, _, _ in calls]
        inputs = formula.program.inputs
        code = [kernels.numbers["map_pieces"], 0, *formula.head, len(calls)]
        self.places: list[int] = []  # of the gradients, in the program
        for outs, ins, _ in calls:
            self.places += [len(code) + 1 + inputs.index(1)] if 1 in inputs else []
            code += [outs[0].size, *(address(ins[i]) for i in inputs), *map(address, outs)]
        code[1] = len(code) - 2
        self.code = np.array(code, np.int64)

    def fits(self, calls: Sequence[Call], hyper: dict[str, Any]) -> bool:
        """Whether these are the parameters and slots that it was made for, and their gradients are what it can read."""
        if len(calls) != len(self.outs) or not self.formula.fits(hyper):
            return False
        for (outs, ins, own), held in zip(calls, self.outs, strict=True):
            if (
                len(outs) != len(held)
                or not all(map(operator.is_, outs, held))
                or not (own is hyper or own == hyper)
                or not _is_plain(ins[1])
            ):
                return False
        return True

    def run(self, calls: Sequence[Call], hyper: dict[str, Any]) -> None:
        constants, code = self.formula.constants(hyper), self.code
        code[5] = address(constants)
        for at, (_, ins, _) in zip(self.places, calls, strict=False):
            code[at] = address(ins[1])
        self.kernels.run(address(code), len(code))


def _is_plain(a: Any) -> bool:
    return type(a) is np.ndarray and a.dtype == np.float32 and a.flags.c_contiguous


def _fits(outs: list[Any], ins: Sequence[Any], hyper: dict[str, Any]) -> bool:
    """Whether an update can be done by a formula."""
    return all(map(_is_plain, ins)) and all(map(_is_plain, outs)) and all(type(v) in (NoneType, bool, int, float) for v in hyper.values())


def _compiled(op: Op, kernels: Native) -> tuple[Callable[..., None], Callable[[Sequence[Call]], bool]]:
    """The op's kernel for NumPy arrays, and that of several launches at once."""
    formulas: dict[int, list[_Formula] | None] = {}
    plans: weakref.WeakKeyDictionary[Optimizer, dict[int, _Plan]] = weakref.WeakKeyDictionary()

    def formula(ins: Sequence[Any], hyper: dict[str, Any]) -> _Formula | None:
        held = formulas.setdefault(len(ins), [])
        if held is None:
            return None
        found = next((f for f in held if f.fits(hyper)), None)
        if found is None:
            try:
                found = _Formula(op, len(ins), hyper)
            except NotTraceable:
                formulas[len(ins)] = None
                return None
            held.append(found)
        return found

    def kernel(outs: Any, *ins: Any, **hyper: Any) -> None:
        listed = outs if isinstance(outs, list) else [outs]
        found = formula(ins, hyper) if _fits(listed, ins, hyper) else None
        if found is not None:
            return found.run(kernels, listed, ins, hyper)
        assert op.kernel is not None
        return op.kernel(outs, *ins, **hyper)

    def together(calls: Sequence[Call]) -> bool:
        hyper = calls[0][2]
        if not isinstance(hyper, Hyper):
            return False
        own = plans.setdefault(hyper.optimizer, {})
        plan = own.get(id(hyper.group))
        if plan is None or not plan.fits(calls, hyper):
            length = len(calls[0][1])
            if not all(len(ins) == length and other == hyper and _fits(outs, ins, other) for outs, ins, other in calls):
                return False
            found = formula(calls[0][1], hyper)
            if found is None:
                return False
            plan = own[id(hyper.group)] = _Plan(found, kernels, calls)
        plan.run(calls, hyper)
        return True

    return kernel, together


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
            op.overrides["numpy"], op.together = _compiled(op, kernels)
