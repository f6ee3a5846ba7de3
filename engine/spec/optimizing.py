"""The optimizer and the schedule of a spec, with groups of parameters that have hyperparameters of their own."""

from __future__ import annotations

from typing import Any

from engine import optim
from engine.creation import zeros
from engine.nn.module import Module
from engine.nn.parameter import Parameter
from engine.optim import lr_scheduler
from engine.spec import registry
from engine.spec.builder import blame
from engine.spec.problems import Problem, nearest, pointer
from engine.spec.weights import matching, unmatched


def _arguments(section: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in section.items() if k not in ("type", "match")}


def build_optimizer(spec: dict[str, Any], model: Module) -> optim.Optimizer:
    """The optimizer of all parameters: first those of no group, which the history's ``lr`` is of, then the groups in order."""
    groups, taken = [], set[str]()
    for group in spec["param_groups"]:
        names = [n for n in matching(model, group["match"]) if n not in taken]
        taken.update(names)
        groups.append((names, _arguments(group)))
    held = dict(model.named_parameters())
    groups = [([n for n in held if n not in taken], {}), *groups]
    made = [{"params": [held[n] for n in names], **own} for names, own in groups if names]
    return getattr(optim, spec["optimizer"]["type"])(
        made if len(made) > 1 or taken else model.parameters(), **_arguments(spec["optimizer"])
    )


def build_scheduler(spec: dict[str, Any], optimizer: optim.Optimizer) -> Any:
    """The schedule of the learning rate, or None."""
    if not spec["scheduler"]:
        return None
    return getattr(lr_scheduler, spec["scheduler"]["type"])(optimizer, **_arguments(spec["scheduler"]))


def small_optimizer(spec: dict[str, Any]) -> optim.Optimizer:
    """The optimizer of a spec with one small parameter a group, to try settings with."""
    groups = [{"params": [Parameter(zeros(1))], **_arguments(g)} for g in ({}, *spec["param_groups"])]
    return getattr(optim, spec["optimizer"]["type"])(groups, **_arguments(spec["optimizer"]))


def check_optimizer(spec: dict[str, Any], model: Module, problems: list[Problem]) -> int:
    """Tries optimizer, groups and scheduler; the number of arrays that the optimizer keeps for each parameter."""
    kind, arguments = registry.optimizers()[spec["optimizer"]["type"]], _arguments(spec["optimizer"])
    try:
        optimizer = kind.make([Parameter(zeros(1))], **arguments)
    except Exception as error:  # its word on the arguments
        problems.append(blame(kind, arguments, error, "/optimizer"))
        return 0
    found = _group_problems(spec, model, kind, optimizer)
    problems += found
    if spec["scheduler"] and not found:
        try:
            build_scheduler(spec, small_optimizer(spec))
        except Exception as error:  # its word on the arguments
            schedule = registry.schedulers()[spec["scheduler"]["type"]]
            problems.append(blame(schedule, _arguments(spec["scheduler"]), error, "/scheduler"))
    return len(optimizer.active_slots(optimizer.param_groups[0]))


def _group_problems(spec: dict[str, Any], model: Module, kind: registry.Kind, optimizer: optim.Optimizer) -> list[Problem]:
    """What is wrong with groups: patterns that match nothing that is left, and settings that the optimizer does not have or take."""
    problems, taken, known = list[Problem](), set[str](), [k for k in kind.defaults if k in optimizer.defaults]
    for i, group in enumerate(spec["param_groups"]):
        at, names, own = pointer("/param_groups", i), matching(model, group["match"]), _arguments(group)
        if not names:
            problems.append(unmatched(model, group["match"], pointer(at, "match")))
        elif taken.issuperset(names):
            detail = f"all that {group['match']!r} matches is in groups before: put this one first"
            problems.append(Problem(pointer(at, "match"), "no_match", detail, None, group["match"]))
        taken.update(names)
        for key in own:
            if key not in known:
                detail = f"unknown key '{key}'{nearest(key, known)} ({kind.name} takes {', '.join(known)} for a group)"
                problems.append(Problem(pointer(at, key), "unknown_key", detail, known, own[key]))
        if own.keys() <= set(known):
            problems += _setting_problems(spec, kind, own, at)
    return problems


def _setting_problems(spec: dict[str, Any], kind: registry.Kind, own: dict[str, Any], at: str) -> list[Problem]:
    """A group's settings as the optimizer's own would be checked."""
    problems = list[Problem]()
    kind.check({"type": kind.name, **own}, at, problems)
    if problems:
        return problems
    try:
        kind.make([Parameter(zeros(1))], **{**_arguments(spec["optimizer"]), **own})
    except Exception as error:  # its word on the arguments
        return [blame(kind, own, error, at)]
    return []
