"""Pages of jobs and datasets: filtered, sorted, and cut at an id, so that what is added meanwhile moves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from worker import keys
from worker.codec import parse
from worker.deployment import Redis
from worker.records import Dataset, DatasetState, Job, Labels, RegisteredModel, Weights
from worker.states import JobState

Sort = Literal["-created", "created", "-finished", "finished"]
R = TypeVar("R", Job, Dataset, RegisteredModel, Weights)
_CHUNK = 200


@dataclass(frozen=True)
class JobQuery:
    """Which jobs a list has; None lets all pass. ``name`` is a part of the name, without regard to case; times are in seconds since 1970."""

    state: JobState | None = None
    dataset: str | None = None
    name: str | None = None
    labels: Labels | None = None
    created_after: float | None = None
    created_before: float | None = None
    sort: Sort = "-created"

    def matches(self, job: Job) -> bool:
        """Whether a job is in the list; its time of creation aside."""
        return (
            self.state in (None, job.state)
            and self.dataset in (None, job.dataset)
            and (self.name or "").lower() in job.name.lower()
            and (self.labels or {}).items() <= job.labels.items()
            and _within(job.created_ms, self.created_after, self.created_before)
        )


@dataclass(frozen=True)
class DatasetQuery:
    """Which datasets a list has."""

    state: DatasetState | None = None
    name: str | None = None
    labels: Labels | None = None

    def matches(self, dataset: Dataset) -> bool:
        """Whether a dataset is in the list."""
        named = (self.name or "").lower() in dataset.name.lower()
        return self.state in (None, dataset.state) and named and (self.labels or {}).items() <= dataset.labels.items()


@dataclass(frozen=True)
class Rows(Generic[R]):
    """A page: its records, and whether there are more."""

    records: list[R]
    has_more: bool


def jobs(redis: Redis, query: JobQuery, after: str | None, limit: int) -> Rows[Job]:
    """A page of jobs, after the job ``after``. Empty if that one is not known any more."""
    by_created = query.sort.endswith("created")
    order = keys.JOBS if by_created else keys.FINISHED
    indexes = [order] + _indexes(query) * by_created
    return _page(redis, Job, keys.job, order, indexes, query.matches, query.sort.startswith("-"), after, limit)


def _indexes(query: JobQuery) -> list[str]:
    found = [keys.labelled("jobs", k, v) for k, v in (query.labels or {}).items()]
    found += [keys.in_state(query.state)] if query.state else []
    return found + ([keys.of_dataset(query.dataset)] if query.dataset else [])


def datasets(redis: Redis, query: DatasetQuery, after: str | None, limit: int) -> Rows[Dataset]:
    """A page of datasets, newest first, after the dataset ``after``."""
    indexes = [keys.DATASETS, *(keys.labelled("datasets", k, v) for k, v in (query.labels or {}).items())]
    return _page(redis, Dataset, keys.dataset, keys.DATASETS, indexes, query.matches, True, after, limit)


def models(redis: Redis, after: str | None, limit: int) -> Rows[RegisteredModel]:
    """A page of named models, newest first, after the model ``after``."""
    return _page(redis, RegisteredModel, keys.model, keys.MODELS, [keys.MODELS], lambda _: True, True, after, limit)


def weights(redis: Redis, after: str | None, limit: int) -> Rows[Weights]:
    """A page of uploaded weights, newest first, after those of id ``after``."""
    return _page(redis, Weights, keys.weights, keys.WEIGHTS, [keys.WEIGHTS], lambda _: True, True, after, limit)


def _page(
    redis: Redis, kind: type[R], key: Callable[[str], str], order: str, indexes: list[str], matches: Callable[[R], bool], newest_first: bool,
    after: str | None, limit: int,
) -> Rows[R]:  # fmt: skip
    """Reads along the shortest index that has all matches."""
    index = min(indexes, key=redis.zcard)
    start = 0
    if after is not None:
        score = redis.zscore(order, after)
        if score is None:
            return Rows([], False)
        start = _position_after(redis, index, after, score, newest_first)
    found: list[R] = []
    for record in _read(redis, kind, key, index, start, newest_first):
        if matches(record):
            found.append(record)
            if len(found) > limit:
                return Rows(found[:limit], True)
    return Rows(found, False)


def _position_after(redis: Redis, index: str, member: str, score: float, newest_first: bool) -> int:
    """Where an index goes on behind a member, which may have left it since."""
    rank = redis.zrevrank(index, member) if newest_first else redis.zrank(index, member)
    if rank is not None:
        return int(rank) + 1
    before: int = redis.zcount(index, f"({score}", "+inf") if newest_first else redis.zcount(index, "-inf", f"({score}")
    tied: list[str] = [m.decode() for m in redis.zrangebyscore(index, score, score)]  # of one millisecond: in the order of their ids
    return before + sum(m > member if newest_first else m < member for m in tied)


def _read(redis: Redis, kind: type[R], key: Callable[[str], str], index: str, start: int, newest_first: bool) -> Iterator[R]:
    while ids := redis.zrange(index, start, start + _CHUNK - 1, desc=newest_first):
        with redis.pipeline(transaction=False) as pipe:
            for i in ids:
                pipe.hgetall(key(i.decode()))
            rows = pipe.execute()
        yield from (parse(kind, row) for row in rows if row)
        start += _CHUNK


def _within(created_ms: int, after: float | None, before: float | None) -> bool:
    return (after is None or created_ms > after * 1000) and (before is None or created_ms < before * 1000)


__all__ = ["DatasetQuery", "JobQuery", "Rows", "Sort", "datasets", "jobs", "models", "weights"]
