"""Thinned curves keep what stands out."""

from typing import Any, cast

import numpy as np
import pytest

from server.thinning import thinned
from worker.records import MetricsEvent


def curve(n: int, first: int = 0, split: str = "train", **more: Any) -> list[MetricsEvent]:
    rng = np.random.default_rng(n)
    values = [
        {"loss": float(v), "lr": 0.1 if i < n // 2 else 0.01, "grad_norm": float(g)} for i, (v, g) in enumerate(rng.normal(size=(n, 2)))
    ]
    return [MetricsEvent(seq=first + i, time=0, attempt=1, step=i, epoch=1, split=split, values=v, **more) for i, v in enumerate(values)]


def loss(row: MetricsEvent) -> float:
    return cast("float", row.values["loss"])


@pytest.mark.parametrize("most", [1, 2, 3, 10, 100, 999, 1000])
def test_there_are_as_many_points_as_asked_for_in_order(most: int) -> None:
    rows = curve(1000)
    thin = thinned(rows, most)
    assert len(thin) == most and thin[-1] is rows[-1]
    assert [r.seq for r in thin] == sorted({r.seq for r in thin})


def test_the_extremes_of_every_value_and_every_stretch_are_kept() -> None:
    rows = curve(3000)
    rows[1537].values["loss"], rows[1538].values["grad_norm"] = 1e6, -1e6
    for most in (5, 10, 50, 500):
        values = [cast("dict[str, float]", r.values) for r in thinned(rows, most)]
        assert max(v["loss"] for v in values) == 1e6 and (most == 5 or min(v["grad_norm"] for v in values) == -1e6)
    thin = thinned(rows, 601)  # 100 stretches of 30
    for at in range(0, 3000, 30):
        stretch = [loss(r) for r in rows[at : at + 30]]
        kept = [loss(r) for r in thin if at <= r.seq < at + 30]
        assert max(stretch) == max(kept) and min(stretch) == min(kept)
    assert np.histogram([r.seq for r in thin], 10, (0, 3000))[0].min() > 40  # evenly


def test_each_curve_for_itself() -> None:
    rows = [*curve(100), *curve(5, 100, "val"), *curve(80, 105, variant="b")]
    thin = thinned(rows, 10)
    assert [sum(r.split == "val" for r in thin), sum(r.variant is not None for r in thin), len(thin)] == [5, 10, 25]
    del rows[3].values["loss"]
    rows[4].values["confusion_matrix"] = [[1, 2]]
    assert len(thinned(rows, 10)) == 25
