"""Records as Redis keeps them: what is written is read, and what older versions wrote."""

from typing import Any, get_args

import pytest

from engine.data import Options, Report
from worker import records
from worker.codec import dump, parse
from worker.records import SCHEMA_VERSION, Dataset, DatasetState, Job, JobError, Progress, Record, StateChange, WorkerInfo
from worker.states import JobState

JOB = Job(
    id="job_1", state=JobState.FAILED, attempt=3, name="a name", labels={"team": "vision"}, owner="me", queue="cpu", dataset="ds_1",
    spec={"epochs": 2, "model": [{"type": "Linear"}]}, created_ms=1_700_000_000_123, started_ms=1_700_000_001_000, reason="it broke",
    error=JobError(code="diverged", message="nan", pointer="/optimizer", step=3), results={"best_step": None}, model={"classes": ["a", "b"]},
    progress=Progress(step=1, total_steps=10, epoch=1, since=1.5), seq=7, points=3, crc=0xFFFFFFFF, batch=9, pid=12,
    history=(StateChange(state=JobState.QUEUED, time=1.25, attempt=1), StateChange(state=JobState.STARTING, time=2.5, attempt=1, worker="w")),
)  # fmt: skip
DATASET = Dataset(
    id="ds_1", name="x.zip", format="imagefolder", size_bytes=5, created_ms=3, state=DatasetState.READY, progress=0.25,
    report=Report("imagefolder", samples=2, classes=["ant", "bee"], warnings=["few"]), options=Options(layout="class_folders"),
)  # fmt: skip
WORKER = WorkerInfo(
    name="w", host="h", pid=1, queue="cpu", device="cpu", python="3.11", cpus=2, memory_bytes=1 << 40, state="idle", seen_ms=5
)


def stored(fields: dict[str, Any]) -> dict[bytes, bytes]:
    """As Redis gives it back."""
    return {k.encode(): str(v).encode() for k, v in fields.items()}


@pytest.mark.parametrize("record", [JOB, DATASET, WORKER], ids=lambda r: type(r).__name__)
def test_what_is_written_is_read(record: Record) -> None:
    assert parse(type(record), stored(dump(record))) == record


def test_times_are_stored_in_milliseconds_under_their_plain_names() -> None:
    fields = dump(JOB)
    assert fields["created"] == 1_700_000_000_123 and fields["schema_version"] == SCHEMA_VERSION and "finished" not in fields


def test_a_job_of_version_0_1_0_is_read() -> None:
    old = {
        "id": "job_1", "state": "paused", "attempt": "1", "created": "1795854347790", "queue": "cpu", "owner": "", "name": "x", "dataset": "ds_1",
        "spec": '{"epochs": 4}', "seq": "9", "points": "3", "crc": "77", "batch": "4", "failures": "0", "runner": "ab", "reason": "requested",
        "history": '[{"state": "queued", "time": 1795854347.79, "attempt": 1}]', "progress": '{"step": 5, "total_steps": 8, "epoch": 1, "since": 1.0, "from_step": 0}',
        "error": '{"code": "x", "message": "y", "pointer": ""}',
    }  # fmt: skip
    job = parse(Job, stored(old))
    assert (job.state, job.points, job.labels, job.progress and job.progress.total_steps) == ("paused", 3, {}, 8)
    assert job.error == JobError(code="x", message="y") and job.schema_version == SCHEMA_VERSION


def test_every_event_has_a_type_of_its_own() -> None:
    kinds = get_args(get_args(records.Event)[0])
    names = [k.model_fields["type"].default for k in kinds]
    assert sorted(names) == ["done", "log", "metrics", "report", "state"] and all(k.__doc__ for k in kinds)
