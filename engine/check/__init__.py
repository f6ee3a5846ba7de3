"""What can be known of a spec and its dataset together before anything runs: whether models, losses and targets fit, and who is held out."""

from __future__ import annotations

from typing import Any

from engine.check.images import as_taken, sample_shape
from engine.check.loop import Batches, evaluation_batch, loop_problems, schedule_problems
from engine.check.outputs import outputs_wanted, with_outputs
from engine.check.targets import class_outputs, takes_classes, target_kind, target_problems, targets_for, with_class_dim
from engine.check.trial import trial_problems
from engine.check.weights import FindWeights, load_weights, match_weights, weight_file
from engine.data.selftarget import with_own_targets
from engine.data.source import Source
from engine.data.suitability import suitability_problems
from engine.data.views import as_read
from engine.spec import Problem, SpecError, Summary, summarize, variants
from engine.spec.build import outline
from engine.spec.heads import heads, with_heads
from engine.spec.limits import MAX_BYTES, in_units
from engine.spec.problems import nearest, pointer

__all__ = [
    "FindWeights",
    "as_taken",
    "class_outputs",
    "with_class_dim",
    "load_weights",
    "weight_file",
    "check_targets",
    "evaluation_batch",
    "outputs_wanted",
    "sample_shape",
    "takes_classes",
    "targets_for",
    "with_outputs",
]


def check_targets(spec: dict[str, Any], source: Source, shape: tuple[int, ...], find: FindWeights | None = None) -> list[Summary]:
    """The summary of every variant's model. Raises SpecError with all that is wrong between models, losses and targets.

    ``find`` leads to the files of weights that models start from.
    """
    source = with_own_targets(as_read(source, spec), spec, shape)
    summaries: list[Summary] = []
    problems = loop_problems(spec, source)
    runnable = not problems
    found = []
    for name, s in variants(spec):
        try:
            summaries.append(summarize(s, as_taken(s, source, shape)))
        except SpecError as error:
            found.append((name, error.problems))
            continue
        taken = as_taken(s, source, shape)
        found.append((name, _weight_problems(s, summaries[-1], taken, find) + _problems(s, summaries[-1], source, taken, runnable)))
    problems += _placed(spec, found)
    if problems:
        raise SpecError(problems)
    return summaries


def _problems(spec: dict[str, Any], summary: Summary, source: Source, shape: tuple[int, ...], runnable: bool) -> list[Problem]:
    """What is wrong with a variant whose layers fit."""
    if not summary.parameters:
        return [Problem("/model", "nothing_to_train", "none of the model's layers has parameters: expected one, such as Linear")]
    problems, own, targets = _size_problems(summary) + schedule_problems(spec), dict[str, Any](), dict[str, Any]()
    problems += _output_problems(spec, summary)
    if problems:
        return problems
    for name, head in heads(spec).items():
        try:
            held, output = with_own_targets(source, head, shape), tuple(summary.outputs[name] if name else summary.output)
            targets[name] = targets_for(head, held)
            own[name] = with_class_dim(head, output, targets[name])
            found = target_problems(head, output, held) or suitability_problems(head, held, targets[name], class_outputs(own[name], output))
        except SpecError as error:
            found = error.problems
        problems += [_of_head(p, name) for p in found]
    if problems or not runnable:
        return problems
    return trial_problems(with_heads(spec, own), shape, list(targets.values()), Batches.of(spec, source, summary.activation_bytes))


def _of_head(p: Problem, name: str) -> Problem:
    """A problem of one of several outputs at its place."""
    key = p.pointer.split("/")[1] if p.pointer else ""
    if not name or key not in ("loss", "metrics", "columns"):
        return p
    return Problem(pointer("/outputs", name) + p.pointer, p.code, p.detail, p.expected, p.got)


def _output_problems(spec: dict[str, Any], summary: Summary) -> list[Problem]:
    """Outputs that the model does not have, or that nothing is learned from."""
    named, there = spec["outputs"] or {}, summary.outputs
    problems = [
        Problem(pointer("/outputs", n), "unknown_name", f"the model has no output {n!r}{nearest(n, there)}: it has {', '.join(there) or 'one without a name'}",
                list(there), n)
        for n in named if n not in there
    ]  # fmt: skip
    if not named and target_kind(spec) == "nothing":
        problems.append(Problem("/loss", "does_not_fit", f"{spec['loss']['type']} has no targets: it is for one of several outputs"))
    missing = [n for n in there if n not in named]
    if missing:
        detail = f"the model has outputs that have no loss: {', '.join(missing)}"
        problems.append(Problem("/outputs" if named else "/loss", "missing", detail, list(there), list(named)))
    if named and spec["data"]["mix"]:
        problems.append(Problem("/data/mix", "does_not_fit", "mixed targets are for one output", None, spec["data"]["mix"]))
    if named and spec["data"]["class_weights"]:
        problems.append(
            Problem("/data/class_weights", "does_not_fit", "class weights are for one output: give the losses weights", None, "balanced")
        )
    return problems


def _weight_problems(spec: dict[str, Any], summary: Summary, shape: tuple[int, ...], find: FindWeights | None) -> list[Problem]:
    """What is wrong with the weights that a model starts from; what is right is added to the summary."""
    try:
        path = weight_file(spec, find)
        if path is not None:
            summary.weights = match_weights(spec, *outline(spec, shape), path).as_dict()
    except SpecError as error:
        return error.problems
    return []


def _size_problems(summary: Summary) -> list[Problem]:
    if summary.peak_bytes <= MAX_BYTES:
        return []
    needs = f"training needs about {in_units(summary.peak_bytes)}, more than any machine has"
    if summary.peak_bytes - summary.fixed_bytes > summary.fixed_bytes and 2 * summary.activation_bytes + summary.fixed_bytes < MAX_BYTES:
        return [Problem("/data/batch_size", "too_large", f"{needs}: make batches smaller", None, summary.batch_size)]
    largest = max(summary.layers, key=lambda row: row.parameters * 4 + row.activation_bytes)
    return [
        Problem(
            largest.pointer, "too_large", f"{needs}, most of it for this {largest.type}", in_units(MAX_BYTES), in_units(summary.peak_bytes)
        )
    ]


def _placed(spec: dict[str, Any], found: list[tuple[str | None, list[Problem]]]) -> list[Problem]:
    """Each problem once: under ``/compare`` where a variant's own words cause it, and with the variant's name where it is not that of all."""
    placed: list[Problem] = []
    for i, (name, problems) in enumerate(found):
        for p in problems:
            if name is not None and p.pointer.split("/")[1] in spec["compare"][i]:
                p = Problem(f"/compare/{i}{p.pointer}", p.code, p.detail, p.expected, p.got)
            elif name is not None and not all(p in others for _, others in found):
                p = Problem(p.pointer, p.code, f"{p.detail} (variant {name!r})", p.expected, p.got)
            if p not in placed:
                placed.append(p)
    return placed
