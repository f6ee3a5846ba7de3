"""Which file a model is: of a job at a step, of a name with its version or alias, or uploaded."""

from __future__ import annotations

from pathlib import Path

from worker import checkpoints, jobs, keys, registry, weights
from worker.deployment import Deployment, Redis
from worker.records import Checkpoint


class NoSuchModel(LookupError):
    """There is no such model; ``what`` and ``name`` say which."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"there is no {what} {name!r:.100}")
        self.what, self.name = what, name


def model_file(redis: Redis, deployment: Deployment, reference: str, step: str = "best") -> tuple[int, Path]:
    """The step and the file of a job's model, at ``step`` (a number, ``latest`` or ``best``), or of a named one. Raises NoSuchModel."""
    if reference.startswith("wt_"):
        return 0, _uploaded(redis, deployment, reference)
    if not reference.startswith("job_"):
        return _named(redis, deployment, reference)
    if not keys.is_id(reference) or jobs.get(redis, reference) is None:
        raise NoSuchModel("job", reference)
    folder = deployment.job(reference)
    number = _number(step, checkpoints.listed(folder))
    path = checkpoints.model_file(folder, number) if number is not None else None
    if path is None or number is None:
        raise NoSuchModel(f"checkpoint of {reference} at step", step)
    return number, path


def _number(step: str, known: list[Checkpoint]) -> int | None:
    if step.isascii() and step.isdecimal() and len(step) < 12:
        return int(step)
    if not known:
        return None
    return {"latest": known[-1].step, "best": known[-1].best}.get(step)


def _uploaded(redis: Redis, deployment: Deployment, reference: str) -> Path:
    if not keys.is_id(reference) or weights.get(redis, reference) is None:
        raise NoSuchModel("file of weights", reference)
    return deployment.weights(reference)


def _named(redis: Redis, deployment: Deployment, reference: str) -> tuple[int, Path]:
    name, _, which = reference.partition("@")
    model = registry.get(redis, name)
    version = model.version(which) if model else None
    if version is None:
        raise NoSuchModel("job or model", reference)
    return version.step, deployment.model(name, version.number)
