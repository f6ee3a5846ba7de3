"""One module of PyTorch's sample database on both sides: text, state, outputs, gradients, error types."""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from typing import Any

import numpy as np

import engine
from tests.conformance.translate import Unsupported, flat, ours, same, torch

DIFFERENT: dict[str, str] = {}
"""Modules that are not compared, and why."""
RANDOM = {"FractionalMaxPool2d", "FractionalMaxPool3d"}


@functools.cache
def database() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_modules import module_db
    return {info.module_cls.__name__: info for info in module_db}


def resolve(info: Any) -> Any:
    """The engine's class of the same name, None where there is none."""
    name = info.module_cls.__name__
    return None if name in DIFFERENT else getattr(engine.nn, name, None)


def check_samples(info: Any) -> Counter[str]:
    """Compares every sample in training and in evaluation. Raises AssertionError."""
    counted: Counter[str] = Counter()
    for training in (True, False):
        for i, sample in enumerate(info.module_inputs_func(info, "cpu", torch.float64, requires_grad=True, training=training)):
            what = f"sample {i} ({sample.desc or sample.constructor_input.args}, {sample.constructor_input.kwargs}), training={training}"
            try:
                _compare(info, sample, training, what)
                counted["compared"] += 1
            except (Unsupported, NotImplementedError):
                counted["beyond"] += 1
    return counted


def _compare(info: Any, sample: Any, training: bool, what: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        built = sample.constructor_input
        if built.kwargs.get("dropout") and training:
            raise Unsupported("random numbers")
        torch.manual_seed(0)
        theirs = info.module_cls(*built.args, **built.kwargs)
        try:
            mine = resolve(info)(*ours(tuple(built.args)), **ours(dict(built.kwargs)))
        except TypeError as error:
            raise AssertionError(f"{what}: {error}") from error
        theirs, mine = theirs.double().train(training), mine.double().train(training)
        for dropout in (m for m in theirs.modules() if isinstance(m, torch.nn.Dropout)):
            if dropout.p and training:
                raise Unsupported("random numbers")
        assert repr(mine) == repr(theirs), f"{what}: {mine!r}, PyTorch {theirs!r}"
        if sample.forward_input is not None and hasattr(theirs, "has_uninitialized_params"):
            theirs(*sample.forward_input.args, **sample.forward_input.kwargs)  # a lazy layer has no state before
            mine.load_state_dict({k: ours(v) for k, v in theirs.state_dict().items()})
        state = theirs.state_dict()
        assert list(mine.state_dict()) == list(state), f"{what}: state {list(mine.state_dict())}, PyTorch {list(state)}"
        mine.load_state_dict({k: ours(v) for k, v in state.items()})
        if sample.forward_input is None:
            return
        made: dict[int, Any] = {}
        inputs = sample.forward_input
        arguments = ours((tuple(inputs.args), dict(inputs.kwargs)), made)
        b = list(flat(theirs(*inputs.args, **inputs.kwargs)))
        try:
            a = list(flat(mine(*arguments[0], **arguments[1])))
        except NotImplementedError:
            raise
        except Exception as error:
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    assert len(a) == len(b), f"{what}: {len(a)} results, PyTorch {len(b)}"
    for x, y in zip(a, b, strict=True):
        same(x, y, what)
    _compare_gradients(a, b, mine, theirs, inputs, made, what)
    for (name, x), y in zip(mine.state_dict().items(), theirs.state_dict().values(), strict=True):
        same(x, y, f"{what}: {name} afterwards")


def _compare_gradients(a: list[Any], b: list[Any], mine: Any, theirs: Any, inputs: Any, made: dict[int, Any], what: str) -> None:
    """Of inputs and parameters, by random weights of the outputs."""
    rng = np.random.default_rng(0)
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if isinstance(y, torch.Tensor) and y.requires_grad]
    if not pairs:
        return
    weights = [rng.normal(size=tuple(y.shape)) for _, y in pairs]
    leaves = [x for x in flat((*inputs.args, *inputs.kwargs.values())) if isinstance(x, torch.Tensor) and x.requires_grad]
    gradients = torch.autograd.grad(
        [y for _, y in pairs], [*leaves, *theirs.parameters()], [torch.tensor(w) for w in weights], allow_unused=True
    )
    xs = [*(made[id(z)] for z in leaves), *mine.parameters()]
    found = engine.autograd.grad([x for x, _ in pairs], xs, [engine.tensor(w) for w in weights], allow_unused=True)
    for i, (g, h) in enumerate(zip(found, gradients, strict=True)):
        if h is None:
            assert g is None or not bool(g.any()), f"{what}: gradient {i}: PyTorch has none"
        else:
            same(engine.zeros_like(xs[i]) if g is None else g, h, f"{what}: gradient {i}", tolerance=1e-6)


def check_errors(info: Any) -> int:
    """What PyTorch refuses must be refused with the same type of error. Returns how many calls were checked."""
    checked = 0
    if info.module_error_inputs_func is None:
        return 0
    for training in (True, False):
        for i, bad in enumerate(info.module_error_inputs_func(info, "cpu", torch.float64, requires_grad=True, training=training)):
            built, inputs = bad.module_error_input.constructor_input, bad.module_error_input.forward_input
            refusal = _refusal(info.module_cls, (built.args, built.kwargs), inputs and (inputs.args, inputs.kwargs))
            if refusal is None:
                continue
            what = f"error input {i}: PyTorch {type(refusal).__name__} ({refusal})"
            try:
                arguments = ours((tuple(built.args), dict(built.kwargs)))
                calls = ours((tuple(inputs.args), dict(inputs.kwargs))) if inputs is not None else None
            except Unsupported:
                continue
            got = _refusal(resolve(info), arguments, calls)
            assert got is not None, f"{what}, got a result"
            assert isinstance(got, type(refusal)), f"{what}, got {type(got).__name__}: {got}"
            checked += 1
    return checked


def _refusal(cls: Any, built: Any, inputs: Any) -> Exception | None:
    """The error of making a module and applying it, if there is one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            module = cls(*built[0], **built[1]).double()
            if inputs is not None:
                module(*inputs[0], **inputs[1])
        except Exception as error:
            return error
    return None
