"""One side of a comparison: a training step of one library on one workload, ready to be called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workloads import GROWN, WORKLOADS, Workload, module, optimizer

Step = Callable[[], Any]
"""Does one step; float() of what it returns is the loss."""
TOGETHER = {"W1": 32}
"""Steps that our side does in one call where a step is shorter than what Python takes to ask for it (``Compiled.many``)."""


@dataclass
class Side:
    """A library's step, and the call that is timed: ``steps`` steps."""

    step: Step
    timed: Step
    steps: int = 1


def weights(workload: Workload) -> dict[str, np.ndarray[Any, Any]]:
    """The weights that every side starts from, by name."""
    import engine

    engine.manual_seed(0)
    return {k: v.numpy().copy() for k, v in module(engine, workload.layers).state_dict().items()}


def prepared(lib: Any, w: Workload, name: str, start: dict[str, Any], channels_last: bool = False) -> tuple[Any, Any, Any, Any, Any]:
    model = module(lib, w.layers)
    model.load_state_dict({k: lib.tensor(v) for k, v in start.items()})
    x, y = w.data()
    x, y = lib.tensor(x), lib.tensor(y)
    if channels_last:
        last = lib.channels_last_3d if x.ndim == 5 else lib.channels_last
        model, x = model.to(memory_format=last), x.to(memory_format=last)
    return (
        model,
        optimizer(lib, name, w.optimizers[name], model.parameters()),
        lib.nn.MSELoss() if w.regression else lib.nn.CrossEntropyLoss(),
        x,
        y,
    )


def training_step(model: Any, opt: Any, loss: Any) -> Callable[[Any, Any], Any]:
    def step(x: Any, y: Any) -> Any:
        opt.zero_grad()
        value = loss(model(x), y)
        value.backward()
        opt.step()
        return value

    return step


def ours(w: Workload, name: str, start: dict[str, Any], threads: int, eager: bool = False) -> Side:
    import engine

    engine.set_num_threads(threads)
    model, opt, loss, x, y = prepared(engine, w, name, start)
    step = training_step(model, opt, loss)
    if eager:
        return _alone(lambda: step(x, y).item())
    compiled = engine.compile(step)

    def once() -> Any:
        return compiled(x, y).item()

    steps = TOGETHER.get(w.id, 1)
    if steps == 1:
        return _alone(once)
    xs, ys = (engine.stack([t] * steps) for t in (x, y))
    return Side(once, lambda: compiled.many(xs, ys).tolist(), steps)


def _alone(step: Step) -> Side:
    return Side(step, step)


def torch(w: Workload, name: str, start: dict[str, Any], threads: int, kind: str) -> Step:
    import torch as lib

    lib.set_num_threads(threads)
    model, opt, loss, x, y = prepared(lib, w, name, start, kind == "torch_channels_last")
    if kind != "torch.compile":
        step = training_step(model, opt, loss)
        return lambda: step(x, y).item()
    forward = lib.compile(lambda x, y: loss(model(x), y))
    update = lib.compile(opt.step)

    def compiled() -> Any:
        opt.zero_grad()
        value = forward(x, y)
        value.backward()
        update()
        return value.item()

    return compiled


def make(side: str, workload: str, name: str, threads: int, start: Path) -> Side:
    """The step of a side: ours, eager, torch, torch_channels_last, torch.compile or jax."""
    w = {**WORKLOADS, **GROWN}[workload]
    begin = dict(np.load(start))
    if side in ("ours", "eager"):
        return ours(w, name, begin, threads, side == "eager")
    if side == "jax":
        from benchmarks.jax_step import step

        return _alone(step(w, name, begin))
    return _alone(torch(w, name, begin, threads, side))
