"""The weights that a job starts from: found when it is submitted, and kept with it, whatever becomes of where they came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.check import FindWeights
from engine.spec import Problem, SpecError, variants
from worker import checkpoints, lookup
from worker.deployment import Deployment, Redis
from worker.records import Spec
from worker.weights import copy

Section = Mapping[str, Any]  # a spec's `init_from`, as the engine's check leaves it
_SOURCES = ("job", "checkpoint", "weights")


def finder(redis: Redis, deployment: Deployment) -> FindWeights:
    """Leads from ``init_from`` to the file it names now. Raises SpecError where there is none."""

    def find(section: Section) -> Path:
        key = _key(section)
        reference, _, step = str(section[key]).partition("/") if key == "checkpoint" else (section[key], "", "best")
        try:
            return lookup.model_file(redis, deployment, reference, step or "best")[1]
        except lookup.NoSuchModel as error:
            raise SpecError([Problem(f"/init_from/{key}", "not_found", str(error), None, section[key])]) from None

    return find


def _key(section: Section) -> str:
    return next(k for k in _SOURCES if section[k] is not None)


def keep(redis: Redis, deployment: Deployment, job_id: str, spec: Spec) -> None:
    """Copies the files that a spec and its variants start from into the job's folder, with the optimizer's state where it is asked for."""
    find = finder(redis, deployment)
    for _, variant in variants(spec):
        section = variant["init_from"]
        if section is None:
            continue
        source, target = find(section), _kept(deployment, job_id, section)
        copy(source, target)
        if section["optimizer"]:
            copy(source.with_name(checkpoints.STATE), target.with_name(checkpoints.STATE))


def kept(deployment: Deployment, job_id: str) -> FindWeights:
    """Leads from ``init_from`` to the job's own copy."""
    return lambda section: _kept(deployment, job_id, section)


def _kept(deployment: Deployment, job_id: str, section: Section) -> Path:
    name = hashlib.sha256(json.dumps([section[k] for k in _SOURCES]).encode()).hexdigest()[:16]
    return deployment.job(job_id) / "init" / name / checkpoints.MODEL
