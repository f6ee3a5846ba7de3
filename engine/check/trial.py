"""Steps of training, and of evaluation, on arrays without elements: one for each size that a step or a batch of the run will have.

What goes wrong in them for the shapes, the types or the settings there are would end the job: it is found here instead.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from engine.amp import autocast
from engine.backend import META, MetaArray
from engine.check.loop import Batches
from engine.dtypes import bfloat16, int64
from engine.modes import no_grad
from engine.nn.module import Module
from engine.spec import Problem, build_loss, build_optimizer, registry
from engine.spec.build import outline, parameter_dtype
from engine.spec.builder import blame, misfit, mixes_samples
from engine.spec.heads import heads
from engine.spec.inputs import limit_of
from engine.spec.problems import pointer, said
from engine.spec.weights import freeze, phases
from engine.tensor import Tensor


class _Found(Exception):
    """Ends a trial with what is wrong."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


@contextlib.contextmanager
def _step_on(n: int) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever it throws would end the job
        raise _Found(Problem("/model", "does_not_fit", f"a step of training on {n} samples fails: {said(error)}")) from None


class _Loss:
    """One loss with its targets; ``at`` is its place in the spec."""

    def __init__(self, settings: dict[str, Any], targets: np.ndarray[Any, Any], dtype: Any, at: str) -> None:
        self.settings, self.targets, self.dtype, self.at = settings, targets, dtype, at
        self.mixed = False

    def loss(self, output: Tensor, settings: dict[str, Any]) -> Tensor:
        classes = self.targets.dtype.kind == "i"
        if classes and self.mixed:  # shares of them
            y = Tensor._wrap(MetaArray(tuple(output.shape), self.dtype.numpy))
        else:
            y = Tensor._wrap(MetaArray((output.shape[0], *self.targets.shape[1:]), self.targets.dtype if classes else self.dtype.numpy))
        loss: Tensor = build_loss({"loss": settings}).to(META, dtype=self.dtype)(output, y)
        return loss

    def check_weights(self) -> None:
        """Weights of elements must not make more of them: broadcasting would."""
        for name in ("weight", "pos_weight"):
            given, columns = self.settings.get(name), self.targets.shape[-1]
            if given is not None and self.targets.dtype.kind == "f" and len(given) not in (1, columns):
                detail = f"expected a weight for each of the {columns} outputs, or one for all, got {len(given)}"
                raise _Found(Problem(pointer(self.at, name), "does_not_fit", detail, columns, given))

    def try_loss(self, output: Tensor) -> Tensor:
        self.check_weights()
        try:
            return self.loss(output, self.settings)
        except Exception as error:  # whatever it throws would end the job
            raise _Found(self._blame_loss(output, error)) from None

    def _blame_loss(self, output: Tensor, error: Exception) -> Problem:
        """The setting without which the loss works; else what the error names."""
        settings = self.settings
        kind = registry.losses()[settings["type"]]
        given = {k: v for k, v in settings.items() if k != "type" and kind.defaults.get(k) != v}
        for name in given:
            try:
                self.loss(output, {**settings, name: kind.defaults[name]})
            except Exception:  # another setting's fault
                continue
            return Problem(pointer(self.at, name), "invalid", said(error), None, settings[name])
        return blame(kind, given, error, self.at)


class _Trial:
    def __init__(self, spec: dict[str, Any], shape: tuple[int, ...], targets: list[np.ndarray[Any, Any]]) -> None:
        self.spec, self.shape, self.dtype = spec, shape, parameter_dtype(spec)
        self.heads = {
            name: _Loss(head["loss"], y, self.dtype, pointer("/outputs", name, "loss") if name else "/loss")
            for (name, head), y in zip(heads(spec).items(), targets, strict=True)
        }
        self.half = autocast("meta", bfloat16, enabled=spec["precision"] == "bfloat16")
        self.model, places = outline(spec, shape)
        self.optimizer = build_optimizer(spec, self.model)
        self.at: tuple[str, tuple[Tensor, ...]] | None = None
        for module, place in places.items():
            module.register_forward_pre_hook(functools.partial(self._entered, place))
            module.register_forward_hook(functools.partial(self._left, place))

    def _entered(self, place: str, module: Module, inputs: Any) -> None:
        self.at = place, inputs

    def _left(self, place: str, module: Module, inputs: Any, output: Any) -> None:
        for problem in mixes_samples(module, inputs[0], output, place):
            raise _Found(problem)

    def forward(self, n: int) -> Any:
        """The outputs of ``n`` samples."""
        x = Tensor._wrap(MetaArray((n, *self.shape), (self.dtype if limit_of(self.shape) is None else int64).numpy))
        try:
            return self.model(x)
        except _Found:
            raise
        except Exception as error:  # whatever it throws would end the job
            place, xs = self.at or ("/model", (x,))
            raise _Found(misfit(error, xs, place)) from None

    def try_losses(self, outputs: Any) -> Tensor:
        """The sum of what is learned; of mixed targets in training, if the spec mixes."""
        for head in self.heads.values():
            head.mixed = self.model.training and bool(self.spec["data"]["mix"])
        losses = [head.try_loss(outputs[name] if name else outputs) for name, head in self.heads.items()]
        return functools.reduce(lambda a, b: a + b, losses)

    def train(self, sizes: tuple[int, ...]) -> None:
        """A step on batches of these sizes, whose gradients add up."""
        self.model.train()
        self.optimizer.zero_grad()
        for n in sizes:
            with self.half:
                loss = self.try_losses(self.forward(n))
            with _step_on(n):
                loss.backward()
        with _step_on(sum(sizes)):
            self.optimizer.step()

    @no_grad()
    def evaluate(self, n: int) -> None:
        self.model.eval()
        with self.half:
            self.try_losses(self.forward(n))


def trial_problems(spec: dict[str, Any], shape: tuple[int, ...], targets: list[np.ndarray[Any, Any]], batches: Batches) -> list[Problem]:
    """What is wrong with the first step that fails; ``targets`` are those of each output."""
    trial = _Trial(spec, shape, targets)
    try:
        for epoch, sizes in itertools.product(phases(spec), batches.steps):
            freeze(spec, trial.model, epoch)
            try:
                trial.train(sizes)
            except _Found as found:
                raise _Found(_of_size(trial, sizes, found.problem, batches)) from None
        for n in (spec["data"]["batch_size"] + 1, *batches.evaluation_sizes):
            trial.evaluate(n)
    except _Found as found:
        return [found.problem]
    return []


def _of_size(trial: _Trial, sizes: tuple[int, ...], problem: Problem, batches: Batches) -> Problem:
    """The problem of a step on batches of ``sizes``; it is that of the last batch where one more sample in it helps."""
    n, size = sizes[-1], trial.spec["data"]["batch_size"]
    try:
        trial.train((n + 1,))
    except _Found:
        return problem
    last = f"the last batch of an epoch has {n} of {batches.train} samples" if n != size else f"batch_size is {n}"
    way_out = "set drop_last to true, or another batch_size" if n != size and batches.train > size else "set another batch_size"
    detail = f"{last}, and {problem.pointer} does not work with that: {problem.detail}; {way_out}"
    return Problem("/data/batch_size", "batch_too_small", detail, None, size)
