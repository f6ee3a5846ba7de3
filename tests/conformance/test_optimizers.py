"""Every optimizer of PyTorch's sample database by name: ``pytest tests/conformance -k NAME``."""

from typing import Any

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")

from tests.conformance import optimizers

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]  # PyTorch warns of much that is compared here
DATABASE: dict[str, Any] = optimizers.database()


@pytest.mark.parametrize("name", DATABASE)
def test_optimizer(name: str) -> None:
    info = DATABASE[name]
    if optimizers.resolve(info) is None:
        pytest.skip("unsupported: listed in docs/differences.md")
    assert optimizers.check_samples(info)["compared"], "nothing was compared"
    optimizers.check_errors(info)
