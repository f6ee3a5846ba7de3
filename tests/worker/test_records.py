"""The job record: the fence, exactly-once writes, leases, the reconciler, requests."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from worker import doorbell, events, fence, jobs, keys, reconciler
from worker.connection import Place
from worker.embedded import Store
from worker.reporter import LostLease, Reporter

SPEC: dict[str, Any] = {"name": "x", "data": {"dataset": "ds_x"}, "epochs": 1}


def make(redis: Any, job_id: str = "job_1") -> str:
    return jobs.create(redis, job_id, SPEC, "cpu")


def record(redis: Any, job_id: str = "job_1") -> dict[str, Any]:
    found = jobs.get(redis, job_id)
    assert found is not None
    return found


def test_a_job_and_its_ring_come_together(redis: Any) -> None:
    make(redis)
    assert record(redis)["state"] == "queued" and doorbell.waiting(redis, "cpu") == ["job_1-1"]
    assert redis.zrange(keys.in_state("queued"), 0, -1) == [b"job_1"]


def test_the_fence_refuses_the_wrong_attempt_and_state(redis: Any) -> None:
    make(redis)
    assert not fence.write(redis, "job_1", attempt=2, fields={"worker": "w"}).applied
    assert not fence.write(redis, "job_1", attempt=1, states=["running"], fields={"worker": "w"}).applied
    assert fence.write(redis, "nope").missing
    assert "worker" not in record(redis) and record(redis)["seq"] == 1
    answer = fence.write(
        redis, "job_1", attempt=1, states=["queued"], fields={"state": "starting"}, events=[{"type": "log"}, {"type": "log"}]
    )
    assert answer.applied and answer.state == "starting" and answer.seq == 3
    assert redis.zrange(keys.in_state("starting"), 0, -1) == [b"job_1"] and not redis.zcard(keys.in_state("queued"))


def test_a_repeated_write_is_applied_once(redis: Any) -> None:
    make(redis)
    for _ in range(3):
        assert fence.write(redis, "job_1", attempt=1, batch=1, events=[{"type": "log"}]).applied
    assert record(redis)["seq"] == 2
    assert fence.write(redis, "job_1", attempt=1, batch=2, events=[{"type": "log"}]).seq == 3


def test_only_one_of_many_starts_a_job(redis: Any, store: Store) -> None:
    make(redis)
    won: list[bool] = []
    left: list[int] = []

    def attempt() -> None:
        reporter = Reporter(Place(store.url, Path()).connect(), "job_1", "w", leave=left.append)
        try:
            reporter.start()
            won.append(True)
        except LostLease:
            won.append(False)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert won.count(True) == 1 and record(redis)["state"] == "starting"
    jobs.request(redis, "job_1", "cancel")
    jobs.lost(redis, "job_1", 1, "over")
    deadline = time.monotonic() + 60
    while not left and time.monotonic() < deadline:  # the winner hears that it has lost the job, and leaves
        time.sleep(0.05)
    assert left == [5]


def test_an_expired_lease_is_another_attempt_and_the_old_one_is_shut_out(redis: Any, store: Store) -> None:
    make(redis)
    fence.write(redis, "job_1", attempt=1, fields={"state": "running"}, lease_ms=1)
    redis.zadd(keys.LEASES, {"job_1": 1})
    assert reconciler.expire_leases(redis) == ["job_1"]
    assert record(redis)["attempt"] == 2 and record(redis)["state"] == "queued" and record(redis)["failures"] == 1
    assert "job_1-2" in doorbell.waiting(redis, "cpu") and not redis.zcard(keys.LEASES)
    assert not fence.write(redis, "job_1", attempt=1, states=jobs.ACTIVE, events=[{"type": "log"}]).applied
    assert reconciler.expire_leases(redis) == []


def test_attempts_end_after_five_losses_without_a_checkpoint(redis: Any) -> None:
    make(redis)
    for attempt in range(1, 6):
        fence.write(redis, "job_1", attempt=attempt, fields={"state": "running"})
        assert jobs.lost(redis, "job_1", attempt, "killed")
        assert not jobs.lost(redis, "job_1", attempt, "killed again")  # told once
    assert record(redis)["state"] == "failed" and record(redis)["error"]["code"] == "lost"
    log = list(events.read(redis, Place("", Path()), "job_1"))
    assert log[-1]["type"] == "done" and [e["seq"] for e in log] == list(range(1, len(log) + 1))


def test_a_job_that_rq_lost_is_rung_for_again(redis: Any) -> None:
    make(redis)
    redis.delete("rq:queue:cpu")  # popped by a worker that died before it could say so
    assert reconciler.ring_unheard(redis) == []  # it may be on its way
    redis.hset(keys.job("job_1"), "waiting_since", 1)
    assert reconciler.ring_unheard(redis) == ["job_1"] and doorbell.waiting(redis, "cpu") == ["job_1-1"]
    redis.hset(keys.job("job_1"), "waiting_since", 1)
    assert reconciler.ring_unheard(redis) == []  # it is in the queue


REQUESTS = [
    ("queued", "cancel", "cancelled"), ("queued", "pause", "paused"), ("queued", "stop", "stopped"), ("queued", "resume", "queued"), ("running", "cancel", "cancelling"),
    ("running", "pause", "pausing"), ("running", "stop", "stopping"), ("starting", "cancel", "cancelling"), ("pausing", "cancel", "cancelling"), ("pausing", "resume", "running"),
    ("paused", "resume", "queued"), ("paused", "cancel", "cancelled"), ("stopping", "cancel", "cancelling"), ("cancelling", "pause", "cancelling"), ("cancelling", "stop", "cancelling"),
    ("succeeded", "cancel", "succeeded"), ("failed", "resume", "failed"),
]  # fmt: skip


@pytest.mark.parametrize(("state", "what", "to"), REQUESTS)
def test_requests(redis: Any, state: str, what: str, to: str) -> None:
    make(redis)
    fence.write(redis, "job_1", fields={"state": state})
    for _ in range(1 if (state, what) == ("pausing", "resume") else 2):
        found = jobs.request(redis, "job_1", what)
        assert found is not None and found["state"] == to
    assert jobs.request(redis, "nope", what) is None


def test_what_was_asked_of_a_process_that_died_is_done(redis: Any) -> None:
    for asked, to in (("cancelling", "cancelled"), ("stopping", "stopped"), ("pausing", "paused")):
        make(redis, f"job_{asked}")
        fence.write(redis, f"job_{asked}", fields={"state": asked})
        assert jobs.lost(redis, f"job_{asked}", 1, "killed")
        assert record(redis, f"job_{asked}")["state"] == to


def test_the_log_moves_to_a_file_when_a_job_is_over(redis: Any, tmp_path: Path) -> None:
    place = Place("", tmp_path)
    make(redis)
    for i in range(500):
        fence.write(redis, "job_1", events=[{"type": "log", "i": i}])
    jobs.request(redis, "job_1", "cancel")
    before = list(events.read(redis, place, "job_1"))
    reconciler.archive_ended(redis, place, after_s=60)
    assert redis.exists(keys.events("job_1"))
    reconciler.archive_ended(redis, place, after_s=0)
    assert not redis.exists(keys.events("job_1"))
    assert list(events.read(redis, place, "job_1")) == before and len(before) == 503
    assert list(events.read(redis, place, "job_1", 400)) == before[400:]


def test_checksums_do_not_depend_on_the_order_of_keys() -> None:
    a = {"step": 1, "epoch": 1, "split": "train", "values": {"loss": 0.1}}
    b = json.loads(json.dumps({"values": {"loss": 0.1}, "split": "train", "epoch": 1, "step": 1, "seq": 9}))
    assert events.checksum(iter([a])) == events.checksum(iter([b])) != events.checksum(iter([{**a, "step": 2}]))


def test_a_store_that_is_killed_has_every_answered_write(tmp_path: Path) -> None:
    s = Store(tmp_path / "s")
    s.start()
    client = Place(s.url, tmp_path).connect()
    for i in range(200):
        client.rpush("list", i)
    assert s.process is not None
    s.process.kill()
    s.process.wait()
    s.start()
    assert client.llen("list") == 200
    s.stop()
