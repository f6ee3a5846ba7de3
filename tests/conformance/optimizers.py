"""One optimizer of PyTorch's sample database on both sides: ten steps of every option set, error types."""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from typing import Any

import numpy as np

import engine
from tests.conformance.translate import Unsupported, ours, same, torch

STEPS = 10
IMPLEMENTATIONS = {"capturable", "differentiable", "foreach", "fused"}
"""Arguments that choose among PyTorch's implementations; the engine has one."""


@functools.cache
def database() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_optimizers import optim_db
    return {info.optim_cls.__name__: info for info in optim_db}


def resolve(info: Any) -> Any:
    """The engine's class of the same name, None where there is none."""
    return getattr(engine.optim, info.optim_cls.__name__, None)


def _start() -> list[Any]:
    rng = np.random.default_rng(5)
    return [rng.normal(size=(3, 4)), rng.normal(size=(4,)), rng.normal(size=())]


def _loss(lib: Any, params: list[Any]) -> Any:
    """Curved, with a minimum, and of gradients that differ in size."""
    w, b, c = params
    x = lib.tensor(np.linspace(-1, 1, 15).reshape(5, 3))
    return ((lib.tanh(x @ w) * b - c) ** 2).sum() + 0.1 * (w**2).sum() + (b**4).sum() * 0.01


def _trajectory(lib: Any, cls: Any, kwargs: dict[str, Any]) -> list[list[Any]]:
    params = [lib.tensor(v, requires_grad=True) for v in _start()]
    optimizer = cls(params, **kwargs)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = _loss(lib, params)
        loss.backward()
        return loss

    history = []
    for _ in range(STEPS):
        optimizer.step(closure)
        history.append([p.detach().clone() for p in params])
    return history


def check_samples(info: Any) -> Counter[str]:
    """Compares the parameters after each of ten steps, for every option set. Raises AssertionError."""
    counted: Counter[str] = Counter()
    for sample in info.optim_inputs_func("cpu"):
        try:
            kwargs = ours(dict(sample.kwargs))
        except Unsupported:
            counted["beyond"] += 1
            continue
        theirs = _trajectory(torch, info.optim_cls, sample.kwargs)
        try:
            mine = _trajectory(engine, resolve(info), kwargs)
        except (TypeError, ValueError, RuntimeError) as error:
            raise AssertionError(f"{sample.desc}: {type(error).__name__}: {error}") from error
        for step, (a, b) in enumerate(zip(mine, theirs, strict=True)):
            for x, y in zip(a, b, strict=True):
                same(x, y, f"{sample.desc} {sample.kwargs}, step {step + 1}", tolerance=1e-6)
        counted["compared"] += 1
    return counted


def check_errors(info: Any) -> int:
    """What PyTorch refuses must be refused with the same type of error. Returns how many calls were checked."""
    checked = 0
    for bad in info.optim_error_inputs_func("cpu", torch.float32):
        sample = bad.optimizer_error_input
        if IMPLEMENTATIONS & set(sample.kwargs):
            continue
        refusal = _refusal(info.optim_cls, sample.params, sample.kwargs)
        if refusal is None:
            continue
        try:
            params, kwargs = ours(sample.params), ours(dict(sample.kwargs))
        except Unsupported:
            continue
        what = f"{sample.desc}: PyTorch {type(refusal).__name__} ({refusal})"
        got = _refusal(resolve(info), params, kwargs)
        assert got is not None, f"{what}, got an optimizer"
        assert isinstance(got, type(refusal)), f"{what}, got {type(got).__name__}: {got}"
        checked += 1
    return checked


def _refusal(cls: Any, params: Any, kwargs: dict[str, Any]) -> Exception | None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            cls(params, **kwargs)
        except Exception as error:
            return error
    return None
