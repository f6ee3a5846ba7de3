"""Files of NumPy arrays: the whole report of each of many, and what training gets of them."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.data import Options, Rejected, Source, ingest, open_source
from engine.data.batches import Pipeline
from tests.data.reports import expected, report_of, write

REPORTS = Path(__file__).with_name("arrays.json")
"""The report of each file; ``python -m tests.data.test_arrays`` writes them anew."""


def npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def damaged(content: bytes, begin: int, end: int) -> bytes:
    return content[:begin] + bytes(b ^ 0xFF for b in content[begin:end]) + content[end:]


def packed(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


N = 24
X = (np.arange(3 * N).reshape(N, 3) * 37 % 101 / 8).astype(np.float32)
Y = np.arange(N) % 2
PIXELS = (np.arange(N * 6 * 5 * 3) * 37 % 256).astype(np.uint8)
HUGE = np.where(np.arange(3 * N).reshape(N, 3) == 10, 1e40, 1.0)

CASES: dict[str, bytes] = {
    "x and y": npz(x=X, y=Y),
    "one feature without an axis": npz(x=X[:, 0], y=Y),
    "labels (N, 1)": npz(x=X, y=Y[:, None]),
    "one-hot labels": npz(x=X, y=np.eye(3, dtype=np.uint8)[np.arange(N) % 3]),
    "one-hot labels, float": npz(x=X, y=np.eye(2)[Y]),
    "labels from 1": npz(x=X, y=np.arange(N) % 3 + 1),
    "labels -1 and 1": npz(x=X, y=Y * 2 - 1),
    "labels as floats": npz(x=X, y=Y.astype(float)),
    "labels as bool": npz(x=X, y=Y > 0),
    "a class without a sample": npz(x=X, y=np.array([0, 1, 3] * 8)),
    "whole numbers that are no classes": npz(x=X, y=np.arange(N) * 5000),
    "numbers": npz(x=X, y=X @ [1.0, 2.0, 3.0]),
    "several numbers": npz(x=X, y=X[:, :2] / 2),
    "several labels": npz(x=X, y=(np.arange(N * 3) * 7 % 10 > 4).reshape(N, 3).astype(np.int64)),
    "tokens": npz(x=np.arange(N * 5).reshape(N, 5) % 7, y=np.arange(N * 5).reshape(N, 5) % 7),
    "pixels": npz(x=PIXELS.reshape(N, 3, 6, 5), y=Y),
    "pixels, channels last": npz(x=PIXELS.reshape(N, 6, 5, 3), y=Y),
    "pixels, one channel last": npz(x=PIXELS[: N * 16].reshape(N, 4, 4, 1), y=Y),
    "pixels without channels (MNIST)": npz(x=PIXELS[: N * 30].reshape(N, 6, 5), y=Y),
    "many small maps": npz(x=(PIXELS[: N * 64].reshape(N, 16, 2, 2) / 256).astype(np.float32), y=Y),
    "square on both ends": npz(x=PIXELS[: N * 27].reshape(N, 3, 3, 3), y=Y),
    "a volume, channel last": npz(x=(PIXELS[: N * 60].reshape(N, 5, 4, 3, 1) / 256).astype(np.float32), y=Y),
    "pixels as float": npz(x=PIXELS.reshape(N, 3, 6, 5).astype(np.float32), y=Y),
    "bytes of 0 and 1": npz(x=PIXELS[: N * 20].reshape(N, 5, 4) // 128, y=Y),
    "a table of bytes": npz(x=PIXELS[: N * 3].reshape(N, 3) % 5, y=Y),
    "class maps": npz(x=PIXELS[: N * 30].reshape(N, 1, 6, 5), y=np.arange(N * 30).reshape(N, 6, 5) % 3),
    "masks of 0 and 255, channels last": npz(x=PIXELS.reshape(N, 6, 5, 3), y=((np.arange(N * 30) % 2) * 255).astype(np.uint8).reshape(N, 6, 5, 1)),
    "float16, Fortran order": npz(x=np.asfortranarray(X.astype(np.float16)), y=Y),
    "big-endian": npz(x=X.astype(">f4"), y=Y.astype(">i8")),
    "bool": npz(x=X > 6, y=Y),
    "whole numbers beyond 2**24": npz(x=np.arange(3 * N).reshape(N, 3) + 2**24, y=Y),
    "splits": npz(x=X, y=Y, x_val=X[:4] + 50, y_val=Y[:4], x_test=X[:5], y_test=Y[:5]),
    "splits of Keras": npz(x_train=X, y_train=Y, x_test=X[:5] + 50, y_test=Y[:5]),
    "splits of MedMNIST": npz(
        train_images=PIXELS.reshape(N, 6, 5, 3), train_labels=Y[:, None], val_images=PIXELS[:180].reshape(2, 6, 5, 3) + 9, val_labels=Y[:2, None]
    ),
    "an empty split": npz(x=X, y=Y, x_val=X[:0], y_val=Y[:0], x_test=X[:2] + 50, y_test=Y[:2]),
    "bytes beside floats": npz(x=PIXELS.reshape(N, 3, 6, 5), y=Y, x_test=PIXELS.reshape(N, 3, 6, 5) / 255, y_test=Y),
    "arrays beside x and y": npz(x=X, y=Y, names=np.array(["a"])),
    # what cannot be trained on
    "beyond float32": npz(x=HUGE, y=Y),
    "NaN": npz(x=np.where(X > 12.4, np.nan, X), y=Y),
    "infinite y": npz(x=X, y=np.where(Y > 0, np.inf, 0.5)),
    "objects": npz(x=np.array([[1], [2, 3]], dtype=object), y=Y[:2]),
    "strings": npz(x=X, y=np.array(["a", "b"] * 12)),
    "complex": npz(x=X.astype(complex), y=Y),
    "dates": npz(x=X, y=np.array(["2020-01-01"] * N, "M8[D]")),
    "a single number": npz(x=np.float32(3), y=Y),
    "lengths": npz(x=X, y=Y[:5]),
    "no samples": npz(x=X[:0], y=Y[:0]),
    "no columns": npz(x=X[:, :0], y=Y),
    "no y": npz(x=X),
    "x_train alone": npz(x_train=X, y_train=Y),
    "x_val without y_val": npz(x=X, y=Y, x_val=X),
    "splits of different shapes": npz(x=X, y=Y, x_val=X[:, :2], y_val=Y),
    "a renamed npy": npy(X),
    "a damaged stream": damaged(packed(x=X, y=Y), 60, 90),
    "a damaged header": npz(x=X, y=Y).replace(b"(24, 3)", b"(24, 9)"),
    "a header that promises too much": zipped({"x.npy": npy(X).replace(b"(24, 3), }          ", b"(24000000000, 3), } "), "y.npy": npy(Y)}),
    "an array cut short": zipped({"x.npy": npy(X)[:-8], "y.npy": npy(Y)}),
    "half of a file": npz(x=X, y=Y)[:300],
    "a pickle": b"\x80\x04\x95.",
    "text": b"hello",
}  # fmt: skip


def read(folder: Path, **arrays: Any) -> Source:
    (folder / "upload.npz").write_bytes(npz(**arrays))
    ingest(folder / "upload.npz", folder / "dataset", "npz")
    return open_source(folder / "dataset")


@pytest.mark.parametrize("name", CASES)
def test_the_report_of_arrays(name: str, tmp_path: Path) -> None:
    found = report_of(CASES[name], None, tmp_path, "npz")
    wanted = expected(REPORTS)[name]
    if name == "a damaged stream":  # zlib's own words
        assert found["reason"].startswith(wanted["reason"].partition("(")[0])
    else:
        assert found == wanted


def test_all_arrays_have_a_report() -> None:
    assert list(expected(REPORTS)) == list(CASES)


def batch(source: Source) -> np.ndarray[Any, Any]:
    return source.batch(np.arange(len(source)), Pipeline([]), None, tuple(source.report.shape or ())).numpy()


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "<i2", ">i4", "i8", "f2", ">f4", "f8", "g"])
def test_small_numbers_are_the_same_in_every_dtype(dtype: str, tmp_path: Path) -> None:
    x = (np.arange(3 * N).reshape(N, 3) % (2 if dtype == "?" else 5)).astype(dtype)
    np.testing.assert_array_equal(batch(read(tmp_path, x=np.asfortranarray(x), y=Y)), x.astype(np.float32))


def test_pixels_are_divided_by_255_and_moved(tmp_path: Path) -> None:
    x = PIXELS.reshape(N, 6, 5, 3)
    source = read(tmp_path, x=x, y=Y)
    seen = batch(source)
    np.testing.assert_array_equal(seen, np.moveaxis(x, -1, 1).astype(np.float32) / np.float32(255))
    np.testing.assert_allclose(source.report.mean, seen.mean(axis=(0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(source.report.std, seen.std(axis=(0, 2, 3)), rtol=1e-5)


def test_one_sample_is_as_it_is_in_a_batch(tmp_path: Path) -> None:
    source = read(tmp_path, x=PIXELS.reshape(N, 6, 5, 3), y=Y)
    np.testing.assert_array_equal(source.sample(3, Pipeline([])).numpy(), batch(source)[3])


def test_what_was_prepared_before_reports_had_a_scale_is_read_as_it_was(tmp_path: Path) -> None:
    source = read(tmp_path, x=PIXELS.reshape(N, 3, 6, 5), y=Y)
    before = batch(source)
    written = (tmp_path / "dataset" / "dataset.json").read_text()
    assert '"scale": 255.0, ' in written
    (tmp_path / "dataset" / "dataset.json").write_text(written.replace('"scale": 255.0, ', ""))
    np.testing.assert_array_equal(batch(open_source(tmp_path / "dataset")), before)


@pytest.mark.parametrize("y", [Y, Y + 1, Y * 2 - 1, Y[:, None], Y > 0, Y.astype(np.float32), np.eye(2)[Y], np.eye(2, dtype=np.int64)[Y]])
def test_two_classes_in_every_spelling(y: np.ndarray[Any, Any], tmp_path: Path) -> None:
    source = read(tmp_path, x=X, y=y)
    classes, numbers = source.targets_as("classes"), source.targets_as("numbers")
    assert classes is not None and classes.dtype == np.int64 and classes.tolist() == Y.tolist()
    assert numbers is not None and numbers.dtype == np.float32
    np.testing.assert_array_equal(numbers, y.reshape(N, -1))


def test_numbers_without_an_axis_get_one(tmp_path: Path) -> None:
    source = read(tmp_path, x=X, y=X[:, 0] / 3)
    numbers = source.targets_as("numbers")
    assert source.targets_as("classes") is None and numbers is not None
    np.testing.assert_array_equal(numbers, (X[:, 0] / 3)[:, None])


def test_maps_are_classes_and_numbers_with_a_channel(tmp_path: Path) -> None:
    masks = (np.arange(N * 30) % 2).reshape(N, 6, 5)
    source = read(tmp_path, x=PIXELS.reshape(N, 6, 5, 3), y=(masks * 255).astype(np.uint8)[..., None])
    classes, numbers = source.targets_as("classes"), source.targets_as("numbers")
    np.testing.assert_array_equal(classes, masks)
    np.testing.assert_array_equal(numbers, masks[:, None])


def test_splits_follow_each_other(tmp_path: Path) -> None:
    source = read(tmp_path, x_test=X[:5], y_test=Y[:5], x_train=X + 1, y_train=Y, X_VALID=X[:3] + 2, Y_VALID=Y[:3])
    assert {name: indices.tolist() for name, indices in source.splits.items()} == {
        "train": [*range(24)],
        "val": [24, 25, 26],
        "test": [*range(27, 32)],
    }
    np.testing.assert_array_equal(batch(source), np.concatenate([X + 1, X[:3] + 2, X[:5]]))


def test_two_classes_of_images_are_numbers_and_three_are_not(tmp_path: Path) -> None:
    """Readers of images write classes only."""
    source = read(tmp_path, x=X, y=Y)
    (tmp_path / "dataset" / "y_numbers.npy").unlink()
    numbers = source.targets_as("numbers")
    assert numbers is not None and numbers.tolist() == Y[:, None].tolist()
    source.report.classes = ["a", "b", "c"]
    assert source.targets_as("numbers") is None


def test_a_target_is_for_tables_and_a_layout_for_images(tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(npz(x=X, y=Y))
    with pytest.raises(Rejected, match="a target is a column of a table, got 'y'"):
        ingest(tmp_path / "upload", tmp_path / "dataset", "npz", options=Options(target="y"))
    (tmp_path / "upload").write_text("a,y\n1,0\n2,1\n")
    with pytest.raises(Rejected, match="the layouts of a table are table, text, plain, got 'flat'"):
        ingest(tmp_path / "upload", tmp_path / "dataset", "csv", options=Options(layout="flat"))


@pytest.mark.parametrize(
    ("form", "content"),
    [("npz", packed(x=np.tile(X, (20_000, 1)), y=np.tile(Y, 20_000))), ("csv", b"a,y\n" + b"1.5,0\n2,1\n" * 40_000)],
    ids=["npz", "csv"],
)
def test_progress_never_goes_back(form: str, content: bytes, tmp_path: Path) -> None:
    """It is also the sign of life of a validation: reading, converting and describing all give it."""
    (tmp_path / "upload").write_bytes(content)
    told: list[float] = []
    ingest(tmp_path / "upload", tmp_path / "dataset", form, lambda done, total: told.append(done / total))
    assert len(told) > 9 and told == sorted(told) and told[0] < 0.4 and 0.6 < told[-1] <= 1.1


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 700), st.integers(1, 40), st.sampled_from([npz(x=X, y=Y), packed(x=X, y=Y), packed(x=PIXELS.reshape(N, 3, 6, 5), y=Y)])
)
def test_damaged_files_are_rejected_at_once(begin: int, length: int, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        upload = Path(folder) / "upload"
        upload.write_bytes(damaged(content, begin, begin + length))
        try:
            ingest(upload, Path(folder) / "dataset", "npz")
        except Rejected as error:
            assert error.report.reason


shapes = st.sampled_from([(), (0,), (6,), (6, 1), (6, 3), (6, 4, 4), (6, 1, 4, 4), (6, 4, 4, 1), (6, 2, 4, 4), (6, 1, 1), (6, 0), (5, 2)])
kinds = st.sampled_from(["?", "u1", "i1", "u2", "i4", "i8", "u8", "f2", "f4", "f8", ">f8", ">u2", "g", "c8", "U3"])


@settings(max_examples=200, deadline=None)
@given(shapes, kinds, shapes, kinds, st.sampled_from([0, 1, 2, 200, 2**40, -1, 1e30, 0.5]), st.integers(1, 12))
def test_all_shapes_and_dtypes_are_read_or_rejected(
    x_shape: tuple[int, ...], x_kind: str, y_shape: tuple[int, ...], y_kind: str, step: float, distinct: int
) -> None:
    def filled(shape: tuple[int, ...], kind: str) -> np.ndarray[Any, Any]:
        with np.errstate(all="ignore"):
            return (np.arange(np.prod(shape, dtype=int)).reshape(shape) % distinct * step).astype(kind)

    x, y = filled(x_shape, x_kind), filled(y_shape, y_kind)
    with tempfile.TemporaryDirectory() as folder:
        report = report_of(npz(x=x, y=y), None, Path(folder), "npz")
        json.dumps(report, allow_nan=False)
        if "reason" in report:
            return
        source = open_source(Path(folder) / "dataset")
        assert len(source) == report["samples"] == len(x) and np.isfinite(batch(source)).all()
        classes, numbers = source.targets_as("classes"), source.targets_as("numbers")
        assert classes is not None or numbers is not None
        if numbers is not None:
            assert numbers.dtype == np.float32 and numbers.ndim > 1 and len(numbers) == len(y) and np.isfinite(numbers).all()
            np.testing.assert_array_equal(
                numbers.reshape(-1), y.astype(np.float32).reshape(-1) / (255 if "map of 0 and 255" in str(report) else 1)
            )
        if classes is not None:
            assert classes.dtype == np.int64 and len(classes) == len(y)
            if names := report.get("classes"):
                assert classes.min() >= 0 and classes.max() < len(names)


if __name__ == "__main__":
    write({name: (content, None) for name, content in CASES.items()}, "npz")
