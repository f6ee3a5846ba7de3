"""Every module of PyTorch's sample database by name: ``pytest tests/conformance -k NAME``."""

from typing import Any

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")

from tests.conformance import modules

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]  # PyTorch warns of much that is compared here
DATABASE: dict[str, Any] = modules.database()


@pytest.mark.parametrize("name", DATABASE)
def test_module(name: str) -> None:
    info = DATABASE[name]
    if modules.resolve(info) is None:
        pytest.skip("unsupported: listed in docs/differences.md")
    assert modules.check_samples(info)["compared"], "nothing was compared"
    modules.check_errors(info)
