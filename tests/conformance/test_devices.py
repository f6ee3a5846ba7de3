"""PyTorch's sample databases on a device: on CuPy where there is a GPU, and everywhere on the strict stand-in for it.

Only results are compared: a call that is wrong by the elements of a tensor is not refused where nobody looks at them.
"""

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed; scripts/test --peers brings it")

import engine
from tests.conformance import modules, ops, optimizers

pytestmark = [pytest.mark.peer, pytest.mark.filterwarnings("ignore")]  # PyTorch warns of much that is compared here
SAMPLES = 12
"""Of each op and dtype."""
CASES = {
    f"{name} of {group.__name__.rpartition('.')[2]}": (group, info)
    for group in (ops, modules, optimizers)
    for name, info in group.database().items()
    if group.resolve(info) is not None
}


@pytest.mark.parametrize("name", CASES)
def test_samples(name: str, cuda: None, monkeypatch: pytest.MonkeyPatch) -> None:
    group, info = CASES[name]
    monkeypatch.setattr(ops, "SAMPLES_PER_DTYPE", SAMPLES)
    with engine.device("cuda"):
        assert group.check_samples(info)["compared"], "nothing was compared"
