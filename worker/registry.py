"""Models with names, versions and aliases. A version is a copy of a checkpoint, so that it outlives its job."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from redis.exceptions import WatchError

from worker import keys
from worker.codec import dump, parse
from worker.deployment import Deployment, Redis
from worker.jobs import now_ms
from worker.records import ModelVersion, RegisteredModel
from worker.weights import copy

MAX_EARLIER = 50
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
Change = Callable[[RegisteredModel], RegisteredModel | None]


def get(redis: Redis, name: str) -> RegisteredModel | None:
    """The record of a named model, or None."""
    raw = redis.hgetall(keys.model(name)) if _NAME.fullmatch(name) else None
    return parse(RegisteredModel, raw) if raw else None


def add(redis: Redis, deployment: Deployment, name: str, job_id: str, step: int, file: Path, aliases: Collection[str]) -> RegisteredModel:
    """Makes a checkpoint's file the next version of a model, which ``aliases`` name from now on."""
    created = now_ms()

    def change(model: RegisteredModel) -> RegisteredModel:
        number = model.versions[-1].number + 1 if model.versions else 1
        copy(file, deployment.model(name, number))
        version = ModelVersion(number=number, job=job_id, step=step, created=created / 1000)
        changed = model.model_copy(update={"versions": (*model.versions, version)})
        for alias in aliases:
            changed = _pointed(changed, alias, number)
        return changed

    with redis.lock(keys.model_lock(name), timeout=600):  # two that add at once must not copy to one number
        found = _changed(redis, name, change, RegisteredModel(name=name, created_ms=created))
    assert found is not None
    redis.zadd(keys.MODELS, {name: found.created_ms})
    return found


def _pointed(model: RegisteredModel, alias: str, number: int) -> RegisteredModel:
    """The model with an alias that names a version; what it named before is kept for rolling back."""
    before = model.aliases.get(alias)
    if before == number:
        return model
    earlier = (*model.earlier.get(alias, ()), before)[-MAX_EARLIER:] if before is not None else ()
    return model.model_copy(update={"aliases": {**model.aliases, alias: number}, "earlier": {**model.earlier, alias: earlier}})


def point(redis: Redis, name: str, alias: str, number: int) -> RegisteredModel | None:
    """Has an alias name a version; None where there is no such model or version."""
    return _changed(redis, name, lambda m: _pointed(m, alias, number) if m.version(str(number)) else None)


def roll_back(redis: Redis, name: str, alias: str) -> RegisteredModel | None:
    """Has an alias name the version it named before; None where there is none."""

    def change(model: RegisteredModel) -> RegisteredModel | None:
        earlier = model.earlier.get(alias, ())
        if not earlier:
            return None
        aliases, stack = {**model.aliases, alias: earlier[-1]}, {**model.earlier, alias: earlier[:-1]}
        return model.model_copy(update={"aliases": aliases, "earlier": stack})

    return _changed(redis, name, change)


def remove_alias(redis: Redis, name: str, alias: str) -> RegisteredModel | None:
    """Takes an alias away; None where there is none."""

    def change(model: RegisteredModel) -> RegisteredModel | None:
        if alias not in model.aliases:
            return None
        kept = [{k: v for k, v in d.items() if k != alias} for d in (model.aliases, model.earlier)]
        return model.model_copy(update={"aliases": kept[0], "earlier": kept[1]})

    return _changed(redis, name, change)


def delete(redis: Redis, deployment: Deployment, name: str) -> bool:
    """Removes a model with all versions; False where there is none."""
    with redis.pipeline(transaction=True) as pipe:
        pipe.delete(keys.model(name))
        pipe.zrem(keys.MODELS, name)
        found = bool(pipe.execute()[0])
    if found:
        shutil.rmtree(deployment.model(name, 1).parent, ignore_errors=True)
    return found


def _changed(redis: Redis, name: str, change: Change, otherwise: RegisteredModel | None = None) -> RegisteredModel | None:
    """Changes a record, again should another process have changed it meanwhile; None where there is none, or ``change`` says so."""
    while True:
        with redis.pipeline() as pipe:
            pipe.watch(keys.model(name))
            raw: Any = pipe.hgetall(keys.model(name))
            model = parse(RegisteredModel, raw) if raw else otherwise
            changed = change(model) if model else None
            if changed is None:
                return None
            try:
                pipe.multi()
                pipe.hset(keys.model(name), mapping=dump(changed))
                pipe.execute()
            except WatchError:
                continue
            return changed
