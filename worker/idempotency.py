"""Requests that may be sent again: a key within 24 hours names the same job."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from worker import keys
from worker.deployment import Redis

LIFETIME_S = 86_400
PATIENCE_S = 2.0
"""How long to wait for the job of the same request, which another process is making."""


@dataclass(frozen=True)
class Earlier:
    """The request that used a key before: the job it made, and the digest of its body (None: made by version 0.1.0)."""

    job_id: str
    digest: str | None


def claim(redis: Redis, owner: str, key: str, job_id: str, digest: str) -> Earlier | None:
    """Takes a key for the request that makes ``job_id``; what used it before, where its job exists or is being made."""
    slot, value = keys.idempotency(owner, key), json.dumps([job_id, digest])
    if redis.set(slot, value, nx=True, ex=LIFETIME_S):
        return None
    earlier = _parse((redis.get(slot) or b"").decode())
    if earlier.digest not in (None, digest):
        return earlier
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if redis.exists(keys.job(earlier.job_id)):
            return earlier
        time.sleep(0.05)
    redis.set(slot, value, ex=LIFETIME_S)  # the process that set it died before the job was made
    return None


def _parse(text: str) -> Earlier:
    return Earlier(*json.loads(text)) if text.startswith("[") else Earlier(text, None)
