"""Which checkpoints are kept, and what stands in their files."""

import json
from pathlib import Path

import numpy as np
from safetensors import safe_open

from engine import tensor
from engine.train import State
from worker import checkpoints

CARD = {"classes": ["ant", "zebra"], "input": [1, 8, 8], "transform": [{"type": "Normalize", "mean": [0.5], "std": [0.2]}]}


def save(job: Path, step: int, variant: str | None = None, value: float = 1.0, best: int | None = None) -> None:
    facts = {"step": step, "epoch": step, "points": step, "best": best, "values": {}, "variant": variant}
    checkpoints.save(job, step, State({}, {"n": step}, {"w": tensor([value, float(step)])}), facts, CARD)


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
    assert facts["step"] == 2 and state.plain == {"n": 2}
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
