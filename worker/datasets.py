"""Datasets: their records, and reading uploads into what training uses."""

from __future__ import annotations

import json
import shutil
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError
from redis.lock import Lock

from engine.data import FORMATS, Options, Rejected, Report, ingest
from worker import doorbell, keys
from worker.connection import Place, Redis
from worker.jobs import now_ms
from worker.processes import die_with_parent

ENTRY = "worker.datasets.validate"
MAX_TRIES = 3
STALE_MS = 20_000
UPLOAD = "upload"
PREPARED = "prepared"


def get(redis: Redis, dataset_id: str) -> dict[str, Any] | None:
    """The record of a dataset, or None."""
    raw = redis.hgetall(keys.dataset(dataset_id))
    if not raw:
        return None
    record: dict[str, Any] = {k.decode(): v.decode() for k, v in raw.items()}
    record["report"] = json.loads(record["report"]) if record.get("report") else None
    record["options"] = json.loads(record.get("options") or "{}")
    for name in ("size_bytes", "tries", "touched"):
        record[name] = int(record.get(name) or 0)
    record["created"] = int(record["created"]) / 1000
    record["progress"] = float(record.get("progress") or 0)
    return record


def listed(redis: Redis, after: str | None, limit: int) -> tuple[list[dict[str, Any]], bool]:
    """A page of records, newest first."""
    rank = None if after is None else redis.zrevrank(keys.DATASETS, after)
    if after is not None and rank is None:
        return [], False
    start = 0 if rank is None else rank + 1
    ids = redis.zrevrange(keys.DATASETS, start, start + limit)
    rows = [get(redis, i.decode()) for i in ids[:limit]]
    return [r for r in rows if r], len(ids) > limit


def _ring_id(dataset_id: str, tries: int) -> str:
    return f"{dataset_id}-{tries}"


def _files_locked(redis: Redis, dataset_id: str) -> Lock:
    """Held while the record and the files of a dataset appear or go together: the same content may be uploaded and deleted at once."""
    return redis.lock(keys.dataset_lock(dataset_id), timeout=60)


def register(
    redis: Redis, place: Place, upload: Path, dataset_id: str, name: str, form: str, size_bytes: int, options: Options = Options()
) -> bool:
    """Takes over a complete upload and has it validated; False if its content is here already."""
    assert form in FORMATS, form
    with _files_locked(redis, dataset_id):
        held = get(redis, dataset_id)
        if held is not None and held["state"] != "rejected":
            upload.unlink()
            return False
        home = place.dataset(dataset_id)
        home.mkdir(parents=True, exist_ok=True)
        upload.rename(home / UPLOAD)
        created = now_ms()
        record = {
            "id": dataset_id, "name": name, "format": form, "size_bytes": size_bytes, "created": created, "state": "validating", "report": "", "tries": 1,
            "touched": created, "progress": 0, "options": json.dumps(asdict(options)),
        }  # fmt: skip
        with redis.pipeline(transaction=True) as pipe:
            doorbell.ring(redis, doorbell.DATA, ENTRY, dataset_id, f"{_ring_id(dataset_id, 1)}-{created}", pipe)
            pipe.hset(keys.dataset(dataset_id), mapping=record)
            pipe.zadd(keys.DATASETS, {dataset_id: created})
            pipe.execute()
    return True


def _finish(redis: Redis, dataset_id: str, state: str, report: Report) -> None:
    with _files_locked(redis, dataset_id):
        if redis.exists(keys.dataset(dataset_id)):
            redis.hset(keys.dataset(dataset_id), mapping={"state": state, "report": json.dumps(report.as_dict()), "progress": 1})


def validate(dataset_id: str) -> None:
    """Reads an upload; runs in a process of its own, which may die of what it reads."""
    die_with_parent()
    place = Place.from_environment()
    read_upload(place.connect(), place, dataset_id)


def read_upload(redis: Redis, place: Place, dataset_id: str) -> None:
    """Reads an upload and says in its record what came of it; an error that nobody foresaw is its reason, too."""
    record = get(redis, dataset_id)
    if record is None or record["state"] != "validating":
        return
    last = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > 0.5:
            last = time.monotonic()
            redis.hset(keys.dataset(dataset_id), mapping={"touched": now_ms(), "progress": done / max(1, total)})

    home = place.dataset(dataset_id)
    try:
        report = ingest(home / UPLOAD, home / PREPARED, record["format"], progress, Options(**record["options"]))
    except Rejected as error:
        _finish(redis, dataset_id, "rejected", error.report)
        (home / UPLOAD).unlink(missing_ok=True)
    except MemoryError:
        _reject(redis, dataset_id, record["format"], "the dataset needs more memory than the worker has")
    except (RedisError, FileNotFoundError):  # the store is away, or the upload was deleted meanwhile: it is tried again
        raise
    except Exception as error:
        traceback.print_exc()
        _reject(
            redis, dataset_id, record["format"], f"it could not be read ({type(error).__name__}: {error!s:.300}); the worker's log has more"
        )
    else:
        _finish(redis, dataset_id, "ready", report)
    with _files_locked(redis, dataset_id):
        if not redis.exists(keys.dataset(dataset_id)):  # deleted meanwhile
            shutil.rmtree(home, ignore_errors=True)


def _reject(redis: Redis, dataset_id: str, form: str, reason: str) -> None:
    _finish(redis, dataset_id, "rejected", Report(form, reason=reason))


def revive(redis: Redis) -> None:
    """Rings again for uploads whose validation has shown no sign of life; gives up after some tries."""
    for raw in redis.zrange(keys.DATASETS, 0, -1):
        dataset_id = raw.decode()
        state, touched, tries, created = redis.hmget(keys.dataset(dataset_id), "state", "touched", "tries", "created")
        if state != b"validating" or now_ms() - int(touched) < STALE_MS:
            continue
        name = f"{_ring_id(dataset_id, int(tries))}-{created.decode()}"
        if doorbell.is_waiting(redis, doorbell.DATA, name):
            continue
        if int(tries) >= MAX_TRIES:
            record = get(redis, dataset_id)
            if record:
                _reject(redis, dataset_id, record["format"], f"validation ended without an answer {MAX_TRIES} times")
            continue
        redis.hset(keys.dataset(dataset_id), mapping={"tries": int(tries) + 1, "touched": now_ms()})
        doorbell.ring(redis, doorbell.DATA, ENTRY, dataset_id, f"{_ring_id(dataset_id, int(tries) + 1)}-{created.decode()}")


def delete(redis: Redis, place: Place, dataset_id: str) -> bool:
    """Removes a dataset, record first; jobs that still need it fail with that reason. False if there is none."""
    with _files_locked(redis, dataset_id):
        with redis.pipeline(transaction=True) as pipe:
            pipe.delete(keys.dataset(dataset_id))
            pipe.zrem(keys.DATASETS, dataset_id)
            found = bool(pipe.execute()[0])
        shutil.rmtree(place.dataset(dataset_id), ignore_errors=True)
    return found
