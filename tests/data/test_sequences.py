"""Sequences in arrays, windows of series, and several targets."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data import Options, Rejected, ingest, open_source
from engine.data.batches import Pipeline
from engine.data.source import Source
from engine.data.split import partition
from engine.data.views import as_read
from engine.spec import SpecError, check
from tests.train.jobs import job, points

RNG = np.random.default_rng(0)
Array = np.ndarray[Any, Any]


def read(content: bytes | str, folder: Path, form: str = "csv", **options: Any) -> Source:
    (folder / "upload").write_bytes(content.encode() if isinstance(content, str) else content)
    ingest(folder / "upload", folder / "dataset", form, options=Options(**options))
    return open_source(folder / "dataset")


def npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


# -- sequences

LENGTHS = np.array([3, 5, 1, 4])
Y = np.array([0, 1, 0, 1])


def sequences(channels: int = 2) -> list[Array]:
    return [RNG.normal(size=(n, channels)).astype(np.float32) for n in LENGTHS]


def expected(rows: list[Array], longest: int = 5) -> Array:
    out = np.zeros((len(rows), longest, rows[0].shape[1]), np.float32)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out


@pytest.mark.parametrize("form", ["padded", "one after the other", "ended by NaN"])
def test_sequences_are_padded_with_zeros(form: str, tmp_path: Path) -> None:
    rows = sequences()
    filled = expected(rows, 7)
    filled[np.arange(7) >= LENGTHS[:, None]] = np.nan if form == "ended by NaN" else 9
    arrays = {"x": np.concatenate(rows) if form == "one after the other" else filled, "y": Y, "lengths": LENGTHS}
    if form == "ended by NaN":
        del arrays["lengths"]
    source = read(npz(**arrays), tmp_path, "npz")
    assert source.arrays is not None and source.lengths is not None
    np.testing.assert_array_equal(source.arrays, expected(rows))
    np.testing.assert_array_equal(source.lengths, LENGTHS)
    assert source.report.lengths == {"min": 1, "median": 3, "p95": 4, "max": 5} and source.report.shape == [5, 2]
    by = "ended by NaN" if form == "ended by NaN" else "by the array lengths"
    assert source.report.converted == [f"x are sequences of 1 to 5 steps, {by}: zeros follow their ends"]


def test_splits_of_sequences_are_padded_alike(tmp_path: Path) -> None:
    rows = sequences()
    content = npz(
        x_train=np.concatenate(rows[:2]), y_train=Y[:2], lengths_train=LENGTHS[:2],
        x_val=np.concatenate(rows[2:]), y_val=Y[2:], lengths_val=LENGTHS[2:],
    )  # fmt: skip
    source = read(content, tmp_path, "npz")
    assert source.arrays is not None
    np.testing.assert_array_equal(source.arrays, expected(rows))


def test_tokens_of_several_lengths(tmp_path: Path) -> None:
    source = read(npz(x=np.array([[4, 5, 6], [7, 8, 8]]), y=[0, 1], lengths=np.array([3, 1])), tmp_path, "npz")
    assert source.arrays is not None and source.arrays.tolist() == [[4, 5, 6], [7, 0, 0]]
    source = read(npz(x=np.array([4, 5, 6, 7]), y=[0, 1], lengths=np.array([3, 1])), tmp_path, "npz")
    assert source.arrays is not None and source.arrays.tolist() == [[4, 5, 6], [7, 0, 0]]


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"lengths": np.array([3.0, 5, 1, 4])}, "whole numbers from 1 on"),
        ({"lengths": np.array([0, 5, 1, 4])}, "whole numbers from 1 on"),
        (
            {"lengths": np.array([3, 5, 1])},
            "expected 4 of them, the longest 5, or lengths whose sum is 4; got 3, the longest 5, with the sum 9",
        ),
        ({"lengths": np.array([3, 6, 1, 4])}, "got 4, the longest 6"),
        ({"x_val": np.zeros((1, 5, 2)), "y_val": [0], "lengths": LENGTHS}, "expected lengths of every split, got them of train only"),
    ],
)
def test_lengths_that_do_not_fit(arrays: dict[str, Any], said: str, tmp_path: Path) -> None:
    names = {"x_train": expected(sequences()), "y_train": Y} if "x_val" in arrays else {"x": expected(sequences()), "y": Y}
    arrays = {("lengths_train" if "x_val" in arrays and k == "lengths" else k): v for k, v in arrays.items()}
    with pytest.raises(Rejected, match=said.replace("(", r"\(")):
        read(npz(**names, **arrays), tmp_path, "npz")


def test_nan_inside_a_sequence_is_refused(tmp_path: Path) -> None:
    x = expected(sequences())
    x[1, 2] = np.nan
    with pytest.raises(Rejected, match="NaN or infinite values, the first in row 1"):
        read(npz(x=x, y=Y), tmp_path, "npz")


def test_a_job_on_sequences_learns(tmp_path: Path) -> None:
    lengths = RNG.integers(2, 9, 120)
    rows = [RNG.normal(size=(n, 2)).astype(np.float32) + 2 * (i % 2) for i, n in enumerate(lengths)]
    source = read(npz(x=np.concatenate(rows), y=np.arange(120) % 2, lengths=lengths), tmp_path, "npz")
    model = [{"type": "Flatten"}, {"type": "Linear", "out_features": 2}]
    assert points(job(source, model=model, epochs=10, metrics=["accuracy"]), "val")[-1].values["accuracy"] > 0.9


# -- windows


def series(n: int = 200, dates: bool = False, shuffled: bool = False) -> str:
    rows = [f"{f'2024-01-{i + 1:02d},' if dates else ''}{np.sin(i / 5):.6f},{np.cos(i / 5):.6f},{i}" for i in range(n)]
    if shuffled:
        rows = [rows[i] for i in RNG.permutation(n)]
    return "\n".join([("day," if dates else "") + "wave,other,step_target", *rows])


def windows(source: Source, validation: float = 0.2, **settings: Any) -> Source:
    return as_read(source, check({
        "model": [{"type": "Flatten"}, {"type": "Linear", "out_features": 1}], "loss": {"type": "MSELoss"}, "optimizer": {"type": "SGD", "lr": 0.1},
        "data": {"dataset": "d", "windows": settings, "validation": validation},
    }))  # fmt: skip


def rows_of(source: Source) -> tuple[Array, Array]:
    x = source.batch(np.arange(len(source)), Pipeline([]), None, tuple(source.report.shape or ())).numpy()
    return x, source.targets


def test_windows_hold_the_rows_up_to_now_and_predict_those_that_follow(tmp_path: Path) -> None:
    source = read(series(), tmp_path, target="step_target")
    found = windows(source, length=6, horizon=3, stride=2)
    x, y = rows_of(found)
    assert x.shape[1:] == (6, 3) and y.shape[1:] == (3,)
    np.testing.assert_array_equal(x[:, :, 2], x[:, :1, 2] + np.arange(6))  # the target's own past is known
    np.testing.assert_array_equal(y, x[:, -1:, 2] + 1 + np.arange(3))
    np.testing.assert_allclose(x[:, :, 0], np.sin(x[:, :, 2] / 5), atol=1e-5)
    np.testing.assert_array_equal(found.raw(7).numpy(), x[7])
    assert len(np.unique(np.diff(x[found.splits["train"], 0, 2]))) == 1


@pytest.mark.parametrize("validation", [0.0, 0.25])
def test_no_row_is_both_trained_on_and_held_out(validation: float, tmp_path: Path) -> None:
    found = windows(read(series(), tmp_path), validation, length=6, horizon=3)
    x, y = rows_of(found)
    train, held = partition(found, check({
        "model": [{"type": "Flatten"}], "loss": {"type": "MSELoss"}, "optimizer": {"type": "SGD", "lr": 0.1}, "data": {"validation": validation},
    }))  # fmt: skip
    seen = set(np.concatenate([x[train, :, 2].ravel(), y[train].ravel()]))
    kept = set(np.concatenate([x[held, :, 2].ravel(), y[held].ravel()]))
    assert not seen & kept and (not kept or min(kept) == 150 > max(seen) == 149)
    assert len(train) + len(held) == (192 if not validation else 142 + 42)


def test_dates_put_rows_in_order_and_are_no_features(tmp_path: Path) -> None:
    found = windows(read(series(30, dates=True, shuffled=True), tmp_path), length=4)
    x, y = rows_of(found)
    assert x.shape[1:] == (4, 3)
    np.testing.assert_array_equal(y[:, 0], x[:, -1, 2] + 1)


def test_splits_of_a_table_are_those_of_its_windows(tmp_path: Path) -> None:
    text = series(90).splitlines()
    names = ["split"] + ["train"] * 50 + ["val"] * 20 + ["test"] * 20
    found = windows(read("\n".join(f"{n},{row}" for n, row in zip(names, text, strict=True)), tmp_path), length=5, horizon=2)
    assert {k: len(v) for k, v in found.splits.items()} == {"train": 44, "val": 14, "test": 14} and found.report.splits == {
        "train": 44,
        "val": 14,
        "test": 14,
    }


def test_several_columns_are_predicted_together(tmp_path: Path) -> None:
    found = windows(read(series(), tmp_path, target="wave, other"), 0.0, length=6, horizon=3)
    x, y = rows_of(found)
    assert y.shape[1:] == (3, 2) and x.shape[1:] == (6, 3)
    np.testing.assert_array_equal(x[1:, -1, 1:], y[:-1, 0])  # the last two columns are the targets' past


def test_a_job_on_windows_learns(tmp_path: Path) -> None:
    data = {"windows": {"length": 8, "horizon": 4}, "validation": 0.2}
    rows = [f"{np.sin(i / 5) ** 2:.6f},{np.sin(i / 5):.6f}" for i in range(400)]
    source = read("\n".join(["square,wave", *rows]), tmp_path, target="wave")
    model = [{"type": "Flatten"}, {"type": "Linear", "out_features": 4}]
    run = job(source, "MSELoss", model, data=data, epochs=40, optimizer={"type": "Adam", "lr": 0.02}, metrics=["r2"])
    assert points(run, "val")[-1].values["r2"] > 0.98
    assert run.metadata()["dataset"]["shape"] == [8, 2]


@pytest.mark.parametrize(
    ("form", "settings", "at", "said"),
    [
        ("csv", {"length": 500}, "/data/windows/length", "does not fit into the 150 rows of train"),
        ("csv", {"length": 60}, "/data/windows/length", "does not fit into the 50 rows of val"),
        ("csv", {"horizon": 3}, "/data/windows/length", "length is missing"),
        ("csv", {"length": 0}, "/data/windows/length", "at least 1"),
        ("npz", {"length": 3}, "/data/windows", "windows are of tables of numbers, but the dataset is a npz of shape [5, 2]"),
    ],
)
def test_windows_that_do_not_fit(form: str, settings: dict[str, Any], at: str, said: str, tmp_path: Path) -> None:
    source = read(series() if form == "csv" else npz(x=expected(sequences()), y=Y), tmp_path, form)
    with pytest.raises(SpecError) as error:
        job(source, "MSELoss", [{"type": "Flatten"}, {"type": "Linear", "out_features": 1}], data={"windows": settings})
    assert [(p.pointer, said in p.detail) for p in error.value.problems] == [(at, True)], error.value.problems


# -- several targets


def table(n: int = 80) -> str:
    x = RNG.normal(size=(n, 2))
    rows = [
        f"{a:.3f},{b:.3f},{int(a > 0)},{int(b > 0)},{int(a + b > 0)},{a - b:.3f},{2 * b:.3f},{'red' if a > 0 else 'blue'}" for a, b in x
    ]
    return "\n".join(["a,b,up,right,both,diff,twice,colour", *rows])


def test_several_numbers(tmp_path: Path) -> None:
    source = read(table(), tmp_path, target="diff,twice")
    assert source.targets.shape == (80, 2) and source.report.target == {
        "name": "diff, twice",
        "chosen": "as asked for",
        "kinds": ["numbers"],
    }
    assert source.report.classes is None and source.report.shape == [7]
    run = job(source, "MSELoss", [{"type": "Linear", "out_features": 2}], epochs=60, metrics=["r2"])
    assert points(run, "val")[-1].values["r2"] > 0.9


def test_several_labels(tmp_path: Path) -> None:
    source = read(table(), tmp_path, target="up, right, both")
    assert source.report.classes == ["up", "right", "both"] and source.report.counts == {
        name: int(source.targets[:, i].sum()) for i, name in enumerate(("up", "right", "both"))
    }
    run = job(
        source,
        "BCEWithLogitsLoss",
        [{"type": "Linear", "out_features": 3}],
        epochs=40,
        metrics=["f1"],
        optimizer={"type": "SGD", "lr": 0.5},
    )
    assert points(run, "val")[-1].values["f1"] > 0.85


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("diff,none", "no column named 'none', one of the targets"),
        ("diff,diff", "named twice"),
        ("diff,colour", "'colour' is of type category: several targets are numbers, or labels of 0 and 1"),
    ],
)
def test_targets_that_do_not_go_together(target: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=said):
        read(table(), tmp_path, target=target)


def test_a_name_with_a_comma_is_one_column(tmp_path: Path) -> None:
    assert (read('a,"b,c"\n1,2.5\n2,3.5\n4,1.25\n', tmp_path, target="b,c").report.target or {})["name"] == "b,c"
