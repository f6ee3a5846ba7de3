"""The parts of the client that need no server: parsing, counting, drawing, pausing."""

from __future__ import annotations

import random
import subprocess
import sys
from xml.etree import ElementTree

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import client
from client import HistoryMismatch
from client.call import retry_after
from client.curves import Curves, svg
from client.log import Log
from client.patience import Patience
from client.sse import Decoder
from client.sync.datasets import Datasets
from client.sync.jobs import Jobs
from client.sync.workers import Workers
from scripts.build_sync import outdated, synchronous
from server.models import DoneEvent, Event, JobState, MetricPoint, MetricsEvent, checksum

POINTS = [
    MetricsEvent(seq=i, time=0.0, attempt=1, step=i, epoch=1, split="train", values={"loss": 1 / i}, variant="a") for i in range(1, 7)
]
WHOLE: list[Event] = [
    *POINTS, DoneEvent(seq=7, time=0.0, attempt=1, state=JobState.SUCCEEDED, points=6, checksum=f"{checksum(p.model_dump() for p in POINTS):08x}"),
]  # fmt: skip
PLACE = st.integers(0, len(WHOLE) - 1)
HARMS = st.lists(st.tuples(st.sampled_from(["drop", "repeat", "move", "alter"]), PLACE, PLACE), max_size=4)


def harmed(events: list[Event], kind: str, at: int, to: int) -> list[Event]:
    events = list(events)
    event = events[at % len(events)]
    if kind in ("drop", "move"):
        events.remove(event)
    if kind in ("repeat", "move"):
        events.insert(to, event)
    if kind == "alter" and isinstance(event, MetricsEvent):
        events[events.index(event)] = event.model_copy(update={"values": {"loss": 0.9}})
    return events


@given(HARMS)
@settings(deadline=None)
def test_whatever_arrives_a_log_takes_what_is_next_or_complains(harms: list[tuple[str, int, int]]) -> None:
    log, taken, arrived = Log("job_1"), list[Event](), WHOLE
    for harm in harms:
        arrived = harmed(arrived, *harm)
    try:
        taken = [e for e in arrived if log.take(e)]
    except HistoryMismatch:
        return
    assert [e.seq for e in taken] == list(range(1, log.seen + 1))
    assert not log.done or taken == WHOLE


@given(st.lists(st.integers(1, 40), max_size=20), st.sampled_from(["\n", "\r\n"]))
@settings(deadline=None)
def test_messages_are_whole_however_they_are_cut(sizes: list[int], end: str) -> None:
    data = ['{"a": "\u2028\x85é"}', "two\nlines", "", "last"]
    messages = [f"id: {i}\nevent: x\n" + "".join(f"data: {line}\n" for line in d.split("\n")) + "\n" for i, d in enumerate(data)]
    text = ("retry: 1000\n\n: keep-alive\n\n" + "".join(messages) + "data: never ended").replace("\n", end).encode()
    decoder, found = Decoder(), []
    for size in (*sizes, len(text)):
        found += decoder.feed(text[:size])
        text = text[size:]
    assert [d.decode() for d in found] == [d for d in data if d]


def test_a_curve_of_any_length_keeps_a_bounded_number_of_points() -> None:
    curves = Curves()
    for step in range(1, 20_001):
        curves.add(MetricPoint(seq=step, step=step, epoch=1, split="train", values={"loss": 1 / step}))
    curves.add(MetricPoint(seq=1, step=20_000, epoch=1, split="val", values={"loss": 0.5, "f1": None}, variant='<b> "&'))
    curves.add(MetricPoint(seq=1, step=20_000, epoch=1, split="test", values={"loss": None}))
    (train, val) = curves.curves.values()
    assert 200 <= len(train.steps) < 400 and train.steps == sorted(train.steps) and train.steps[-1] > 19_000 and val.losses == [0.5]
    drawn = ElementTree.fromstring(svg(curves.curves))
    texts = [t.text for t in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert '<b> "& val' in texts and "step 20000" in texts and svg({}) == ""


def test_pauses_grow_until_patience_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    random.seed(0)
    patience = Patience(5.0)
    pauses = [patience.pause() for _ in range(9)]
    assert all(p is not None and 0.0 < p <= 2.0 for p in pauses) and (pauses[5] or 0) > 4 * (pauses[0] or 1)
    assert patience.pause(at_least_s=1.5) in (1.5, pytest.approx(1.75, abs=0.26)) and patience.pause(at_least_s=6) is None


@pytest.mark.parametrize(
    ("status", "header", "seconds"), [(503, "2", 2.0), (502, None, 0.0), (429, "soon", 0.0), (500, "2", None), (422, None, None)]
)
def test_what_is_asked_again(status: int, header: str | None, seconds: float | None) -> None:
    assert retry_after(httpx.Response(status, headers={} if header is None else {"Retry-After": header})) == seconds


def test_the_sync_client_is_made_from_the_async_one() -> None:
    assert outdated() == []
    made = synchronous("async with AsyncClient() as c:\n    x = await c.aread()  # awaiting\n", "client/aio/x.py")
    assert made.split("\n", 1)[1] == "with Client() as c:\n    x = c.read()  # awaiting\n"


def loaded(code: str) -> set[str]:
    """The modules that a program has after ``code``."""
    code = f"import sys\n{code}\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_costs_nothing() -> None:
    assert not loaded("import client") & {"engine", "numpy", "pydantic", "httpx", "server"}


def test_the_client_imports_the_models_and_no_more_of_the_server() -> None:
    modules = loaded("from client import *")
    tops = {m.split(".")[0] for m in modules}
    assert not tops & {"fastapi", "starlette", "uvicorn", "redis", "rq", "structlog", "matplotlib", "plotext", "pandas", "IPython"}
    models = {"server.models", "worker.records", "worker.states"}
    assert {m for m in modules if m.startswith(("server.", "worker."))} == models


def test_every_public_name_is_there_and_documented() -> None:
    assert sorted(n for names in client._MODULES.values() for n in names) == client.__all__
    for name in client.__all__:
        assert getattr(client, name).__doc__, name
    for kind in (client.Client, client.AsyncClient, client.Job, Datasets, Jobs, Workers):
        public = [n for n, member in vars(kind).items() if not n.startswith("_") and (callable(member) or isinstance(member, property))]
        assert public and all(getattr(kind, n).__doc__ for n in public), kind
    with pytest.raises(AttributeError, match="no attribute 'Klient'"):
        client.Klient  # noqa: B018
