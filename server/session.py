"""Sessions of the page: a browser shows its API key once, and is known by a cookie that no script can read."""

from __future__ import annotations

import json
import secrets

from worker import keys
from worker.deployment import Redis

COOKIE = "epochline_session"
LIFETIME_S = 7 * 86_400


def begin(redis: Redis, key_digest: str) -> str:
    """A new session for the API key with a digest; its token."""
    token = secrets.token_urlsafe(32)
    redis.set(keys.session(keys.digest(token)), key_digest, ex=LIFETIME_S)
    return token


def end(redis: Redis, token: str) -> None:
    """Ends a session."""
    redis.delete(keys.session(keys.digest(token)))


def owner_of_key(redis: Redis, key_digest: str) -> str | None:
    """The name of an API key by its digest; None where there is none, or not any more."""
    found = redis.hget(keys.API_KEYS, key_digest)
    return None if found is None else str(json.loads(found)["name"])


def owner(redis: Redis, token: str) -> str | None:
    """The name of the API key that a session was begun with; None where session or key are no more."""
    key_digest = redis.get(keys.session(keys.digest(token)))
    return None if key_digest is None else owner_of_key(redis, key_digest.decode())
