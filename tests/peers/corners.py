"""Short programs of PyTorch's as text, run on the engine and on PyTorch: what they give, or the type of their error, must be the same.

A program is statements behind one another, the last of them an expression. It has ``torch``, ``F``, ``nn``, and ``x``, ``y``, ``i``, ``m``: small
tensors of floats, floats that require a gradient, integers and a mask.
"""

from __future__ import annotations

import ast
import functools
import importlib
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest

import engine

LEAST = 1e-5
ERRORS = (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError, AttributeError)


@functools.cache
def _compiled(program: str) -> tuple[Any, Any]:
    tree = ast.parse(program)
    last = tree.body.pop()
    assert isinstance(last, ast.Expr), f"the last statement of {program!r} is no expression"
    return compile(tree, program, "exec"), compile(ast.Expression(last.value), program, "eval")


def _names(lib: Any) -> dict[str, Any]:
    """What a program may name; the same tensors each time."""
    numbers = np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4)
    return {
        "torch": lib, "F": importlib.import_module(f"{lib.__name__}.nn.functional"), "nn": lib.nn, "np": np, "math": math, "Z": lib.zeros, "nan": math.nan, "inf": math.inf,
        "x": lib.tensor(numbers), "y": lib.tensor(numbers[::-1] * 0.7 + 0.1).requires_grad_(), "i": lib.arange(12).reshape(3, 4) - 4,
        "m": lib.tensor(numbers % 1 > 0.4), "g": lib.arange(24.0).reshape(2, 3, 4),
    }  # fmt: skip


def plain(value: Any) -> Any:
    """Tensors as (dtype, shape, numbers), in whatever they stand in."""
    if type(value).__name__ in ("Tensor", "Parameter"):
        return str(value.dtype).removeprefix("torch."), tuple(value.shape), value.detach().double().numpy().ravel()
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list) and type(value).__name__ != "Size":
        return [plain(v) for v in value]
    if type(value).__name__ in ("Size", "dtype", "device", "finfo", "iinfo"):
        return str(value).removeprefix("torch.")
    return value if isinstance(value, bool | int | float | str | None) else type(value).__name__


def outcome(lib: Any, program: str) -> Any:
    """What a program gives on one side, or its error."""
    before, last = _compiled(program)
    names = _names(lib)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(before, names)
            return plain(eval(last, names))
        except ERRORS as error:
            return error


def same(ours: Any, theirs: Any) -> bool:
    """Whether two outcomes agree: numbers to rounding, NaN with NaN, errors by their type."""
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        return isinstance(ours, Exception) and isinstance(theirs, Exception) and isinstance(ours, type(theirs))
    if isinstance(theirs, np.ndarray):
        return ours.shape == theirs.shape and bool(np.allclose(ours, theirs, rtol=1e-4, atol=LEAST, equal_nan=True))
    if isinstance(theirs, list | tuple):
        return type(ours) is type(theirs) and len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[k], theirs[k]) for k in theirs)
    if isinstance(theirs, float) and isinstance(ours, float):
        return ours == theirs or math.isclose(ours, theirs, rel_tol=1e-4, abs_tol=LEAST) or (math.isnan(ours) and math.isnan(theirs))
    return type(ours) is type(theirs) and bool(ours == theirs)


def filled(templates: Iterable[str], **choices: Iterable[Any]) -> Iterator[str]:
    """Every template with every choice of each name that it has in braces."""
    for template in templates:
        names = [name for name in choices if "{" + name + "}" in template]
        for values in itertools.product(*(choices[name] for name in names)):
            text = template
            for name, value in zip(names, values, strict=True):
                text = text.replace("{" + name + "}", str(value))
            yield text


def check(program: str, deliberate: dict[str, str]) -> None:
    """Asserts that both sides agree, or that they still do not where that is ``deliberate``."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")
    ours, theirs = outcome(engine, program), outcome(torch, program)
    if program in deliberate:
        assert not same(ours, theirs), f"no difference any more: {deliberate[program]}"
    else:
        assert same(ours, theirs), f"{program}\n  here    {ours!r}\n  PyTorch {theirs!r}"
