"""Splits: nobody in two of them, every class in both where it can be, the dataset's own where there are some."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data.source import Source
from engine.data.split import partition
from engine.data.split import test_indices as kept_for_test
from tests.data.prepared import prepared


def dataset(folder: Path, targets: np.ndarray[Any, Any], splits: list[str] | None = None) -> Source:
    return prepared(folder, np.zeros((len(targets), 1), np.float32), targets, splits)


def spec(validation: float, seed: int = 0) -> dict[str, Any]:
    return {"seed": seed, "data": {"validation": validation}}


@pytest.mark.parametrize(
    ("counts", "share", "held"),
    [
        ([50, 50], 0.2, [10, 10]),
        ([90, 10], 0.1, [9, 1]),
        ([97, 2, 1], 0.1, [9, 1, 0]),  # a share of 0.2 is one sample, and the last of a class is never taken
        ([33, 33, 33], 0.1, [4, 3, 3]),  # 10 in all: 3.3 each
        ([3, 3, 3], 0.25, [1, 1, 0]),  # two in all are not enough for three classes
        ([2, 2, 2, 94], 0.04, [1, 1, 1, 1]),
        ([5, 5], 0.8, [4, 4]),
        ([10], 0.3, [3]),
    ],
)
def test_a_draw_takes_its_part_of_every_class(tmp_path: Path, counts: list[int], share: float, held: list[int]) -> None:
    targets = np.repeat(np.arange(len(counts)), counts)
    source = dataset(tmp_path, targets)
    for seed in range(3):
        train, val = partition(source, spec(share, seed))
        np.testing.assert_array_equal(np.sort(np.concatenate([train, val])), np.arange(len(targets)))
        assert np.bincount(targets[val], minlength=len(counts)).tolist() == held


def test_where_every_class_has_one_sample_the_share_is_still_held_out(tmp_path: Path) -> None:
    train, val = partition(dataset(tmp_path, np.arange(20)), spec(0.25))
    assert (len(train), len(val)) == (15, 5)


@pytest.mark.parametrize("targets", [np.linspace(0, 1, 40, dtype=np.float32)[:, None], np.zeros((40, 3, 3), np.int64)])
def test_numbers_and_maps_are_drawn_plainly(tmp_path: Path, targets: np.ndarray[Any, Any]) -> None:
    source = dataset(tmp_path, targets)
    drawn = [partition(source, spec(0.25, seed)) for seed in (0, 0, 1)]
    assert [len(v) for _, v in drawn] == [10, 10, 10]
    np.testing.assert_array_equal(drawn[0][1], drawn[1][1])
    assert drawn[0][1].tolist() != drawn[2][1].tolist()
    assert not len(partition(source, spec(0.0))[1])


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_dataset_keeps_its_own_splits(tmp_path: Path, share: float) -> None:
    source = dataset(tmp_path, np.arange(8) % 2, ["train", "val", "test", "train", "train", "val", "train", "test"])
    train, val = partition(source, spec(share))
    assert (train.tolist(), val.tolist(), kept_for_test(source).tolist()) == ([0, 3, 4, 6], [1, 5], [2, 7])


def test_a_test_split_neither_trains_nor_is_held_out(tmp_path: Path) -> None:
    source = dataset(tmp_path, np.arange(30) % 2, ["train"] * 20 + ["test"] * 10)
    train, val = partition(source, spec(0.2))
    assert len(val) == 4 and len(train) == 16 and max([*train, *val]) < 20
