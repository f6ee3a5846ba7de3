"""One deployment for the tests that leave it as it was."""

from collections.abc import Iterator

import pytest

from tests.service.deployment import Deployment


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    deployment = Deployment(tmp_path_factory.mktemp("service")).start()
    yield deployment
    deployment.stop()


@pytest.fixture(scope="session")
def digits(service: Deployment) -> str:
    """The id of the example's dataset, ready."""
    return service.digits()
