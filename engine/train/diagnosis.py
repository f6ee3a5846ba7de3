"""Where numbers first stopped being finite: the steps before are made again from a recent state, the last two of them eagerly and watched.

A run repeats itself exactly, so the steps made again are the same.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from engine.hooks import RemovableHandle
from engine.nn.module import Module
from engine.tensor import Tensor
from engine.train.records import Cause, Diverged, Metrics, State
from engine.train.variant import Variant

EVERY_STEPS = 200
"""How often the state is copied. For a network of 100 x 100, copying takes as long as one step."""
MAX_BYTES = 1 << 29
"""Larger states are not copied: the step is still named then, but no layer."""


class Recent:
    """A copy of a variant's state, not many steps old."""

    def __init__(self) -> None:
        self.state: State | None = None
        self._at = -EVERY_STEPS

    def __call__(self, variant: Variant) -> None:
        """Copies the state if the last copy is old. To be called before each step."""
        step = variant.progress.step
        if step - self._at >= EVERY_STEPS:
            state, self._at = variant.state(), step
            sizes = (x._data.nbytes for x in (*state.tensors.values(), *state.model.values()))
            self.state = _copied(state) if sum(sizes) <= MAX_BYTES else None


def _copied(state: State) -> State:
    tensors, model = ({k: x.detach().clone() for k, x in part.items()} for part in (state.tensors, state.model))
    return State(tensors, copy.deepcopy(state.plain), model)


def find_cause(fresh: Variant, recent: State, step: int) -> Cause | None:
    """What was not finite first, before or at ``step``; None where the steps made again show nothing.

    ``fresh`` is another variant of the same spec, which is used up.
    """
    fresh.restore(recent)
    watch = _Watch(fresh)
    records = iter(fresh)
    try:
        if fresh.progress.step < step - 2:
            next((r for r in records if isinstance(r, Metrics) and r.split == "train" and r.step >= step - 2), None)
        fresh.train_step = watch.watched(fresh.step, fresh.optimizer.param_groups)
        fresh.evaluation.measured = watch.watched(fresh.evaluation.measure)
        next((r for r in records if watch.found or r.step > step), None)
    except Diverged:
        pass
    return watch.found


class _Watch:
    """Looks at everything that a model computes; ``found`` is the first that is not finite."""

    def __init__(self, variant: Variant) -> None:
        self.found: Cause | None = None
        self._variant = variant

    def watched(self, function: Callable[..., Any], groups: list[dict[str, Any]] | None = None) -> Callable[..., Any]:
        """``function`` with every layer watched, and after it the parameters of ``groups``."""

        def run(x: Tensor, *rest: Tensor) -> Any:
            self._see(x, "the input", "")
            handles = [h for layer in self._layers() for h in self._hooks(*layer)]
            try:
                result = function(x, *rest)
            finally:
                for h in handles:
                    h.remove()
            for name, p in self._variant.model.named_parameters() if groups else ():
                self._see(p, "the update", f"parameter {name}")
            return result

        return run

    def _layers(self) -> list[tuple[str, Module]]:
        named = [(f"layer {n} ({type(m).__name__})", m) for n, m in self._variant.model.named_modules() if not list(m.children())]
        loss = self._variant.step.loss
        return [*named, (f"the loss ({type(loss).__name__})", loss)]

    def _hooks(self, name: str, layer: Module) -> list[RemovableHandle]:
        def forward(_: Module, args: Any, out: Any) -> None:
            if isinstance(out, Tensor):
                self._see(out, "the output", name)
                if out.requires_grad:
                    out.register_hook(lambda g: self._see(g, "the gradient", name))

        def gradient(g: Tensor) -> None:
            self._see(g, "the gradient", name)

        own = [p.register_hook(gradient) for p in layer.parameters(recurse=False) if p.requires_grad]
        return [layer.register_forward_hook(forward), *own]

    def _see(self, x: Tensor, what: str, name: str) -> None:
        # the step under way is not counted yet
        if self.found is None and not bool(x.detach().isfinite().all()):
            self.found = Cause(self._variant.progress.step + 1, what, name)
