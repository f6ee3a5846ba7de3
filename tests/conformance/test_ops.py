"""Every op of PyTorch's sample database by name: ``pytest tests/conformance -k NAME``."""

from typing import Any

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")

from tests.conformance import ops

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]  # PyTorch warns of much that is compared here
DATABASE: dict[str, Any] = ops.database()


@pytest.mark.parametrize("name", DATABASE)
def test_op(name: str) -> None:
    info = DATABASE[name]
    if ops.resolve(info) is None:
        pytest.skip("unsupported: listed in docs/differences.md")
    assert ops.check_samples(info)["compared"], "nothing was compared"
    ops.check_errors(info)
