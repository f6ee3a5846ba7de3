"""A stream is the log, or an error: whatever a proxy drops, repeats, reorders, alters or cuts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client import Client, HistoryMismatch, Unreachable
from tests.service.clients import KINDS, Harm, Plan, Proxy, connected, proxy
from tests.service.deployment import Deployment, example

CHECKED = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
PLACE = st.integers(0, 400)


@pytest.fixture(scope="module")
def finished(service: Deployment, digits: str) -> str:
    """A job with a log of a hundred events."""
    job = service.submit(example("digits-mlp", digits, epochs=4))
    service.wait_state(job["id"], "succeeded")
    return str(job["id"])


@pytest.fixture(scope="module")
def log(service: Deployment, finished: str) -> list[dict[str, Any]]:
    return service.events(finished)


@pytest.fixture(scope="module")
def between(service: Deployment) -> Iterator[Proxy]:
    with proxy(str(service.http.base_url)) as server:
        yield server


@pytest.fixture(scope="module", params=KINDS)
def client(request: pytest.FixtureRequest, between: Proxy) -> Iterator[Client]:
    with connected(request.param, between.address) as found:
        yield found


def harms(*kinds: str) -> st.SearchStrategy[list[list[Harm]]]:
    one = st.builds(Harm, st.sampled_from(kinds), PLACE, PLACE)
    return st.lists(st.lists(one, max_size=4), max_size=4)


def read(client: Client, job: str, after: int = 0) -> list[dict[str, Any]]:
    return [e.model_dump(mode="json", exclude_none=True) for e in client.jobs.get(job).stream(after)]


@CHECKED
@given(streams=harms("drop", "repeat", "move", "cut", "end"), never=st.frozensets(PLACE, max_size=3), after=st.sampled_from((0, 0, 7, 999)))
def test_a_stream_that_loses_or_mixes_events_is_repaired(
    streams: list[list[Harm]], never: frozenset[int], after: int, client: Client, between: Proxy, finished: str, log: list[dict[str, Any]]
) -> None:
    between.plan = Plan(streams, never=never)
    assert read(client, finished, after) == log[after:]


@CHECKED
@given(streams=harms("drop", "repeat", "move", "cut", "end", "alter"), pages=harms("drop", "repeat", "move", "alter"))
def test_where_pages_lie_too_it_is_the_log_or_an_error(
    streams: list[list[Harm]], pages: list[list[Harm]], client: Client, between: Proxy, finished: str, log: list[dict[str, Any]]
) -> None:
    between.plan = Plan(streams, pages)
    try:
        assert read(client, finished) == log
    except HistoryMismatch:
        assert any(h.kind in ("drop", "move", "alter") for harmed in (*streams, *pages) for h in harmed)


@pytest.mark.parametrize("harm", [Harm("drop", -2), Harm("move", 3, 9), Harm("alter", 6)], ids=lambda h: h.kind)
def test_a_log_that_cannot_be_had_is_an_error(harm: Harm, client: Client, between: Proxy, finished: str, log: list[dict[str, Any]]) -> None:
    between.plan = Plan([[Harm("end", 0)]] * 9, [[harm]] * 9)
    with pytest.raises(HistoryMismatch, match=finished):
        read(client, finished)
    between.plan = Plan()
    assert read(client, finished) == log


def test_the_log_of_an_extended_job_goes_on_behind_its_first_end(client: Client, between: Proxy, service: Deployment, digits: str) -> None:
    between.plan = Plan()
    job = client.jobs.create(example("digits-mlp", digits, epochs=1), wait=True)
    ended = service.events(job.id)
    job.extend(1)
    assert [e["type"] for e in read(client, job.id)].count("done") == 2 and job.wait().state == "succeeded"
    between.plan = Plan([[Harm("drop", len(ended) - 1)], [Harm("cut", 50)]])
    assert read(client, job.id) == service.events(job.id)
    between.plan = Plan(lost=1)
    with pytest.raises(Unreachable):
        job.extend(1)
    job.cancel()


def test_a_log_whose_end_is_withheld_is_an_error(client: Client, between: Proxy, finished: str, log: list[dict[str, Any]]) -> None:
    last = Harm("drop", -1)
    between.plan = Plan([[last]] * 9, [[last]] * 9)
    with pytest.raises(HistoryMismatch, match="not its last"):
        read(client, finished)


def test_a_history_that_was_altered_is_an_error(client: Client, between: Proxy, finished: str) -> None:
    between.plan = Plan()
    job = client.jobs.get(finished)
    assert len(job.history()) == job.info.points
    for harm in (Harm("drop", 6), Harm("alter", 6), Harm("move", 6, 9)):
        between.plan = Plan(pages=[[harm]])
        with pytest.raises(HistoryMismatch, match="checksum"):
            job.history()


def test_an_answer_that_was_lost_makes_no_second_job(client: Client, between: Proxy, digits: str) -> None:
    before = {j.id for j in client.jobs.list()}
    between.plan = Plan(lost=2)
    job = client.jobs.create(example("digits-mlp", digits, epochs=1))
    assert between.plan.lost == 0 and {j.id for j in client.jobs.list()} - before == {job.id}
    job.wait()
    between.plan = Plan(lost=1)
    job.delete()  # the first request deletes it, the second finds nothing
    assert between.plan.lost == 0 and not any(j.id == job.id for j in client.jobs.list())


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_is_gone_is_unreachable(kind: str) -> None:
    with connected(kind, "http://127.0.0.1:9", patience_s=0.2) as client, pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"):
        list(client.jobs.list())
