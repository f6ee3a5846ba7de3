"""Which checkpoints are kept, and what stands in their files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from engine import tensor
from engine.train import Best, State
from engine.train.records import Progress
from worker import checkpoints

CARD = {"classes": ["ant", "zebra"], "input": [1, 8, 8], "transform": [{"type": "Normalize", "mean": [0.5], "std": [0.2]}]}


def save(job: Path, step: int, variant: str | None = None, value: float = 1.0, best: int | None = None) -> None:
    facts: dict[str, Any] = {"step": step, "epoch": step, "points": step, "best": best, "values": {}, "variant": variant}
    checkpoints.save(job, step, State({}, {"progress": {"weight": 1.0, "step": step}}, {"w": tensor([value, float(step)])}), facts, CARD)


def test_the_newest_the_best_and_the_last_of_every_variant_are_kept(tmp_path: Path) -> None:
    for step in range(1, 11):
        save(tmp_path, step, "a" if step <= 5 else "b")
    checkpoints.prune(tmp_path, 2, [2, 7])
    assert checkpoints.steps(tmp_path) == [2, 5, 7, 9, 10]
    checkpoints.prune(tmp_path, 1, [])
    assert checkpoints.steps(tmp_path) == [5, 10]


def test_the_newest_comes_with_the_best_model(tmp_path: Path) -> None:
    assert checkpoints.latest(tmp_path) is None and checkpoints.last_good(tmp_path) is None
    save(tmp_path, 1)
    save(tmp_path, 2, best=1)
    found = checkpoints.latest(tmp_path)
    assert found is not None
    state, facts = found
    assert facts["step"] == 2 and state.plain["progress"]["step"] == 2
    assert state.model["w"].tolist() == [1, 2] and state.best["w"].tolist() == [1, 1]


def test_a_checkpoint_with_numbers_that_are_none_is_not_good(tmp_path: Path) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2, value=float("inf"))
    save(tmp_path, 3, value=float("nan"))
    assert checkpoints.last_good(tmp_path) == 1


def test_a_model_says_what_its_outputs_are(tmp_path: Path) -> None:
    save(tmp_path, 1)
    path = checkpoints.model_file(tmp_path, 1)
    assert path is not None
    with safe_open(path, "numpy") as file:
        known = file.metadata()
        np.testing.assert_array_equal(file.get_tensor("w"), [1, 1])
    assert known.pop("format") == "pt" and {k: json.loads(v) for k, v in known.items()} == CARD


def test_a_state_of_version_0_1_0_is_migrated(tmp_path: Path) -> None:
    """The second variant had its best accuracy, 0.75, in step 40 of all, 30 being the first's."""
    progress = {"epoch": 2, "batch": 1, "step": 15, "total": 9.0, "best": -0.75, "stale": 1, "stopped": False}
    plain = {"progress": progress, "final": {"val_accuracy": 0.5}, "done_steps": 45, "variant_index": 1}
    facts: dict[str, Any] = {"step": 45, "epoch": 2, "points": 50, "best": 40, "values": {}, "variant": "b"}
    checkpoints.save(tmp_path, 45, State({}, plain, {"w": tensor([1.0])}), facts, CARD)
    found = checkpoints.latest(tmp_path)
    assert found is not None
    state = found[0].plain
    assert Progress(**state["progress"]) == Progress(2, 1, 15, 0.0, 0.0, 0.75, 0.75, 1)
    assert [Best(**b) for b in state["bests"]] == [Best("b", 1, 0.75, 40, 2, 10)]


def test_a_checkpoint_that_does_not_fit_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1)

    def full(path: Path, data: bytes) -> None:
        path.write_bytes(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "_write", full)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path, 2)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == [f"{1:010d}"]
