"""Sections of a spec that speak of parameters by name: where they start from, which are frozen, which have rates of their own."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from engine.nn.module import Module
from engine.spec.layers import LayerChecker
from engine.spec.problems import Problem, pointer, shown
from engine.spec.registry import check_model

_STRICT = ConfigDict(extra="forbid", strict=True)
SOURCES = ("job", "checkpoint", "weights")


class Freeze(BaseModel):
    """Parameters that do not change: those that ``match``, for the first ``epochs``, or for all. A pattern alone means all."""

    model_config = _STRICT
    match: str = Field(description="A pattern of parameter names, such as 0.* or *.bias.")
    epochs: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class InitFrom(BaseModel):
    """Weights to start from: those of a job, of a checkpoint, or of a safetensors file; one of the three."""

    model_config = _STRICT
    job: str | None = Field(None, description="A job's id: its best model.")
    checkpoint: str | None = Field(None, description="A job's id and a step: JOB/STEP.")
    weights: str | None = Field(None, description="An uploaded safetensors file; for a local run, a path relative to the spec's file.")
    map: dict[str, str | None] = Field(
        {}, description="Names in the file, or beginnings that end in a dot, by what they are in the model; null leaves them out."
    )
    strict: bool = Field(True, description="Whether the file has to have all of the model's arrays and no others.")
    freeze: list[Any] = []
    optimizer: bool = Field(
        False, description="Whether the optimizer's state is taken over too; of a job or a checkpoint of the same model."
    )


class Group(BaseModel):
    """Parameters with hyperparameters of their own: those that ``match`` and are in no group before."""

    model_config = ConfigDict(extra="allow")
    match: str


def check_freeze(value: Any, at: str, checker: LayerChecker) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        checker.fail(at, "invalid", f"expected a list of patterns, got {shown(value)}", "a list", value)
        return []
    found = []
    for i, entry in enumerate(value):
        entry = {"match": entry} if isinstance(entry, str) else entry
        checked = check_model(Freeze, entry, pointer(at, i), checker.problems, "freeze takes")
        found += [checked] if checked else []
    return found


def check_init_from(value: Any, at: str, checker: LayerChecker) -> dict[str, Any] | None:
    if value is None:
        return None
    found = check_model(InitFrom, value, at, checker.problems, "init_from takes")
    if found is None:
        return None
    given = [k for k in SOURCES if found[k] is not None]
    if len(given) != 1:
        detail = f"expected one of {', '.join(SOURCES)}, got {', '.join(given) or 'none'}"
        checker.fail(at, "invalid", detail, list(SOURCES), given)
    if found["optimizer"] and found["weights"] is not None:
        checker.fail(pointer(at, "optimizer"), "invalid", "a file of weights has no optimizer's state: take it from a job", False, True)
    return {**found, "freeze": check_freeze(found["freeze"], pointer(at, "freeze"), checker)}


def check_groups(value: Any, at: str, checker: LayerChecker) -> list[dict[str, Any]]:
    """Which names they have; whether the optimizer takes the rest is seen with the optimizer."""
    if not isinstance(value, list):
        checker.fail(at, "invalid", f"expected a list of groups, got {shown(value)}", "a list", value)
        return []
    groups = [check_model(Group, entry, pointer(at, i), checker.problems, "a group takes") for i, entry in enumerate(value)]
    return [g for g in groups if g is not None]


def matching(model: Module, match: str) -> list[str]:
    """The names of parameters that a pattern matches."""
    return [n for n, _ in model.named_parameters() if fnmatch.fnmatchcase(n, match)]


def unmatched(model: Module, match: str, at: str) -> Problem:
    """The problem of a pattern that matches no parameter."""
    names = [n for n, _ in model.named_parameters()]
    there = f"{', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"
    return Problem(at, "no_match", f"{match!r} matches no parameter (there are {there})", names, match)


def _frozen(spec: dict[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    """All entries of freeze with their places."""
    yield from ((f"/freeze/{i}", f) for i, f in enumerate(spec["freeze"]))
    if spec["init_from"]:
        yield from ((f"/init_from/freeze/{i}", f) for i, f in enumerate(spec["init_from"]["freeze"]))


def frozen_names(spec: dict[str, Any], model: Module, epoch: int) -> set[str]:
    """The parameters that do not change in an epoch, counted from 1."""
    patterns = [f["match"] for _, f in _frozen(spec) if f["epochs"] is None or epoch <= f["epochs"]]
    return {name for pattern in patterns for name in matching(model, pattern)}


def freeze(spec: dict[str, Any], model: Module, epoch: int) -> bool:
    """Freezes the parameters of an epoch and unfreezes all others; whether that changed any."""
    frozen, changed = frozen_names(spec, model, epoch), False
    for name, p in model.named_parameters():
        wanted = name not in frozen
        if p.requires_grad is not wanted:
            p.requires_grad_(wanted)
            p.grad = None
            changed = True
    return changed


def phases(spec: dict[str, Any]) -> list[int]:
    """The epochs with which another set of parameters begins to train."""
    return sorted({1, *(f["epochs"] + 1 for _, f in _frozen(spec) if f["epochs"] is not None and f["epochs"] < spec["epochs"])})


def freeze_problems(spec: dict[str, Any], model: Module) -> list[Problem]:
    """Patterns that match nothing, and epochs in which nothing would train."""
    problems = [unmatched(model, f["match"], pointer(at, "match")) for at, f in _frozen(spec) if not matching(model, f["match"])]
    names = {n for n, _ in model.named_parameters()}
    if names and frozen_names(spec, model, 1) >= names:
        at = "/freeze" if spec["freeze"] else "/init_from/freeze"
        problems.append(Problem(at, "nothing_to_train", "all of the model's parameters are frozen in the first epoch"))
    return problems
