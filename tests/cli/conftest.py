"""One deployment for all tests of the command line, and a job that it has trained."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.commands import Commands, Done
from tests.service.deployment import EXAMPLES, Deployment, example

Run = Callable[..., Done]


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    deployment = Deployment(tmp_path_factory.mktemp("cli")).start()
    yield deployment
    deployment.stop()


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    found = Commands()
    yield found
    found.close()


@pytest.fixture(scope="session")
def epochline(commands: Commands, service: Deployment) -> Run:
    """Runs a command against the server."""

    def run(*arguments: str, **more: object) -> Done:
        return commands.run(*arguments, **{"EPOCHLINE_SERVER": str(service.http.base_url), **more})  # type: ignore[arg-type]

    return run


@pytest.fixture(scope="session")
def job(service: Deployment) -> str:
    """The id of a job that has succeeded."""
    found = service.submit(example("digits-mlp", service.digits(), epochs=2, name="naïve [red] 名"))["id"]
    service.wait_state(found, "succeeded")
    return str(found)


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """The examples, to be changed."""
    return Path(shutil.copytree(EXAMPLES, tmp_path / "examples"))
