"""How many outputs a model needs, and architectures that leave it to the dataset."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from engine.check.images import sample_shape
from engine.check.targets import class_count, takes_classes, targets_for
from engine.data.selftarget import with_own_targets
from engine.data.source import Source
from engine.data.views import as_read
from engine.spec import registry


def outputs_wanted(spec: dict[str, Any], source: Source) -> int:
    """How many numbers a model yields for each sample, or for each place of its map, as the spec's loss and the dataset's targets ask for."""
    own = with_own_targets(as_read(source, spec), spec, sample_shape(source, spec) if spec["data"]["target"] else None)
    targets = targets_for(spec, own)
    if takes_classes(spec):
        return class_count(spec, own, targets)
    return int(targets.shape[1]) if targets.ndim > 1 else 1


def with_outputs(spec: dict[str, Any], source: Source) -> dict[str, Any]:
    """The checked spec with ``num_classes`` filled in where an architecture leaves it out: in the model, and in those of variants.

    In a model with several outputs an architecture is a part, which has to say it.
    Raises SpecError where the dataset's samples do not go with the spec.
    """
    if spec["outputs"]:
        return spec
    filled = {**spec, "model": _filled(spec["model"], functools.partial(outputs_wanted, spec, source))}
    filled["compare"] = [_of_variant(variant, spec, filled["model"], source) for variant in spec["compare"]]
    return filled


def _of_variant(variant: dict[str, Any], spec: dict[str, Any], model: Any, source: Source) -> dict[str, Any]:
    """A variant, with a model of its own where its loss asks for other outputs than the others'."""
    whole = {**spec, **variant}
    own = _filled(whole["model"], functools.partial(outputs_wanted, whole, source))
    return {**variant, "model": own} if "model" in variant or own != model else variant


def _filled(part: Any, outputs: Callable[[], int]) -> Any:
    """Layers, at any depth, with the number of outputs where they have none."""
    if isinstance(part, list):
        return [_filled(p, outputs) for p in part]
    if not isinstance(part, dict):
        return part
    kind = registry.layers().get(part.get("type", ""))
    named = kind.facts.outputs if kind else None
    found = {k: _filled(v, outputs) for k, v in part.items()}
    return {**found, named: outputs()} if named and part.get(named) is None else found
