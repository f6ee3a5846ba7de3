"""A deployment: its Redis (or Valkey) and the folder of its files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, ReadOnlyError, ResponseError, TimeoutError
from redis.retry import Retry

Redis = Any
"""A client. redis-py types every answer as bytes or str or more, so its types would only ask for casts."""

TRANSIENT = (ConnectionError, TimeoutError, BusyLoadingError, ReadOnlyError)


def connect(url: str, patience_s: float = 60.0) -> Redis:
    """A client that waits up to ``patience_s`` for a Redis that is unreachable. ``redis://``, ``rediss://`` or ``unix://``."""
    retry = Retry(ExponentialBackoff(cap=0.25, base=0.01), max(1, int(patience_s / 0.25)))
    return redis.Redis.from_url(url, retry=retry, retry_on_error=list(TRANSIENT), decode_responses=False)


def eviction_warning(redis: Redis) -> str | None:
    """Why this Redis would lose jobs: it throws away keys when its memory is full. None where it does not, or does not say."""
    try:
        settings = {k: str(v) for k, v in redis.config_get("maxmemory*").items()}
    except ResponseError:  # a hosted Redis may not tell
        return None
    policy = settings.get("maxmemory-policy", "noeviction")
    if policy == "noeviction" or settings.get("maxmemory", "0") == "0":
        return None
    return f"Redis evicts keys when its memory is full (maxmemory-policy {policy}): jobs would be lost; set it to noeviction"


@dataclass(frozen=True)
class Deployment:
    """Where a deployment keeps its records and its files; every process is started with these two."""

    redis_url: str
    data: Path

    @classmethod
    def from_environment(cls) -> Deployment:
        """As handed down by ``environment``. Raises KeyError where it was not."""
        return cls(os.environ["EPOCHLINE_REDIS_URL"], Path(os.environ["EPOCHLINE_DATA"]))

    def environment(self) -> dict[str, str]:
        """What a child process needs to find the same deployment."""
        return {**os.environ, "EPOCHLINE_REDIS_URL": self.redis_url, "EPOCHLINE_DATA": str(self.data.resolve())}

    def connect(self, patience_s: float = 60.0) -> Redis:
        return connect(self.redis_url, patience_s)

    def job(self, job_id: str) -> Path:
        """The folder of a job's checkpoints and history."""
        return self.data / "jobs" / job_id

    def model(self, name: str, version: int) -> Path:
        """The file of a version of a named model."""
        return self.data / "models" / name / f"{version}.safetensors"

    def weights(self, weights_id: str) -> Path:
        """The file of uploaded weights."""
        return self.data / "weights" / weights_id / "model.safetensors"

    def dataset(self, dataset_id: str) -> Path:
        """The folder of an upload and what was made of it."""
        return self.data / "datasets" / dataset_id
