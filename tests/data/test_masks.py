"""Images with masks: what is recognised, masks that follow their images, and jobs on them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.data import Options, Rejected, ingest, open_source
from engine.data.batches import Pipeline
from engine.data.compiled import Draws
from engine.data.images.masked import MaskSource
from engine.data.images.masks import Masks
from engine.data.source import Source
from engine.data.views import as_read
from engine.spec import SpecError, check
from tests.train.jobs import job, points

RNG = np.random.default_rng(0)
Pixels = np.ndarray[Any, Any]


def png(pixels: Pixels, mode: str | None = None) -> bytes:
    out = io.BytesIO()
    image = Image.fromarray(pixels)
    if mode == "P":
        image = Image.fromarray(pixels, "L")
        image.putpalette(bytes(RNG.integers(0, 256, 768, np.uint8)))
        assert image.mode == "P"
    image.save(out, "PNG")
    return out.getvalue()


def squares(n: int = 12, size: int = 16, classes: int = 3) -> list[tuple[Pixels, Pixels]]:
    """Images of one bright square each, whose channel is its class, and their masks."""
    found = []
    for i in range(n):
        image, mask = RNG.integers(0, 60, (size, size, 3), np.uint8), np.zeros((size, size), np.uint8)
        top, left = RNG.integers(0, size // 2, 2)
        kind = i % (classes - 1)
        image[top : top + size // 2, left : left + size // 2, kind] += 180
        mask[top : top + size // 2, left : left + size // 2] = kind + 1
        found.append((image, mask))
    return found


def read(files: dict[str, bytes], folder: Path, **options: Any) -> Source:
    with zipfile.ZipFile(folder / "upload", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    ingest(folder / "upload", folder / "dataset", "imagefolder", options=Options(**options))
    return open_source(folder / "dataset")


def files(
    pairs: list[tuple[Pixels, Pixels]], images: str = "images/{}.png", masks: str = "masks/{}.png", mode: str | None = None
) -> dict[str, bytes]:
    return {k: v for i, (x, y) in enumerate(pairs) for k, v in ((images.format(i), png(x)), (masks.format(i), png(y, mode)))}


def viewed(source: Source, *transform: dict[str, Any]) -> MaskSource:
    spec = check({
        "model": [{"type": "Conv2d", "out_channels": 3, "kernel_size": 1}], "loss": {"type": "CrossEntropyLoss"}, "optimizer": {"type": "SGD", "lr": 0.1},
        "data": {"dataset": "d", "transform": list(transform)},
    })  # fmt: skip
    found = as_read(source, spec)
    assert isinstance(found, MaskSource)
    return found


@pytest.mark.parametrize("mode", [None, "P"])
@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("images/{}.png", "masks/{}.png"),
        ("data/JPEGImages/{}.png", "data/SegmentationClass/{}.png"),
        ("set/img/{}.png", "set/gt/{}_mask.png"),
    ],
)
def test_the_report_of_masks(images: str, masks: str, mode: str | None, tmp_path: Path) -> None:
    pairs = squares()
    report = read(files(pairs, images, masks, mode), tmp_path).report
    every = np.stack([y for _, y in pairs])
    assert {k: v for k, v in report.as_dict().items() if v not in (None, [], {}, 0) and k not in ("mean", "std")} == {
        "format": "imagefolder", "layout": "masks", "samples": 12, "shape": [3, 16, 16], "channels": 3, "classes": ["0", "1", "2"],
        "counts": {"0": 12, "1": 6, "2": 6}, "target": {"name": "class", "chosen": "masks beside the images, of the same names", "kinds": ["classes", "numbers"]},
        "masks": {"shares": {str(c): round(float((every == c).mean()), 6) for c in range(3)}},
    }  # fmt: skip
    assert [np.array_equal(a, b) for a, b in zip(Masks(tmp_path / "dataset"), sorted_by_name(pairs), strict=True)] == [True] * 12


def sorted_by_name(pairs: list[tuple[Pixels, Pixels]]) -> list[Pixels]:
    return [pairs[i][1] for i in sorted(range(len(pairs)), key=str)]


@pytest.mark.parametrize(
    ("values", "classes", "stored", "converted", "warned"),
    [
        ((0, 255), ["0", "255"], (0, 1), "the values 0, 255 became the classes 0 to 1", ""),
        ((0, 1, 255), ["0", "1"], (0, 1, 255), "", "ignore_index 255"),
        ((0, 128, 255), ["0", "128", "255"], (0, 1, 2), "0, 128, 255 became the classes 0 to 2", ""),
        ((1, 2, 4), ["0", "1", "2", "3", "4"], (1, 2, 4), "", "no pixel of class 0, 3"),
    ],
)
def test_values_become_classes(
    values: tuple[int, ...], classes: list[str], stored: tuple[int, ...], converted: str, warned: str, tmp_path: Path
) -> None:
    mask = np.resize(np.array(values, np.uint8), (6, 6))
    source = read(files([(RNG.integers(0, 256, (6, 6), np.uint8), mask)] * 3), tmp_path)
    assert source.report.classes == classes and converted in str(source.report.converted) and warned in str(source.report.warnings)
    assert tuple(np.unique(Masks(tmp_path / "dataset")[0])) == stored


def test_splits_and_what_stands_by_itself(tmp_path: Path) -> None:
    pairs = squares(6)
    content = files(pairs[:4], "train/images/{}.png", "train/masks/{}.png") | files(pairs[4:], "val/images/{}.png", "val/masks/{}.png")
    content |= {
        "train/images/lonely.png": png(pairs[0][0]),
        "val/masks/x.png": png(pairs[0][1]),
        "notes.txt": b"x",
        "train/images/bad.png": b"x",
    }
    content |= {"train/masks/bad.png": png(pairs[0][1]), "train/images/c.png": png(pairs[0][0]), "train/masks/c.png": png(pairs[0][0])}
    content |= {"train/images/d.png": png(pairs[0][0]), "train/masks/d.png": png(pairs[0][1][:8])}
    source = read(content, tmp_path)
    assert {k: len(v) for k, v in source.splits.items()} == {"train": 4, "val": 2} and source.report.splits == {"train": 4, "val": 2}
    refused = {r["file"]: r["reason"] for r in source.report.refused}
    assert refused.keys() == {
        "train/images/lonely.png",
        "val/masks/x.png",
        "notes.txt",
        "train/images/bad.png",
        "train/masks/c.png",
        "train/masks/d.png",
    }
    assert "coloured mask" in refused["train/masks/c.png"] and refused["train/masks/d.png"] == "a mask of 8x16 for an image of 16x16"


def test_folders_called_so_can_be_classes(tmp_path: Path) -> None:
    content = files(squares(4))
    assert read(content, tmp_path, layout="class_folders").report.classes == ["images", "masks"]
    with pytest.raises(Rejected, match="expected images at images"):
        read({"a/1.png": png(RNG.integers(0, 9, (4, 4), np.uint8))}, tmp_path, layout="masks")


FLIP, CROP = {"type": "RandomHorizontalFlip"}, {"type": "RandomCrop", "size": [10, 12], "padding": 3}


@pytest.mark.parametrize(
    "transform",
    [
        [FLIP, CROP],
        [{"type": "Resize", "size": [24, 20]}, {"type": "RandomVerticalFlip"}, {"type": "Pad", "padding": 2, "fill": 9}, {"type": "CenterCrop", "size": 30}],
        [{"type": "ColorJitter", "brightness": 0.0, "hue": 0.0}, FLIP, {"type": "RandomErasing", "p": 1.0, "value": "random", "scale": [0.01, 0.02]}, CROP],
        [{"type": "RandomResizedCrop", "size": [9, 9]}, {"type": "RandomErasing", "scale": [0.0, 0.0]}],
        [{"type": "RandomPerspective", "p": 1.0, "interpolation": "nearest"}],
        [{"type": "RandomRotation", "degrees": 60.0, "fill": 7}, {"type": "RandomAffine", "degrees": 0.0, "translate": [0.2, 0.2], "shear": 9.0}],
        [{"type": "Grayscale"}, {"type": "RandomErasing", "value": "random", "scale": [0.01, 0.02]}, FLIP, {"type": "Normalize", "mean": [0.0], "std": [1.0]}, FLIP],
    ],
)  # fmt: skip
def test_masks_follow_their_images(transform: list[dict[str, Any]], tmp_path: Path) -> None:
    """The image is its mask with a value for each class, so that what the transforms make of it must say the same as the mask."""
    values = np.array([0, 100, 200], np.uint8)
    pairs = [(values[y], y) for _, y in squares(8)]
    source = viewed(read(files(pairs), tmp_path), *transform)
    shape = tuple(source.sample(0, Pipeline(transform)).shape)
    for draws in (None, Draws(3, 5 << 56), Draws(3, 5 << 56 | 1 << 32)):
        indices = np.arange(8)
        x = source.batch(indices, Pipeline(transform), draws, shape).numpy()[:, 0]
        y = source.targets_of(source.targets, indices, draws)
        assert y.shape == x.shape and y.dtype == np.int64
        said = np.array([0, 100, 200]) / 255
        known = np.abs(x[..., None] - said).min(-1) < 1e-3  # not what is erased, filled or blended
        assert known.mean() > 0.5
        agree = (np.abs(x[..., None] - said).argmin(-1) == y)[known].mean()
        assert agree > (0.97 if any(t["type"] in ("Resize", "RandomResizedCrop", "RandomErasing") for t in transform) else 0.9999)
    if draws is not None:
        assert not np.array_equal(y, source.targets_of(source.targets, indices, Draws(4, 5 << 56)))


def test_operations_of_colour_leave_masks_alone(tmp_path: Path) -> None:
    values = np.array([0, 100, 200], np.uint8)
    pairs = [(values[y], y) for _, y in squares(6)]
    source = viewed(read(files(pairs), tmp_path), {"type": "TrivialAugmentWide"})
    for epoch in range(8):
        y = source.targets_of(source.targets, np.arange(6), Draws(0, epoch << 32))
        assert set(np.unique(y)) <= {0, 1, 2}
    assert (y != source.targets).any()


NET: list[dict[str, Any]] = [
    {"type": "Conv2d", "out_channels": 8, "kernel_size": 3, "padding": 1},
    {"type": "ReLU"},
    {"type": "Conv2d", "out_channels": 3, "kernel_size": 1},
]


def test_a_job_on_masks_learns(tmp_path: Path) -> None:
    source = read(files(squares(40)), tmp_path)
    data = {"batch_size": 8, "transform": [FLIP, {"type": "RandomCrop", "size": 12}]}
    run = job(source, model=NET, data=data, epochs=12, metrics=["iou", "accuracy"], optimizer={"type": "Adam", "lr": 0.02})
    last = points(run, "val")[-1].values
    assert last["iou"] > 0.8 and last["accuracy"] > 0.9


@pytest.mark.parametrize(
    ("loss", "classes", "outputs"), [("BCEWithLogitsLoss", 2, 1), ("BCEWithLogitsLoss", 3, 3), ("SoftMarginLoss", 2, 1), ("MSELoss", 3, 1)]
)
def test_losses_of_numbers_read_masks_alike_in_training_and_evaluation(loss: str, classes: int, outputs: int, tmp_path: Path) -> None:
    source = read(files(squares(8, classes=classes)), tmp_path)
    run = job(
        source,
        loss,
        [{"type": "Conv2d", "out_channels": outputs, "kernel_size": 1}],
        data={"transform": [{"type": "RandomHorizontalFlip", "p": 1.0}]},
    )
    assert len(points(run)) > 0 and run._job is not None
    indices = np.arange(8)
    (_, [y], [held]), (_, [plain], [kept]) = next(run._job.batches.training(indices, 1)), next(run._job.batches.plain(indices, 8))
    assert held.shape == kept.shape == (8, outputs, 16, 16) and held.dtype == kept.dtype == np.float32 and y.shape == plain.shape
    assert {tuple(m.ravel()) for m in held[..., ::-1]} == {tuple(m.ravel()) for m in kept}


def test_images_of_several_sizes_and_void_pixels(tmp_path: Path) -> None:
    pairs = squares(8) + squares(8, size=20)
    for _, y in pairs:
        y[0] = 255
    source = read(files(pairs), tmp_path)
    loss = {"type": "CrossEntropyLoss", "ignore_index": 255}
    run = job(source, loss, NET, data={"transform": [{"type": "Resize", "size": [16, 16]}, FLIP]}, metrics=["iou"], epochs=2)
    assert all(np.isfinite(p.values["loss"]) for p in points(run))
    with pytest.raises(SpecError, match="several sizes"):
        job(source, loss, NET)


@pytest.mark.parametrize(
    ("changes", "at", "said"),
    [
        ({"data": {"transform": [{"type": "AugMix"}]}}, "/data/transform", "AugMix mixes several pictures"),
        ({"model": [{"type": "Flatten"}, {"type": "Linear", "out_features": 3}]}, "/model/1", "outputs of shape Cx16x16"),
        ({"data": {"mix": [{"type": "CutMix"}]}}, "/data/mix", "one class a sample"),
        ({"model": [{"type": "Conv2d", "out_channels": 2, "kernel_size": 1}]}, "/model/0", "expected at least 3 outputs"),
    ],
)
def test_what_does_not_fit_masks(changes: dict[str, Any], at: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as error:
        job(read(files(squares()), tmp_path), **{"model": NET, **changes})
    assert [(p.pointer, said in p.detail) for p in error.value.problems] == [(at, True)], error.value.problems
