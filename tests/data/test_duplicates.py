"""Images that stand in an upload twice: as the same pixels, or as nearly the same picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from engine.data import ingest
from engine.data.images.duplicates import find_duplicates
from engine.data.images.measures import measure
from tests.data.archives import saved, zipped


def scene(seed: int, side: int = 96) -> Image.Image:
    """A smooth picture with some detail, as photographs have."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 7, 3), np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    fine = rng.integers(-9, 10, (side, side, 3))
    return Image.fromarray(np.clip(np.asarray(coarse) + fine, 0, 255).astype(np.uint8))


def as_jpeg(image: Image.Image) -> Image.Image:
    return Image.open(io.BytesIO(saved(image, "JPEG", quality=70)))


COPIES: dict[str, Any] = {
    "saved as JPEG": as_jpeg,
    "half the size": lambda image: image.resize((48, 48), Image.Resampling.BILINEAR),
    "half as large again": lambda image: image.resize((144, 144), Image.Resampling.BICUBIC),
    "a little blurred": lambda image: image.filter(ImageFilter.GaussianBlur(1)),
    "grey": lambda image: image.convert("L"),
}


@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_found_among_others(copy: str, tmp_path: Path) -> None:
    scenes = [scene(i) for i in range(40)]
    files = {f"train/{'ab'[i % 2]}/{i:02}.png": saved(s) for i, s in enumerate(scenes)}
    files |= {f"val/b/{i:02}.png": saved(COPIES[copy](scenes[i])) for i in range(8)}
    report = ingest(zipped(tmp_path / "upload.zip", {**files}), tmp_path / "data", "imagefolder")
    found = report.duplicates
    assert found is not None
    assert [g["files"] for g in found["groups"]] == sorted([f"train/{'ab'[i % 2]}/{i:02}.png", f"val/b/{i:02}.png"] for i in range(8))
    assert (found["exact"], found["near"], found["across_splits"], found["across_classes"]) == (0, 8, 8, 4)
    assert report.warnings[-2:] == [
        "8 groups of duplicates over several splits: held-out results will be too good",
        "4 groups of duplicates over several classes: some of their labels must be wrong",
    ]


@pytest.mark.parametrize("more", [{}, {"b/x.png": saved(scene(99, 50))}], ids=["one size", "several sizes"])
def test_the_same_pixels_are_exact_duplicates_whatever_the_file(more: dict[str, bytes], tmp_path: Path) -> None:
    one, other = scene(1), scene(2)
    files = {"a/1.png": saved(one), "a/2.bmp": saved(one, "BMP"), "b/3.png": saved(one, compress_level=0), "b/4.png": saved(other)}
    found = ingest(zipped(tmp_path / "upload.zip", {**files, **more}), tmp_path / "data", "imagefolder").duplicates
    assert found == {
        "exact": 2, "near": 0, "across_splits": 0, "across_classes": 1,
        "groups": [{"kind": "exact", "files": ["a/1.png", "a/2.bmp", "b/3.png"], "across_splits": False, "across_classes": True}],
    }  # fmt: skip


def duplicates(images: list[np.ndarray[Any, Any]]) -> dict[str, Any]:
    thumbnails = b"".join(m.thumbnail for m in measure(images))
    n = len(images)
    return find_duplicates(
        [str(i) for i in range(n)], thumbnails, [i.shape for i in images], lambda i: images[i].tobytes(), ["a"] * n, [None] * n
    )


def test_one_pixel_less_is_no_exact_duplicate() -> None:
    one = np.asarray(scene(1)).transpose(2, 0, 1).copy()
    other = one.copy()
    other[0, 50, 50] += 1
    found = duplicates([one, other, one])
    assert {g["kind"]: g["files"] for g in found["groups"]} == {"exact": ["0", "2"], "near": ["0", "1"]}


def thumbnail(rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Levels whose rows begin with two that are nearly the same."""
    levels = rng.integers(0, 256, (8, 9), np.uint8)
    levels[:, 0], levels[:, 1] = 99, 100
    return levels


@pytest.mark.parametrize("rows", [(0,), (2,), (6,), (0, 2, 4), (2, 4, 6), (0, 4, 6)])
def test_hashes_may_differ_anywhere(rows: tuple[int, ...]) -> None:
    """Where only one of the four parts of two hashes is the same, and others that are the same there lie between them."""
    rng = np.random.default_rng(5)
    one = thumbnail(rng)
    other = one.copy()
    other[list(rows), 1] = 98
    between = [thumbnail(rng) for _ in range(5)]
    for levels in between:
        levels[[r for r in (0, 1, 2, 3, 4, 5, 6, 7) if r // 2 * 2 not in rows]] = one[[r for r in range(8) if r // 2 * 2 not in rows]]
    small = [thumbnail(rng) for _ in range(500)] + [one, *(between if len(rows) == 3 else []), other]
    n = len(small)
    found = find_duplicates(
        [str(i) for i in range(n)], b"".join(t.tobytes() for t in small), [(1, 8, 9)] * n, lambda i: b"", ["a"] * n, [None] * n
    )
    assert [g["files"] for g in found["groups"]] == [["500", str(n - 1)]]


def test_plain_and_noisy_images_are_not_taken_for_copies() -> None:
    rng = np.random.default_rng(0)
    plain = [np.full((1, 20, 20), level, np.uint8) for level in range(100, 110)]
    noisy = [rng.integers(0, 256, (1, 28, 28), np.uint8) for _ in range(3000)]
    found = duplicates(plain + noisy)
    assert (found["exact"], found["near"]) == (0, 0)


def test_many_groups_are_counted_and_some_are_named() -> None:
    images = [np.asarray(scene(i % 150, 32)).transpose(2, 0, 1).copy() for i in range(450)] + [np.zeros((3, 32, 32), np.uint8)] * 30
    found = duplicates(images)
    assert found["exact"] == 300 + 29 and len(found["groups"]) == 100 and found["groups"][0]["files"] == ["0", "150", "300"]
    assert max(len(g["files"]) for g in duplicates(images[450:])["groups"]) == 10


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 96, 40), (3, 300, 301), (1, 1, 1), (1, 5, 200)])
def test_measures_are_those_of_each_image_alone(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, shape, np.uint8) for _ in range(5)] + [np.full(shape, 255, np.uint8), np.zeros((1, 3, 4), np.uint8)]
    for image, found in zip(images, measure(images), strict=True):
        flat = image.reshape(len(image), -1).astype(np.int64)
        assert found.sums == np.stack([flat.sum(1), (flat**2).sum(1)], 1).tolist()
        assert found == measure([image])[0] and len(found.thumbnail) == 72
        assert abs(np.frombuffer(found.thumbnail, np.uint8).mean() - image.mean()) < 30
    wide = np.arange(256, dtype=np.uint8)[None, None].repeat(8, 1)
    levels = np.frombuffer(measure([wide])[0].thumbnail, np.uint8).reshape(8, 9)
    assert (np.diff(levels.astype(int)) > 20).all() and (levels == levels[0]).all()
