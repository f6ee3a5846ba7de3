"""Weights that jobs start from: uploaded files, and the copies that a job keeps of what its spec names."""

from __future__ import annotations

import math
import os
import shutil
from pathlib import Path

from safetensors import SafetensorError, safe_open

from worker import conversion, keys
from worker.codec import dump, parse
from worker.deployment import Deployment, Redis
from worker.jobs import now_ms
from worker.records import Weights


def get(redis: Redis, weights_id: str) -> Weights | None:
    """The record of uploaded weights, or None."""
    raw = redis.hgetall(keys.weights(weights_id))
    return parse(Weights, raw) if raw else None


def add(redis: Redis, deployment: Deployment, upload: Path, digest: str, name: str) -> tuple[Weights, bool]:
    """Takes over a complete upload, a safetensors file or PyTorch's; its record, and whether it is new. Raises ValueError for another."""
    weights_id = f"wt_{digest[:24]}"
    held = get(redis, weights_id)
    if held is not None:
        upload.unlink()
        return held, False
    try:
        upload = _as_safetensors(deployment, upload)
        sizes = _sizes(upload)
    except (SafetensorError, conversion.NotConvertible) as error:
        upload.unlink()
        raise ValueError(f"expected a safetensors file, or a state dict that PyTorch saved: {error}") from None
    target = deployment.weights(weights_id)
    target.parent.mkdir(parents=True, exist_ok=True)
    size_bytes = upload.stat().st_size
    upload.rename(target)
    record = Weights(id=weights_id, name=name, size_bytes=size_bytes, created_ms=now_ms(), arrays=len(sizes), parameters=sum(sizes))
    with redis.pipeline(transaction=True) as pipe:
        pipe.hset(keys.weights(weights_id), mapping=dump(record))
        pipe.zadd(keys.WEIGHTS, {weights_id: record.created_ms})
        pipe.execute()
    return record, True


def _as_safetensors(deployment: Deployment, upload: Path) -> Path:
    """The upload, or what was made of it if PyTorch wrote it: a zip, or a pickle of old."""
    with upload.open("rb") as file:
        if not file.read(4).startswith((b"PK\x03\x04", b"\x80\x02")):
            return upload
    made = conversion.converted(upload, upload.with_suffix(".safetensors"), "safetensors", deployment.environment())
    upload.unlink()
    return made


def _sizes(path: Path) -> list[int]:
    with safe_open(path, "numpy") as file:
        return [math.prod(file.get_slice(k).get_shape()) for k in file.keys()]  # noqa: SIM118  # it is no mapping


def delete(redis: Redis, deployment: Deployment, weights_id: str) -> bool:
    """Removes uploaded weights; jobs that started from them keep copies. False where there are none."""
    with redis.pipeline(transaction=True) as pipe:
        pipe.delete(keys.weights(weights_id))
        pipe.zrem(keys.WEIGHTS, weights_id)
        found = bool(pipe.execute()[0])
    if found:
        shutil.rmtree(deployment.weights(weights_id).parent, ignore_errors=True)
    return found


def copy(source: Path, target: Path) -> None:
    """A hard link where the file system has them; complete or not there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        os.link(source, part)
    except OSError:
        shutil.copyfile(source, part)
    part.rename(target)
