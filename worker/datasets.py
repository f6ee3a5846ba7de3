"""Datasets: their records, and reading uploads into what training uses."""

from __future__ import annotations

import shutil
import time
from typing import Any

from redis.exceptions import RedisError
from redis.lock import Lock

from engine.data import Rejected, Report, ingest
from worker import keys
from worker.codec import dump, dump_fields, parse
from worker.deployment import Deployment, Redis
from worker.jobs import now_ms
from worker.logs import logger
from worker.records import Dataset, DatasetState, Labels

READY, REJECTED, VALIDATING = DatasetState.READY, DatasetState.REJECTED, DatasetState.VALIDATING
MAX_TRIES = 3
STALE_MS = 20_000
PROGRESS_S = 0.5
UPLOAD = "upload"
PREPARED = "prepared"
_log = logger("datasets")


def get(redis: Redis, dataset_id: str) -> Dataset | None:
    """The record of a dataset, or None."""
    raw = redis.hgetall(keys.dataset(dataset_id))
    return parse(Dataset, raw) if raw else None


def files_locked(redis: Redis, dataset_id: str) -> Lock:
    """Held while the record and the files of a dataset appear or go together: the same content may be uploaded and deleted at once."""
    lock: Lock = redis.lock(keys.dataset_lock(dataset_id), timeout=60)
    return lock


def add(pipe: Any, dataset: Dataset) -> None:
    """Writes the record of a new dataset and its indexes, as part of ``pipe``'s transaction."""
    pipe.delete(keys.dataset(dataset.id))  # of one that was rejected
    pipe.hset(keys.dataset(dataset.id), mapping=dump(dataset))
    for name in (keys.DATASETS, *_label_indexes(dataset.labels)):
        pipe.zadd(name, {dataset.id: dataset.created_ms})


def _label_indexes(labels: Labels) -> list[str]:
    return [keys.labelled("datasets", k, v) for k, v in labels.items()]


def _set(redis: Redis, dataset_id: str, **fields: Any) -> None:
    """Changes fields of a record, unless it was deleted meanwhile."""
    with files_locked(redis, dataset_id):
        if redis.exists(keys.dataset(dataset_id)):
            redis.hset(keys.dataset(dataset_id), mapping=dump_fields(Dataset, fields))


def update(redis: Redis, dataset: Dataset, name: str | None, labels: Labels | None) -> None:
    """Renames a dataset, or replaces its labels; None leaves what there is."""
    fields = {k: v for k, v in (("name", name), ("labels", labels)) if v is not None}
    if fields:
        _set(redis, dataset.id, **fields)
    if labels is not None:
        for index in _label_indexes(dataset.labels):
            redis.zrem(index, dataset.id)
        for index in _label_indexes(labels):
            redis.zadd(index, {dataset.id: dataset.created_ms})


def reject(redis: Redis, dataset: Dataset, reason: str) -> None:
    """Ends the validation of a dataset that could not be read."""
    _finish(redis, dataset.id, REJECTED, Report(dataset.format, reason=reason))


def _finish(redis: Redis, dataset_id: str, state: DatasetState, report: Report) -> None:
    _set(redis, dataset_id, state=state, report=report, progress=1.0)


def read_upload(redis: Redis, deployment: Deployment, dataset_id: str) -> None:
    """Reads an upload and says in its record what came of it; an error that nobody foresaw is its reason, too."""
    dataset = get(redis, dataset_id)
    if dataset is None or dataset.state != VALIDATING:
        return
    home = deployment.dataset(dataset_id)
    try:
        report = ingest(home / UPLOAD, home / PREPARED, dataset.format, _progress(redis, dataset_id), dataset.options)
    except Rejected as error:
        _finish(redis, dataset_id, REJECTED, error.report)
        (home / UPLOAD).unlink(missing_ok=True)
    except MemoryError:
        reject(redis, dataset, "the dataset needs more memory than the worker has")
    except (RedisError, FileNotFoundError):  # Redis is unreachable, or the upload was deleted meanwhile: it is tried again
        raise
    except Exception as error:
        _log.exception("an upload could not be read", dataset=dataset_id)
        reject(redis, dataset, f"it could not be read ({type(error).__name__}: {error!s:.300}); the worker's log has more")
    else:
        _finish(redis, dataset_id, READY, report)
    with files_locked(redis, dataset_id):
        if not redis.exists(keys.dataset(dataset_id)):  # deleted meanwhile
            shutil.rmtree(home, ignore_errors=True)


def _progress(redis: Redis, dataset_id: str) -> Any:
    """A function ``(done, total)`` that puts the share read into the record, now and then."""
    last = 0.0

    def report(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > PROGRESS_S:
            last = time.monotonic()
            _set(redis, dataset_id, touched_ms=now_ms(), progress=done / max(1, total))  # unless it was deleted meanwhile

    return report


def stale(redis: Redis) -> list[Dataset]:
    """The datasets whose validation has shown no sign of life for a while."""
    found = []
    for raw in redis.zrange(keys.DATASETS, 0, -1):
        state, touched = redis.hmget(keys.dataset(raw.decode()), "state", "touched")
        if state == VALIDATING.encode() and now_ms() - int(touched or 0) >= STALE_MS:
            dataset = get(redis, raw.decode())
            if dataset is not None:
                found.append(dataset)
    return found


def next_try(redis: Redis, dataset: Dataset) -> Dataset:
    """Counts one more try; the record."""
    again = dataset.model_copy(update={"tries": dataset.tries + 1, "touched_ms": now_ms()})
    _set(redis, dataset.id, tries=again.tries, touched_ms=again.touched_ms)
    return again


def delete(redis: Redis, deployment: Deployment, dataset: Dataset) -> None:
    """Removes a dataset, record first; jobs that still need it fail with that reason."""
    with files_locked(redis, dataset.id):
        with redis.pipeline(transaction=True) as pipe:
            pipe.delete(keys.dataset(dataset.id))
            for index in (keys.DATASETS, *_label_indexes(dataset.labels)):
                pipe.zrem(index, dataset.id)
            pipe.execute()
        shutil.rmtree(deployment.dataset(dataset.id), ignore_errors=True)
