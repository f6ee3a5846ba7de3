"""Formulas: steps for the kernels mean what the rule means, however they are shared, joined and placed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.capture.formula import CODES, NotTraceable, Program, Symbol, step, symbol, traced

NAMES = {number: name for name, number in CODES.items()}
MEANING: dict[str, Any] = {
    "copy": lambda a: a, "neg": lambda a: -a, "abs": abs, "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "max": max,
    "min": min, "masked": lambda a, b: a if b > 0 else 0.0, "gt": lambda a, b: float(a > b), "where": lambda c, a, b: a if c else b, "fma": lambda a, b, c: a * b + c,
    "fnma": lambda a, b, c: c - a * b, "fms": lambda a, b, c: a * b - c,
}  # fmt: skip
ARITY = {"neg": 1, "abs": 1, "add": 2, "sub": 2, "mul": 2, "max": 2, "min": 2, "gt": 2, "where": 3}


def directly(s: Symbol, values: list[float]) -> float:
    if s.code == "operand":
        return values[s.leaf]
    if s.code == "constant":
        return float(s.leaf)
    return float(MEANING[s.code](*(directly(x, values) for x in s.inputs)))


def by_steps(p: Program, values: list[float], overwritten: dict[int, int]) -> list[float]:
    """Runs the steps as the kernels do; ``overwritten`` maps outputs to the inputs whose memory they share."""
    place: dict[int, float] = {i: values[leaf] for i, leaf in enumerate(p.inputs)}
    place.update({len(p.inputs) + p.outputs + i: c for i, c in enumerate(p.constants)})
    for at in range(0, len(p.steps), 3):
        code, to, packed = p.steps[at : at + 3]
        name = NAMES[code]
        operands = [
            place[(packed >> (16 * i)) & 0xFFFF]
            for i in range(MEANING[name].__code__.co_argcount if hasattr(MEANING[name], "__code__") else ARITY[name])
        ]
        place[to] = MEANING[name](*operands)
        out = to - len(p.inputs)
        if out in overwritten and overwritten[out] in p.inputs:
            place[p.inputs.index(overwritten[out])] = place[to]
    return [place[len(p.inputs) + i] for i in range(p.outputs)]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_steps_mean_what_symbols_mean(data: st.DataObject) -> None:
    pool = [Symbol("operand", leaf=i) for i in range(4)] + [symbol(2.5), symbol(-1.0)]
    for _ in range(data.draw(st.integers(1, 10))):
        code = data.draw(st.sampled_from(sorted(ARITY)))
        pool.append(step(code, *(data.draw(st.sampled_from(pool)) for _ in range(ARITY[code]))))
    outputs = [data.draw(st.sampled_from(pool[4:])) for _ in range(data.draw(st.integers(1, 3)))]
    overwritten = {i: i for i in range(len(outputs)) if data.draw(st.booleans())}
    values = [1.5, -0.75, 0.5, -2.0]
    program = Program(outputs, [[overwritten[i]] if i in overwritten else [] for i in range(len(outputs))])
    np.testing.assert_allclose(by_steps(program, values, overwritten), [directly(s, values) for s in outputs], rtol=1e-9)


def test_a_product_and_a_sum_are_one_step() -> None:
    a, b, c = (Symbol("operand", leaf=i) for i in range(3))
    assert [NAMES[n] for n in Program([a * b + c]).steps[::3]] == ["fma"]
    assert [NAMES[n] for n in Program([c - a * b]).steps[::3]] == ["fnma"]
    assert [NAMES[n] for n in Program([a / 4.0]).steps[::3]] == ["mul"]


def test_what_has_no_step_is_refused() -> None:
    with pytest.raises(NotTraceable, match="arctan"):
        traced("arctan", [Symbol("operand", leaf=0)], {})
    with pytest.raises(NotTraceable, match="operands"):
        Program([sum((Symbol("operand", leaf=i) for i in range(60)), symbol(math.pi))])
