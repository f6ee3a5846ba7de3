"""A real Valkey for tests of what is kept in it."""

from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from worker.embedded import Store


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    s = Store(tmp_path_factory.mktemp("store"))
    s.start()
    yield s
    s.stop()


@pytest.fixture
def redis(store: Store) -> Iterator[Any]:
    client = Redis(unix_socket_path=str(store.socket))
    client.flushall()
    yield client
    client.close()
