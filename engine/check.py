"""What can be known of a spec and its dataset together before anything runs: whether models, losses and targets fit, and who is held out."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.data.source import Source
from engine.data.split import split_indices
from engine.data.suitability import suitability_problems
from engine.spec import Problem, SpecError, Summary, summarize, variants


def takes_classes(spec: dict[str, Any]) -> bool:
    """Whether the loss wants class numbers as its target."""
    return spec["loss"]["type"] in ("CrossEntropyLoss", "NLLLoss")


def targets_for(spec: dict[str, Any], source: Source) -> np.ndarray[Any, Any]:
    """The dataset's targets in the reading that the spec's loss wants; as they are stored where they have no such reading."""
    found = source.targets_as("classes" if takes_classes(spec) else "numbers")
    return source.targets if found is None else found


def check_targets(spec: dict[str, Any], source: Source, shape: tuple[int, ...]) -> list[Summary]:
    """The summary of every variant's model. Raises SpecError with all that is wrong between models, losses and targets."""
    problems: list[Problem] = []
    summaries: list[Summary] = []
    for i, (name, s) in enumerate(variants(spec)):
        at = "" if name is None else f"/compare/{i}"
        try:
            summaries.append(summarize(s, shape))
        except SpecError as error:
            problems += [
                p if name is None else Problem(p.pointer, p.code, f"{p.detail} (variant {name!r})", p.expected, p.got)
                for p in error.problems
            ]
            continue
        problems += _target_problems(s, at, tuple(summaries[-1].output), source)
    stopping = spec["early_stopping"]
    if stopping and stopping["monitor"].startswith("val_") and len(split_indices(source, spec)[1]) == 0:
        problems.append(
            Problem(
                "/early_stopping/monitor",
                "invalid",
                f"{stopping['monitor']} needs held-out samples: set /data/validation above 0",
                None,
                stopping["monitor"],
            )
        )
    if problems:
        raise SpecError(p for i, p in enumerate(problems) if p not in problems[:i])
    return summaries


def _target_problems(spec: dict[str, Any], at: str, output: tuple[int, ...], source: Source) -> list[Problem]:
    targets, classes = targets_for(spec, source), source.report.classes
    loss = f"{at}/loss" if at else "/loss"
    if takes_classes(spec):
        if targets.dtype.kind != "i":
            return [
                Problem(
                    loss,
                    "does_not_fit",
                    f"{spec['loss']['type']} needs classes as targets, but the dataset's are numbers of shape {targets.shape[1:]}",
                )
            ]
        if not output:
            return [Problem("/model", "does_not_fit", "the model must end with one output a class")]
        n = len(classes) if classes else int(targets.max()) + 1
        if output[0] < n:
            return [
                Problem(
                    f"/model/{len(spec['model']) - 1}",
                    "too_few_outputs",
                    f"expected at least {n} outputs (the dataset has {n} classes), got {output[0]}",
                    n,
                    output[0],
                )
            ]
    elif tuple(output) != tuple(targets.shape[1:]):
        return [
            Problem(
                f"/model/{len(spec['model']) - 1}",
                "does_not_fit",
                f"{spec['loss']['type']} needs outputs of the targets' shape {tuple(targets.shape[1:])}, got {tuple(output)}",
                list(targets.shape[1:]),
                list(output),
            )
        ]
    return suitability_problems(spec, source, targets, output[0] if output else 0)


__all__ = ["check_targets", "split_indices", "takes_classes", "targets_for"]
