"""Tables: the whole report of each of many, and what training gets of them."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data import Options, Source, ingest, open_source
from engine.data.tables.columns import Column, encode_row
from tests.data.reports import expected, report_of, write
from tests.data.tables import CASES, comma, made, number

REPORTS = Path(__file__).with_name("tables.json")
"""The report of each table, without fields that are empty; ``python -m tests.data.test_tables`` writes it anew, to be read before it is kept."""


def read(text: str | bytes, folder: Path, target: str | None = None) -> Source:
    upload = folder / "upload.csv"
    upload.write_bytes(text.encode() if isinstance(text, str) else text)
    ingest(upload, folder / "dataset", "csv", options=Options(target=target))
    return open_source(folder / "dataset")


@pytest.mark.parametrize("name", CASES)
def test_the_report_of_a_table(name: str, tmp_path: Path) -> None:
    assert report_of(*CASES[name], tmp_path, "csv") == expected(REPORTS)[name]


def test_every_table_has_a_report() -> None:
    assert list(expected(REPORTS)) == list(CASES) and len(CASES) >= 40


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("point", [True, False])
@pytest.mark.parametrize("header", ["a{0}b{0}c", None])
def test_a_table_is_the_same_however_it_is_written(delimiter: str, point: bool, header: str | None, tmp_path: Path) -> None:
    rows = [(number(i) + 0.25, -number(i, 3), number(i, 5) * 1000) for i in range(50)]
    spelled = [delimiter.join(f'"{v}"' if point else f'"{comma(v)}"' for v in row) for row in rows]
    source = read("\n".join(([header.format(delimiter)] if header else []) + spelled), tmp_path)
    assert source.arrays is not None and source.report.refused_count == 0
    np.testing.assert_array_equal(source.arrays, np.array(rows, np.float32)[:, :2])
    np.testing.assert_array_equal(source.targets, np.array(rows, np.float32)[:, 2:])


def test_missing_numbers_become_the_mean_and_are_marked(tmp_path: Path) -> None:
    source = read("a,y\n1,0\n,1\n3,0\nNA,1\n8,0\n", tmp_path)
    assert source.arrays is not None
    assert source.arrays.tolist() == [[1, 0], [4, 1], [3, 0], [4, 1], [8, 0]]


def test_means_are_of_the_rows_that_train(tmp_path: Path) -> None:
    source = read("a,split,y\n1,train,0\n,train,1\n3,train,0\n100,test,1\n,test,1\n", tmp_path)
    assert source.arrays is not None
    assert source.arrays.tolist() == [[1, 0], [2, 1], [3, 0], [100, 0], [2, 1]]
    assert {name: indices.tolist() for name, indices in source.splits.items()} == {"train": [0, 1, 2], "test": [3, 4]}


def test_categories_dates_times_and_truth_as_numbers(tmp_path: Path) -> None:
    rows = ["red,2024-01-03,6:30,True,x", ",2024-01-01 12:00,18:45,False,y", "blue,2024-02-01T00:00:00Z,0:00,True,x"]
    source = read("\n".join(["colour,when,at,member,kind", *rows]), tmp_path)
    assert source.arrays is not None
    assert source.arrays.tolist() == [[0, 1, 0, 2, 6.5, 1], [0, 0, 1, 0.5, 18.75, 0], [1, 0, 0, 31, 0, 1]]
    assert source.targets.tolist() == [0, 1, 0] and source.report.classes == ["x", "y"]


def test_many_categories_are_an_index(tmp_path: Path) -> None:
    cells = [f"c{i % 40:02}" if i % 41 else "" for i in range(123)]
    source = read("city,y\n" + "".join(f"{c},{i % 2}\n" for i, c in enumerate(cells)), tmp_path)
    assert source.arrays is not None
    assert source.arrays[:, 0].tolist() == [int(c[1:]) if c else 40 for c in cells]


def test_words_after_pages_of_numbers_are_categories(tmp_path: Path) -> None:
    """The first pieces of a column are numbers, which are not looked at one by one; their words must be known all the same."""
    cells = [str(7 + i % 3) for i in range(8000)] + [str(i % 7) for i in range(8000)] + ["K1"] * 2000
    source = read("code,y\n" + "".join(f"{c},{i % 2}\n" for i, c in enumerate(cells)), tmp_path)
    assert source.report.columns[0]["categories"] == [*"0123456789", "K1"] and source.report.samples == 18_000


def test_points_of_thousands_after_pages_of_numbers(tmp_path: Path) -> None:
    rows = [f"{i % 9 + 1}.250;{i % 9},5" for i in range(20_000)]
    source = read("a;price\n" + "\n".join(rows), tmp_path)
    assert source.arrays is not None and source.arrays[:3, 0].tolist() == [1250, 2250, 3250]


@pytest.mark.parametrize("labels", [(0, 1), (1, 2), (-1, 1), ("no", "yes"), (True, False), ("0.0", "1.0")])
def test_two_classes_are_numbers_too(labels: tuple[Any, Any], tmp_path: Path) -> None:
    source = read(made(lambda i: f"{number(i)},{labels[i % 2]}", "a,y"), tmp_path)
    assert set(source.targets.tolist()) == {0, 1} and source.targets.dtype == np.int64
    numbers = source.targets_as("numbers")
    assert numbers is not None and numbers.shape == (24, 1) and numbers.dtype == np.float32
    if not isinstance(labels[0], str):
        assert numbers[:2, 0].tolist() == [float(v) for v in labels]
    assert source.report.target is not None and source.report.target["kinds"] == ["classes", "numbers"]


@pytest.mark.parametrize(
    ("labels", "kinds"),
    [
        ([0, 1, 2, 3, 4, 0], ["classes", "numbers"]),
        ([0, 1, 2, 3, 4, 5], ["numbers"]),
        ([0.5, 1, 2, 3, 4, 0.5], ["numbers"]),
        ([3 * i % 1001 for i in range(3003)], ["numbers"]),
        ([3 * i % 1000 for i in range(3000)], ["classes", "numbers"]),
        ([i % 30 for i in range(59)], ["numbers"]),
        ([i % 30 for i in range(60)], ["classes", "numbers"]),
    ],
)
def test_whole_numbers_of_few_values_are_classes_too(labels: list[float], kinds: list[str], tmp_path: Path) -> None:
    source = read("a,y\n" + "".join(f"{i},{label}\n" for i, label in enumerate(labels)), tmp_path)
    assert source.report.target is not None and source.report.target["kinds"] == kinds


def test_three_words_are_no_numbers(tmp_path: Path) -> None:
    source = read(made(lambda i: f"{number(i)},{'abc'[i % 3]}", "a,y"), tmp_path)
    assert source.targets_as("numbers") is None and source.report.target is not None and source.report.target["kinds"] == ["classes"]


def test_another_row_is_encoded_as_the_table_was(tmp_path: Path) -> None:
    names = ["a", "colour", "city", "when", "share", "member"]
    rows = [
        [
            ("" if i % 6 == 0 else comma(number(i))),
            ("", "red", "blue")[i % 3],
            f"city {i % 40}",
            f"{i % 28 + 1:02}.02.2024",
            f"{i % 30}%",
            str(i % 2 == 0),
        ]
        for i in range(120)
    ]
    source = read("\n".join(";".join(r) for r in [[*names, "y"], *([*row, str(i % 2)] for i, row in enumerate(rows))]), tmp_path)
    columns = [Column(**c) for c in json.loads((tmp_path / "dataset" / "columns.json").read_text())]
    assert source.arrays is not None
    for i, row in enumerate(rows):
        np.testing.assert_array_equal(encode_row(columns, dict(zip(names, row))), source.arrays[i])
    with pytest.raises(ValueError, match="column 'colour': expected one of blue, red, got 'green'"):
        encode_row(columns, {"colour": "green"})
    with pytest.raises(ValueError, match="column 'a': expected a number, got 'many'"):
        encode_row(columns, {"a": "many"})


def test_mean_and_std_are_of_what_training_sees(tmp_path: Path) -> None:
    source = read(made(lambda i: f"{number(i) + 10**6},{'ab'[i % 2]},{i % 2}", "a,b,y", n=40_000), tmp_path)
    assert source.arrays is not None
    x = source.arrays.astype(np.float64)
    np.testing.assert_allclose(source.report.mean, x.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(source.report.std, x.std(axis=0), rtol=1e-5)


ODD = [
    "",
    "1",
    "1,5",
    "1.5",
    "1.250",
    "NA",
    "a",
    "2024-01-05",
    "9999-12-31 23:00-05:00",
    "5%",
    "$3",
    "inf",
    "1e400",
    '"',
    "\x00",
    "é",
    "1_0",
    "true",
    "0",
    "24:00",
    "(3)",
]
cell = st.one_of(st.sampled_from(ODD), st.text(max_size=6))
usual = st.sampled_from(
    [
        "1",
        "0.5",
        "1,5",
        "1.250",
        "2,250",
        "-3",
        "",
        "1e30",
        "99999999999",
        "5%",
        "$1,000",
        "2024-02-03",
        "03/04/2024",
        "10:30",
        "red",
        "blue",
        "True",
        "x y",
    ]
)


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """Rows of columns in which most cells are of one or two kinds."""
    n, columns = draw(st.integers(2, 40)), draw(st.integers(2, 4))
    made_columns = []
    for _ in range(columns):
        kinds = draw(st.lists(usual, min_size=1, max_size=3))
        column = [kinds[i % len(kinds)] for i in range(n)]
        if draw(st.booleans()):
            column[draw(st.integers(0, n - 1))] = draw(cell)
        made_columns.append(column)
    header = draw(st.lists(st.sampled_from(["a", "b", "y", "id", "x", "split", "", "target"]), min_size=columns, max_size=columns))
    return [header, *map(list, zip(*made_columns))] if draw(st.booleans()) else [*map(list, zip(*made_columns))]


@settings(max_examples=120, deadline=None)
@given(
    st.one_of(st.lists(st.lists(cell, min_size=1, max_size=4), max_size=12), tables()),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["utf-8", "utf-16", "latin-1"]),
    st.booleans(),
)
def test_whatever_it_is_it_is_read_or_rejected(rows: list[list[str]], delimiter: str, encoding: str, quoted: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        text = "\n".join(delimiter.join(f'"{c}"' if quoted else c for c in row) for row in rows)
        report = report_of(text.encode(encoding, "replace"), None, Path(folder), "csv")
        json.dumps(report, allow_nan=False)
        if "reason" not in report:
            source = open_source(Path(folder) / "dataset")
            assert source.arrays is not None and np.isfinite(source.arrays).all() and np.isfinite(source.targets).all()
            assert len(source.arrays) == len(source.targets) == report["samples"]
            assert all(math.isfinite(v) for v in (*report["mean"], *report["std"]))


if __name__ == "__main__":
    write(CASES, "csv")
