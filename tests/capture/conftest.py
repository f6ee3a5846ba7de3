"""A program that cannot be planned is a fault: the step would run, eagerly, and no test of its numbers would notice."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_faults_in_planning(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert not [r.getMessage() for r in caplog.records if r.levelname == "ERROR" and "a fault of Epochline" in r.getMessage()]
