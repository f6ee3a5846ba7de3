"""The job record: the fence, exactly-once writes, leases, the reconciler, requests."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from worker import dispatch, events, fence, jobs, keys, queue, reconciler
from worker.deployment import Deployment
from worker.embedded import Store
from worker.fence import Write
from worker.records import Job, LogEvent, MetricsEvent, StateChange, checksum
from worker.reporter import LostLease, Reporter
from worker.states import ACTIVE, JobState, Request

SPEC: dict[str, Any] = {"name": "x", "data": {"dataset": "ds_x"}, "epochs": 1}
LINE = LogEvent(time=1.0, attempt=1, message="line")


def make(redis: Any, job_id: str = "job_1") -> str:
    dispatch.submit(redis, jobs.new(job_id, SPEC, "cpu"))
    return job_id


def record(redis: Any, job_id: str = "job_1") -> Job:
    found = jobs.get(redis, job_id)
    assert found is not None
    return found


def put(redis: Any, state: JobState, job_id: str = "job_1", lease_ms: int | None = None) -> None:
    """Puts a job into a state, whatever it is in."""
    job = record(redis, job_id)
    change = StateChange(state=state, time=1.0, attempt=job.attempt)
    assert fence.move(redis, job_id, change, Write(lease_ms=lease_ms), attempt=job.attempt, source=job.state).applied


def test_a_job_and_its_call_come_together(redis: Any) -> None:
    make(redis)
    assert record(redis).state == JobState.QUEUED and queue.enqueued(redis, "cpu") == ["job_1-1"]
    assert redis.zrange(keys.in_state("queued"), 0, -1) == redis.zrange(keys.of_dataset("ds_x"), 0, -1) == [b"job_1"]


def test_the_fence_refuses_the_wrong_attempt_and_state(redis: Any) -> None:
    make(redis)
    worker = Write({"worker": "w"})
    assert not fence.write(redis, "job_1", worker, attempt=2).applied
    assert not fence.write(redis, "job_1", worker, attempt=1, states=[JobState.RUNNING]).applied
    assert fence.write(redis, "nope", Write()).missing
    assert record(redis).worker is None and record(redis).seq == 1
    answer = fence.write(redis, "job_1", Write({"worker": "w"}, [LINE, LINE]), attempt=1, states=[JobState.QUEUED])
    assert answer.applied and answer.state == JobState.QUEUED and answer.seq == 3 and record(redis).worker == "w"


def test_a_move_changes_state_history_and_indexes_together(redis: Any) -> None:
    make(redis)
    put(redis, JobState.STARTING)
    put(redis, JobState.FAILED)
    assert [c.state for c in record(redis).history] == ["queued", "starting", "failed"]
    assert redis.zrange(keys.in_state("failed"), 0, -1) == [b"job_1"] and not redis.zcard(keys.in_state("queued"))
    assert redis.zscore(keys.FINISHED, "job_1") == 1000
    change = StateChange(state=JobState.RUNNING, time=2.0, attempt=1)
    assert not fence.move(redis, "job_1", change, Write(), attempt=1, source=JobState.STARTING).applied


def test_a_history_keeps_the_last_hundred_changes(redis: Any) -> None:
    make(redis)
    for _ in range(60):
        put(redis, JobState.PAUSED)
        put(redis, JobState.QUEUED)
    assert len(record(redis).history) == fence.MAX_HISTORY and record(redis).history[-1].state == JobState.QUEUED


def test_a_repeated_write_is_applied_once(redis: Any) -> None:
    make(redis)
    for _ in range(3):
        assert fence.write(redis, "job_1", Write(events=[LINE], number=1), attempt=1).applied
    assert record(redis).seq == 2
    assert fence.write(redis, "job_1", Write(events=[LINE], number=2), attempt=1).seq == 3


def test_only_one_of_many_starts_a_job(redis: Any, store: Store) -> None:
    make(redis)
    won: list[bool] = []
    left: list[int] = []

    def attempt() -> None:
        reporter = Reporter(Deployment(store.url, Path()).connect(), "job_1", "w", leave=left.append)
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
    assert won.count(True) == 1 and record(redis).state == JobState.STARTING and record(redis).attempts[0].worker == "w"
    dispatch.handle_request(redis, "job_1", Request.CANCEL)
    dispatch.lose(redis, "job_1", 1, "over")
    deadline = time.monotonic() + 60
    while not left and time.monotonic() < deadline:  # the winner hears that it has lost the job, and leaves
        time.sleep(0.05)
    assert left == [5]


def test_a_run_that_is_resumed_while_it_pauses_goes_back_to_the_queue(redis: Any, store: Store) -> None:
    make(redis)
    reporter = Reporter(Deployment(store.url, Path()).connect(), "job_1", "w", leave=lambda code: None)
    reporter.start()
    reporter.running(10, 0, {})
    for request in (Request.PAUSE, Request.RESUME):
        dispatch.handle_request(redis, "job_1", request)
    assert reporter.comply() == JobState.QUEUED
    assert record(redis).attempt == 2 and record(redis).failures == 0


def test_an_expired_lease_is_another_attempt_and_the_old_one_is_shut_out(redis: Any, store: Store) -> None:
    make(redis)
    put(redis, JobState.RUNNING, lease_ms=1)
    redis.zadd(keys.LEASES, {"job_1": 1})
    assert reconciler.expire_leases(redis) == ["job_1"]
    assert (record(redis).attempt, record(redis).state, record(redis).failures) == (2, JobState.QUEUED, 1)
    assert "job_1-2" in queue.enqueued(redis, "cpu") and not redis.zcard(keys.LEASES)
    assert not fence.write(redis, "job_1", Write(events=[LINE]), attempt=1, states=ACTIVE).applied
    assert reconciler.expire_leases(redis) == []


def test_attempts_end_after_five_losses_without_a_checkpoint(redis: Any) -> None:
    make(redis)
    for attempt in range(1, 6):
        put(redis, JobState.RUNNING)
        assert jobs.lose(redis, "job_1", attempt, "killed")
        assert not jobs.lose(redis, "job_1", attempt, "killed again")  # told once
    error = record(redis).error
    assert record(redis).state == JobState.FAILED and error is not None and error.code == "lost"
    log = list(events.read(redis, Deployment("", Path()), "job_1"))
    assert log[-1].type == "done" and [e.seq for e in log] == list(range(1, len(log) + 1))
    assert [a.outcome for a in record(redis).attempts] == ["running"] * 4 + ["failed"]


def test_a_job_that_rq_lost_is_enqueued_again(redis: Any) -> None:
    make(redis)
    redis.delete("rq:queue:cpu")  # popped by a worker that died before it could say so
    assert dispatch.requeue_orphaned(redis) == []  # it may be on its way
    redis.hset(keys.job("job_1"), "waiting_since", 1)
    assert dispatch.requeue_orphaned(redis) == ["job_1"] and queue.enqueued(redis, "cpu") == ["job_1-1"]
    redis.hset(keys.job("job_1"), "waiting_since", 1)
    assert dispatch.requeue_orphaned(redis) == []  # it is in the queue


REQUESTS = [
    ("queued", "cancel", "cancelled"), ("queued", "pause", "paused"), ("queued", "stop", "stopped"), ("queued", "resume", "queued"), ("running", "cancel", "cancelling"),
    ("running", "pause", "pausing"), ("running", "stop", "stopping"), ("starting", "cancel", "cancelling"), ("pausing", "cancel", "cancelling"), ("pausing", "resume", "running"),
    ("paused", "resume", "queued"), ("paused", "cancel", "cancelled"), ("stopping", "cancel", "cancelling"), ("cancelling", "pause", "cancelling"), ("cancelling", "stop", "cancelling"),
    ("succeeded", "cancel", "succeeded"), ("failed", "resume", "failed"),
]  # fmt: skip


@pytest.mark.parametrize(("state", "what", "to"), REQUESTS)
def test_requests(redis: Any, state: str, what: str, to: str) -> None:
    make(redis)
    if state != "queued":
        put(redis, JobState(state))
    for _ in range(1 if (state, what) == ("pausing", "resume") else 2):
        found = dispatch.handle_request(redis, "job_1", Request(what))
        assert found is not None and found.state == to
    assert dispatch.handle_request(redis, "nope", Request(what)) is None


def test_what_was_requested_of_a_process_that_died_is_done(redis: Any) -> None:
    for requested, to in (("cancelling", "cancelled"), ("stopping", "stopped"), ("pausing", "paused")):
        make(redis, f"job_{requested}")
        put(redis, JobState(requested), f"job_{requested}")
        assert jobs.lose(redis, f"job_{requested}", 1, "killed")
        assert record(redis, f"job_{requested}").state == to


def test_a_deleted_job_is_in_no_index(redis: Any) -> None:
    make(redis)
    jobs.update(redis, record(redis), "named", {"team": "a"})
    dispatch.handle_request(redis, "job_1", Request.CANCEL)
    assert record(redis).name == "named" and redis.zcard(keys.labelled("jobs", "team", "a")) == 1
    jobs.delete(redis, record(redis))
    assert not redis.keys("job*")


def test_the_log_moves_to_a_file_when_a_job_is_over(redis: Any, tmp_path: Path) -> None:
    deployment = Deployment("", tmp_path)
    make(redis)
    for i in range(500):
        fence.write(redis, "job_1", Write(events=[LINE.model_copy(update={"message": str(i)})]))
    dispatch.handle_request(redis, "job_1", Request.CANCEL)
    before = list(events.read(redis, deployment, "job_1"))
    reconciler.archive_ended(redis, deployment, after_s=60)
    assert redis.exists(keys.events("job_1"))
    reconciler.archive_ended(redis, deployment, after_s=0)
    assert not redis.exists(keys.events("job_1"))
    assert list(events.read(redis, deployment, "job_1")) == before and len(before) == 503
    assert list(events.read(redis, deployment, "job_1", 400)) == before[400:]


def test_checksums_do_not_depend_on_the_order_of_keys() -> None:
    a: dict[str, Any] = {"step": 1, "epoch": 1, "split": "train", "values": {"loss": 0.1}}
    b = json.loads(json.dumps({"values": {"loss": 0.1}, "split": "train", "epoch": 1, "step": 1, "seq": 9}))
    assert checksum([a]) == checksum([b]) != checksum([{**a, "step": 2}])
    assert checksum([MetricsEvent(time=1, attempt=1, **a).model_dump(exclude_none=True)]) == checksum([a])


def test_a_store_that_is_killed_has_every_answered_write(tmp_path: Path) -> None:
    s = Store(tmp_path / "s")
    s.start()
    client = Deployment(s.url, tmp_path).connect()
    for i in range(200):
        client.rpush("list", i)
    assert s.process is not None
    s.process.kill()
    s.process.wait()
    s.start()
    assert client.llen("list") == 200
    s.stop()
