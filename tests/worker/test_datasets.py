"""Uploads: what becomes of the record when reading one ends in a way that nobody foresaw."""

from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError

from worker import datasets
from worker.connection import Place
from worker.embedded import Store

ID = "ds_0123456789abcdef01234567"


@pytest.fixture
def place(redis: Any, store: Store, tmp_path: Path) -> Place:
    """A deployment with one upload that waits to be read."""
    here = Place(store.url, tmp_path)
    (tmp_path / "part").write_bytes(b"a,y\n1,0\n")
    assert datasets.register(redis, here, tmp_path / "part", ID, "x.csv", "csv", 8)
    return here


def ends_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def ingest(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(datasets, "ingest", ingest)


def test_an_error_that_nobody_foresaw_is_the_reason(redis: Any, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    ends_with(KeyError("x"), monkeypatch)
    datasets.read_upload(redis, place, ID)
    record = datasets.get(redis, ID)
    assert record is not None and record["state"] == "rejected" and "KeyError: 'x'" in record["report"]["reason"]


@pytest.mark.parametrize("error", [ConnectionError("away"), FileNotFoundError("gone")])
def test_a_store_that_is_away_rejects_nothing(redis: Any, place: Place, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    ends_with(error, monkeypatch)
    with pytest.raises(type(error)):
        datasets.read_upload(redis, place, ID)
    record = datasets.get(redis, ID)
    assert record is not None and record["state"] == "validating"
