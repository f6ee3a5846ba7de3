"""Every op's sample with dimensions of no elements, on the engine and on PyTorch."""

from __future__ import annotations

import itertools
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import engine
from engine import Tensor
from engine.backend.special import NeedsSciPy
from tests.engine import samples

KEPT_GLOBALS = {"torch", "F", "S", "INDEX", "MASK", "PLACES"}
"""What a sample's function may name and still run on PyTorch: the rest are the engine's own parts."""
CASES = {
    **{f"{name}-{i}": sample for name, found in samples.SAMPLES.items() for i, sample in enumerate(found)},
    **{f"composite-{name}": sample for name, sample in samples.COMPOSITES.items()},
    **{f"value-{name}": sample for name, sample in samples.VALUES.items()},
}


def emptied(shapes: Sequence[tuple[int, ...]]) -> Iterator[list[tuple[int, ...]]]:
    """The shapes with every choice of their sizes at 0; a size that occurs several times is the same everywhere."""
    found = sorted({n for shape in shapes for n in shape})
    for chosen in itertools.product((False, True), repeat=len(found)):
        empty = {n for n, is_empty in zip(found, chosen, strict=True) if is_empty}
        if empty:
            yield [tuple(0 if n in empty else n for n in shape) for shape in shapes]


def on_pytorch(function: Callable[..., Any], torch: Any) -> Callable[..., Any] | None:
    """The same function of PyTorch's tensors; None where it is made of the engine's own parts."""
    code = getattr(function, "__code__", None)
    if getattr(function, "__module__", "") != samples.__name__ or code is None:
        module = torch.nn.functional if function.__module__.startswith("engine.nn") else torch
        name = getattr(function, "__name__", "")
        return getattr(module, name, None) or getattr(torch.special, name, None) or getattr(torch.linalg, name, None)
    here = {n: v for n, v in vars(samples).items() if not n.startswith("__")}
    if {n for n in code.co_names if n in here} - KEPT_GLOBALS or code.co_freevars:
        return None
    theirs = {n: torch.tensor(here[n].numpy()) for n in ("INDEX", "MASK", "PLACES")}
    known = {"__builtins__": __builtins__, "torch": torch, "F": torch.nn.functional, "S": torch.special, **theirs}
    return types.FunctionType(code, known, function.__name__, function.__defaults__)


def outcome(lib: Any, function: Callable[..., Any], shapes: Sequence[tuple[int, ...]], dtype: str = "float32") -> Any:
    """Results and gradients as arrays, or the name of the error."""
    rng = np.random.default_rng(0)
    leaves = [lib.tensor(rng.uniform(0.2, 0.8, shape).astype(dtype)).requires_grad_() for shape in shapes]
    try:
        made = function(*leaves)
        results = [
            y for y in (made if isinstance(made, tuple | list) else [made]) if isinstance(y, Tensor if lib is engine else lib.Tensor)
        ]
        total = [y.sum() for y in results if y.requires_grad]
        if total:
            sum(total[1:], total[0]).backward()
    except NeedsSciPy:
        raise  # the test is skipped
    except (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return [y.detach().numpy() for y in results], [None if x.grad is None else x.grad.numpy() for x in leaves]
