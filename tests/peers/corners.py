"""Short programs of PyTorch's as text, run on the engine and on PyTorch: what they give, or the type of their error, must be the same.

A program is statements behind one another, the last of them an expression. It has ``torch``, ``F``, ``nn``, ``np``, ``math``, ``nan``, ``inf``, ``Z``
(zeros), and the small tensors of ``_names``.
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

import engine
from engine.backend.special import NeedsSciPy

ABSOLUTE, RELATIVE = 1e-5, {"float16": 2e-3, "bfloat16": 1.6e-2}
ERRORS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


@functools.cache
def _compiled(program: str) -> tuple[Any, Any]:
    tree = ast.parse(program)
    last = tree.body.pop()
    assert isinstance(last, ast.Expr), f"the last statement of {program!r} is no expression"
    return compile(tree, program, "exec"), compile(ast.Expression(last.value), program, "eval")


def _names(lib: Any) -> dict[str, Any]:
    """What a program may name; the same numbers each time."""
    numbers = np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4)
    return {
        "torch": lib, "F": importlib.import_module(f"{lib.__name__}.nn.functional"), "nn": lib.nn, "np": np, "math": math, "nan": math.nan,
        "inf": math.inf, "Z": lib.zeros, "x": lib.tensor(numbers), "y": lib.tensor(numbers[::-1] * 0.7 + 0.1).requires_grad_(),
        "i": lib.arange(12).reshape(3, 4) - 4, "m": lib.tensor(numbers % 1 > 0.4), "g": lib.arange(24.0).reshape(2, 3, 4),
    }  # fmt: skip


def _plain(value: Any) -> Any:
    """Tensors as (dtype, shape, numbers), in whatever they stand in."""
    kind = type(value).__name__
    if kind in ("Tensor", "Parameter"):
        return str(value.dtype).removeprefix("torch."), tuple(value.shape), value.detach().double().numpy().ravel()
    if kind in ("Size", "dtype", "device"):
        return str(value).removeprefix("torch.")
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value if isinstance(value, bool | int | float | str | None) else kind


def outcome(lib: Any, program: str) -> Any:
    """What a program gives on one side, or its error."""
    before, last = _compiled(program)
    names = _names(lib)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(before, names)
            return _plain(eval(last, names))
        except NeedsSciPy:
            raise  # the test is skipped
        except ERRORS as error:
            return error


def same(ours: Any, theirs: Any) -> bool:
    """Whether two outcomes agree: numbers to rounding, NaN with NaN, errors by their type."""
    if isinstance(theirs, Exception) or isinstance(ours, Exception):
        return isinstance(ours, type(theirs)) or (isinstance(ours, Exception) and isinstance(theirs, type(ours)))
    if isinstance(theirs, tuple):  # a tensor
        if not isinstance(ours, tuple) or ours[:2] != theirs[:2]:
            return False
        return bool(np.allclose(ours[2], theirs[2], RELATIVE.get(theirs[0], 1e-4), ABSOLUTE, equal_nan=True))
    if isinstance(theirs, list):
        return isinstance(ours, list) and len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, float) and isinstance(ours, float):
        return bool(np.isclose(ours, theirs, 1e-4, ABSOLUTE, equal_nan=True))
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


def check(program: str, torch: Any, deliberate: dict[str, str]) -> None:
    """Asserts that both sides agree; or, where ``deliberate`` says why they do not, that they still do not."""
    ours, theirs = outcome(engine, program), outcome(torch, program)
    if program in deliberate:
        assert not same(ours, theirs), f"no longer different: {deliberate[program]}"
    else:
        assert same(ours, theirs), f"{program}\n  here    {ours!r}\n  PyTorch {theirs!r}"
