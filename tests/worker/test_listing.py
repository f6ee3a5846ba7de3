"""Lists of jobs and datasets against a plain model: filters, orders, and pages while jobs come, change and go."""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worker import datasets, dispatch, jobs, keys, listing
from worker.records import Dataset, DatasetState, Job
from worker.states import ENDED, JobState, Request

NAMES = ("Alpha", "beta", "ALPHABET", "")
LABELS: list[dict[str, str]] = [{}, {"team": "a"}, {"team": "b"}, {"team": "a", "kind": "x"}]
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

change = st.one_of(
    st.tuples(st.just("add"), st.sampled_from(NAMES), st.sampled_from(LABELS), st.sampled_from(["ds_a", "ds_b"])),
    st.tuples(st.sampled_from(list(Request)), st.integers(0, 9)),
    st.tuples(st.just("update"), st.integers(0, 9), st.sampled_from([None, *NAMES]), st.sampled_from([None, *LABELS])),
    st.tuples(st.just("delete"), st.integers(0, 9)),
)
query = st.builds(
    listing.JobQuery, state=st.sampled_from([None, *(JobState.QUEUED, JobState.PAUSED, JobState.CANCELLED, JobState.STOPPED)]),
    dataset=st.sampled_from([None, "ds_a"]), name=st.sampled_from([None, "alpha"]), labels=st.sampled_from([None, *LABELS]),
    sort=st.sampled_from(["-created", "created", "-finished", "finished"]),
)  # fmt: skip


class Service:
    """Real jobs on a Valkey, three a millisecond, and their ids."""

    def __init__(self, redis: Any) -> None:
        redis.flushall()
        self.redis, self.ids, self._clock = redis, list[str](), count(1_000_000)

    def records(self) -> list[Job]:
        return [job for i in self.ids if (job := jobs.get(self.redis, i))]

    def apply(self, what: tuple[Any, ...]) -> None:
        if what[0] == "add":
            spec = {"name": what[1], "data": {"dataset": what[3]}, "epochs": 1}
            new = jobs.new(f"job_{len(self.ids)}", spec, "cpu", labels=what[2])
            dispatch.submit(self.redis, new.model_copy(update={"created_ms": next(self._clock) // 3}))
            self.ids.append(new.id)
            return
        job = jobs.get(self.redis, f"job_{what[1]}")
        if job is None:
            return
        if what[0] == "update":
            jobs.update(self.redis, job, what[2], what[3])
        elif what[0] == "delete":
            if job.state in ENDED:
                jobs.delete(self.redis, job)
        else:
            dispatch.handle_request(self.redis, job.id, what[0])

    def expected(self, q: listing.JobQuery) -> list[str]:
        """What a list has, by the meaning of each filter."""
        rows = [
            j for j in self.records()
            if q.state in (None, j.state) and q.dataset in (None, j.dataset) and (q.name or "") in j.name.lower()
            and all(j.labels.get(k) == v for k, v in (q.labels or {}).items())
        ]  # fmt: skip
        if q.sort.endswith("finished"):
            ended = [j for j in rows if j.finished_ms is not None]
            return [j.id for j in sorted(ended, key=lambda j: (j.finished_ms, j.id), reverse=q.sort.startswith("-"))]
        return [j.id for j in sorted(rows, key=lambda j: (j.created_ms, j.id), reverse=q.sort.startswith("-"))]


@FEW
@given(st.lists(change, max_size=25), query, st.integers(1, 4))
def test_pages_are_the_list_of_a_plain_model(redis: Any, changes: list[tuple[Any, ...]], q: listing.JobQuery, limit: int) -> None:
    service = Service(redis)
    for what in changes:
        service.apply(what)
    found, after, more = list[str](), None, True
    while more:
        page = listing.jobs(redis, q, after, limit)
        found += [j.id for j in page.records]
        after, more = (found[-1] if found else None), page.has_more
        assert len(page.records) <= limit and (page.records or not more)
    assert found == service.expected(q)


@FEW
@given(st.lists(change, min_size=5, max_size=20), query, st.lists(change, max_size=6), st.integers(1, 3))
def test_what_changes_between_two_pages_moves_nothing_else(
    redis: Any, before: list[tuple[Any, ...]], q: listing.JobQuery, between: list[tuple[Any, ...]], limit: int
) -> None:
    """No job is shown twice, and every job that is in the list all the time is shown once."""
    service = Service(redis)
    for what in before:
        service.apply(what)
    first = listing.jobs(redis, q, None, limit)
    whole, shown = service.expected(q), [j.id for j in first.records]
    for what in between:
        service.apply(what)
    if not first.has_more or jobs.get(redis, shown[-1]) is None:
        return
    order = keys.JOBS if q.sort.endswith("created") else keys.FINISHED
    if redis.zscore(order, shown[-1]) is None:
        return
    rest = [j.id for j in listing.jobs(redis, q, shown[-1], 100).records]
    assert not set(rest) & set(shown)
    staying = [i for i in whole if i in set(service.expected(q))]
    assert [i for i in shown + rest if i in set(staying)] == staying


def test_datasets_are_listed_by_state_name_and_label(redis: Any) -> None:
    for i, (name, labels, state) in enumerate(
        [
            ("Digits.zip", {"team": "a"}, DatasetState.READY),
            ("", {}, DatasetState.VALIDATING),
            ("digits2.npz", {"team": "b"}, DatasetState.READY),
        ]
    ):
        datasets.add(redis, Dataset(id=f"ds_{i}", name=name, labels=labels, format="npz", size_bytes=1, created_ms=i, state=state))

    def ids(**filters: Any) -> list[str]:
        return [d.id for d in listing.datasets(redis, listing.DatasetQuery(**filters), None, 10).records]

    assert ids() == ["ds_2", "ds_1", "ds_0"] and ids(name="DIGITS") == ["ds_2", "ds_0"] and ids(labels={"team": "a"}) == ["ds_0"]
    assert ids(state=DatasetState.VALIDATING) == ["ds_1"] and ids(name="digits", labels={"team": "c"}) == []
    found = datasets.get(redis, "ds_1")
    assert found is not None and found.name == ""
    datasets.update(redis, found, "named", {"team": "c"})
    assert ids(labels={"team": "c"}) == ids(name="named") == ["ds_1"]
    assert [d.id for d in listing.datasets(redis, listing.DatasetQuery(), "ds_2", 1).records] == ["ds_1"]
