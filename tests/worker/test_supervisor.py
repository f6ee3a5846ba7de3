"""What a worker gives the process that trains."""

from pathlib import Path

import pytest

from worker.deployment import Deployment
from worker.embedded import Store
from worker.supervisor import Supervisor


@pytest.mark.parametrize(("visible", "given"), [(None, "1"), ("4,6", "6"), ("GPU-aa,GPU-bb", "GPU-bb")])
def test_a_training_process_sees_one_gpu(
    visible: str | None, given: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's second, of those that it is allowed itself."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    environment = Supervisor(Deployment(store.url, tmp_path), "cuda:1", "w")._environment
    assert environment["CUDA_VISIBLE_DEVICES"] == given and environment["EPOCHLINE_DEVICE"] == "cuda"
