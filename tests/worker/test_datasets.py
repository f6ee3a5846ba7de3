"""Uploads: what becomes of the record when reading one ends in a way that nobody foresaw."""

from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError

from worker import datasets, dispatch
from worker.deployment import Deployment, eviction_warning
from worker.embedded import Store
from worker.records import Dataset, DatasetState

ID = "ds_0123456789abcdef01234567"


@pytest.fixture
def deployment(redis: Any, store: Store, tmp_path: Path) -> Deployment:
    """A deployment with one upload that waits to be read."""
    here = Deployment(store.url, tmp_path)
    (tmp_path / "part").write_bytes(b"a,y\n1,0\n")
    dataset = Dataset(id=ID, name="x.csv", format="csv", size_bytes=8, created_ms=1, touched_ms=1, state=DatasetState.VALIDATING)
    assert dispatch.register_upload(redis, here, tmp_path / "part", dataset)
    return here


def ends_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def ingest(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(datasets, "ingest", ingest)


def test_an_error_that_nobody_foresaw_is_the_reason(redis: Any, deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    ends_with(KeyError("x"), monkeypatch)
    datasets.read_upload(redis, deployment, ID)
    record = datasets.get(redis, ID)
    assert record is not None and record.state == "rejected" and record.report and "KeyError: 'x'" in str(record.report.reason)


@pytest.mark.parametrize("error", [ConnectionError("away"), FileNotFoundError("gone")])
def test_an_unreachable_redis_rejects_nothing(
    redis: Any, deployment: Deployment, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends_with(error, monkeypatch)
    with pytest.raises(type(error)):
        datasets.read_upload(redis, deployment, ID)
    record = datasets.get(redis, ID)
    assert record is not None and record.state == "validating"


def test_an_upload_whose_validation_died_is_tried_again_and_then_rejected(redis: Any, deployment: Deployment) -> None:
    for tries in (2, 3):
        redis.delete("rq:queue:data")
        redis.hset("dataset:" + ID, "touched", 1)
        dispatch.requeue_stale_uploads(redis)
        record = datasets.get(redis, ID)
        assert record is not None and record.tries == tries and redis.llen("rq:queue:data") == 1
    redis.delete("rq:queue:data")
    redis.hset("dataset:" + ID, "touched", 1)
    dispatch.requeue_stale_uploads(redis)
    record = datasets.get(redis, ID)
    assert record is not None and record.state == "rejected" and record.report and "3 times" in str(record.report.reason)


def test_reading_on_after_a_deletion_leaves_no_record(redis: Any, deployment: Deployment) -> None:
    record = datasets.get(redis, ID)
    assert record is not None
    report = datasets._progress(redis, ID)
    datasets.delete(redis, deployment, record)
    report(1, 2)
    assert not redis.exists("dataset:" + ID)


def test_a_redis_that_evicts_is_told(redis: Any) -> None:
    assert eviction_warning(redis) is None
    try:
        redis.config_set("maxmemory", 100 << 20)
        redis.config_set("maxmemory-policy", "allkeys-lru")
        assert "allkeys-lru" in str(eviction_warning(redis))
    finally:
        redis.config_set("maxmemory-policy", "noeviction")
        redis.config_set("maxmemory", 0)
