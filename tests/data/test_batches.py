"""Batches of images: compiled code gives the bits of the transforms, images are decoded once, and a broken cache is noticed."""

from __future__ import annotations

import concurrent.futures
import fcntl
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine import train
from engine.data import ingest, open_source
from engine.data.batches import Pipeline, ahead
from engine.data.cache import PixelCache
from engine.data.compiled import Draws
from engine.data.source import Source
from engine.kernels.native import native
from engine.spec import check
from engine.vision import transforms

needs_kernels = pytest.mark.skipif(native() is None, reason="the compiled kernels are left out")
NORMALIZE = {"type": "Normalize", "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.1]}
ERASE = {"type": "RandomErasing", "p": 0.7}
FLIP, CROP = {"type": "RandomHorizontalFlip"}, {"type": "RandomCrop", "size": 11, "padding": 2}


def dataset(folder: Path, sizes: list[tuple[int, int]], n: int = 12, mode: str = "RGB") -> Source:
    """An uploaded ImageFolder of random pixels."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(folder / "upload", "w") as archive:
        for i in range(n):
            height, width = sizes[i % len(sizes)]
            pixels = rng.integers(0, 256, (height, width, 3) if mode == "RGB" else (height, width), np.uint8)
            Image.fromarray(pixels).save(folder / "one.png")
            archive.write(folder / "one.png", f"{'ab'[i % 2]}/{i}.png")
    ingest(folder / "upload", folder / "prepared", "imagefolder")
    return open_source(folder / "prepared")


@needs_kernels
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "spec",
    [
        [CROP, FLIP, NORMALIZE],
        [FLIP, {"type": "RandomVerticalFlip", "p": 0.3}, {"type": "ToTensor"}, NORMALIZE, NORMALIZE],
        [{"type": "Resize", "size": [9, 14]}, FLIP, {"type": "RandomCrop", "size": [8, 5]}],
        [{"type": "Pad", "padding": [1, 2, 3, 4], "fill": 200}, FLIP, {"type": "RandomCrop", "size": [17, 12]}],
        [{"type": "Resize", "size": [10, 10]}, {"type": "CenterCrop", "size": [13, 17]}, FLIP, CROP],
        [NORMALIZE, FLIP, {"type": "RandomCrop", "size": 7}],
        [{"type": "Grayscale"}, CROP],
        [FLIP, {"type": "RandAugment"}, CROP, NORMALIZE],
        [{"type": "Resize", "size": [9, 14]}, {"type": "TrivialAugmentWide"}, {"type": "Grayscale"}, FLIP],
        [{"type": "RandomResizedCrop", "size": 9}, FLIP, {"type": "AutoAugment", "policy": "cifar10", "fill": [9, 8, 7]}, NORMALIZE, ERASE],
        [CROP, {"type": "ToTensor"}, {**ERASE, "value": [7, 300.0, -2]}, ERASE],
        [{**ERASE, "value": 5}, NORMALIZE, {**ERASE, "value": [1, 2.5, -2], "p": 1.0}, NORMALIZE],
        [CROP, {**ERASE, "value": "random"}],
        [{"type": "AugMix"}, CROP, {**ERASE, "ratio": [0.01, 0.02]}],
    ],
)  # fmt: skip
def test_compiled_batches_have_the_bits_of_the_transforms(tmp_path: Path, spec: list[dict[str, Any]], training: bool) -> None:
    source, pipeline = dataset(tmp_path, [(13, 16)] if "Resize" not in str(spec) else [(13, 16), (21, 8), (12, 12)]), Pipeline(spec)
    for epoch in range(8):
        draws = Draws(seed=2**63 + 5, stream=2 << 56 | epoch << 32) if training else None
        order = np.random.default_rng(epoch).permutation(len(source))
        expected = np.stack([source.sample(int(i), pipeline, draws).numpy() for i in order])
        assert pipeline.compiled(training, expected.shape[1]) is not None or (not training and "fill" in str(spec))  # a second border
        np.testing.assert_array_equal(source.batch(order, pipeline, draws, expected.shape[1:]).numpy(), expected)


@pytest.mark.parametrize(
    "spec",
    [
        [NORMALIZE, {"type": "ColorJitter", "brightness": 0.5}, CROP],
        [NORMALIZE, CROP],
        [CROP, {"type": "Pad", "padding": 1, "fill": 3}],
        [ERASE, FLIP],
    ],
)
def test_other_transforms_run_sample_by_sample(tmp_path: Path, spec: list[dict[str, Any]]) -> None:
    source, pipeline = dataset(tmp_path, [(13, 16)]), Pipeline(spec)
    assert pipeline.compiled(True, 3) is None
    shape = source.sample(0, pipeline, Draws(1, 1)).shape
    x = source.batch(np.arange(12), pipeline, Draws(1, 1), tuple(shape))
    assert x.shape == (12, *shape)
    np.testing.assert_array_equal(x.numpy(), source.batch(np.arange(12), pipeline, Draws(1, 1), tuple(shape)).numpy())


def test_a_border_after_normalize_is_zero(tmp_path: Path) -> None:
    source, pipeline = dataset(tmp_path, [(13, 16)]), Pipeline([NORMALIZE, {"type": "CenterCrop", "size": [15, 16]}])
    x = source.batch(np.arange(3), pipeline, None, (3, 15, 16)).numpy()
    np.testing.assert_array_equal(x, np.stack([source.sample(i, pipeline).numpy() for i in range(3)]))
    assert not x[:, :, 0].any()


def test_nothing_is_random_without_draws(tmp_path: Path) -> None:
    source = dataset(tmp_path, [(16, 16)])
    for t in ({"type": "ColorJitter", "hue": 0.3}, {"type": "RandomRotation", "degrees": 40}, {"type": "RandomErasing", "p": 1.0}, FLIP):
        np.testing.assert_array_equal(source.sample(3, Pipeline([t])).numpy(), source.sample(3, Pipeline([])).numpy())
    cropped = source.sample(3, Pipeline([{"type": "RandomResizedCrop", "size": 8}]))
    np.testing.assert_array_equal(cropped.numpy(), source.sample(3, Pipeline([{"type": "Resize", "size": [8, 8]}])).numpy())


def test_center_crop_pads_what_is_smaller() -> None:
    image = transforms.ToTensor()(np.ones((3, 6), np.uint8) * 255)
    out = transforms.CenterCrop((6, 3))(image).numpy()[0]
    np.testing.assert_array_equal(out, [[0] * 3, [1] * 3, [1] * 3, [1] * 3, [0] * 3, [0] * 3])


@pytest.mark.parametrize("sizes", [[(13, 16)], [(13, 16), (20, 30)]])
def test_an_image_is_decoded_and_resized_once(tmp_path: Path, sizes: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    source, pipeline = dataset(tmp_path, sizes), Pipeline([{"type": "Resize", "size": [8, 8]}, FLIP])
    first = source.batch(np.arange(12), pipeline, None, (3, 8, 8)).numpy()
    monkeypatch.setattr(Source, "raw", lambda self, i: pytest.fail("decoded again"))
    for again in (source, open_source(tmp_path / "prepared")):
        np.testing.assert_array_equal(again.batch(np.arange(12), pipeline, None, (3, 8, 8)).numpy(), first)


def test_pixels_that_were_not_written_whole_are_not_used(tmp_path: Path) -> None:
    cache, image = PixelCache(tmp_path, 3, "k"), np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    for i in range(3):
        cache.put(i, image + np.uint8(i))
    file = next(tmp_path.glob("*.pixels"))
    data = bytearray(file.read_bytes())
    data[70] ^= 1  # in the second image
    file.write_bytes(data[:150])  # and the third one cut off
    again = PixelCache(tmp_path, 3, "k")
    np.testing.assert_array_equal(again.get(0), image)
    assert again.get(1) is None and again.get(2) is None
    again.put(1, image)
    np.testing.assert_array_equal(again.get(1), image)
    assert PixelCache(tmp_path, 3, "another key").get(0) is None
    file.write_bytes(b"")
    assert PixelCache(tmp_path, 3, "k").get(0) is None


def test_processes_add_one_after_the_other(tmp_path: Path) -> None:
    cache, image = PixelCache(tmp_path, 1, "k"), np.ones((1, 2, 2), np.uint8)
    with next(tmp_path.glob("*.pixels")).open("rb") as other, concurrent.futures.ThreadPoolExecutor(1) as pool:
        fcntl.flock(other, fcntl.LOCK_EX)
        adding = pool.submit(cache.put, 0, image)
        with pytest.raises(concurrent.futures.TimeoutError):
            adding.result(timeout=0.3)
        fcntl.flock(other, fcntl.LOCK_UN)
        adding.result(timeout=10)
    np.testing.assert_array_equal(cache.get(0), image)


_FILLER = """
import sys, numpy as np
from pathlib import Path
from engine.data.cache import PixelCache
cache = PixelCache(Path(sys.argv[1]), 400, "k")
for i in np.random.default_rng(int(sys.argv[2])).permutation(400):
    if cache.get(int(i)) is None:
        cache.put(int(i), np.full((3, 40, 40 + int(i) % 7), int(i) % 251, np.uint8))
    print(i, flush=True)
"""


def test_processes_fill_a_cache_together_and_may_be_killed(tmp_path: Path) -> None:
    fillers = [subprocess.Popen([sys.executable, "-c", _FILLER, str(tmp_path), str(i)], stdout=subprocess.PIPE) for i in range(3)]
    assert fillers[0].stdout
    for _ in range(100):
        fillers[0].stdout.readline()
    os.kill(fillers[0].pid, signal.SIGKILL)
    for filler in fillers:
        filler.communicate()
    assert [f.returncode for f in fillers] == [-signal.SIGKILL, 0, 0]
    cache = PixelCache(tmp_path, 400, "k")
    for i in range(400):
        np.testing.assert_array_equal(cache.get(i), np.full((3, 40, 40 + i % 7), i % 251, np.uint8))


def test_a_folder_that_cannot_be_written_to_needs_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, pipeline = dataset(tmp_path, [(13, 16), (9, 9)]), Pipeline([{"type": "Resize", "size": [8, 8]}])
    (tmp_path / "prepared" / "cache").write_text("in the way")
    assert source.batch(np.arange(12), pipeline, None, (3, 8, 8)).shape == (12, 3, 8, 8)


def test_batches_are_read_one_ahead_and_errors_arrive() -> None:
    read: list[int] = []

    def double(i: int) -> int:
        read.append(i)
        return 2 * i if i < 4 else 1 // 0

    doubled = ahead(double, range(6))
    assert next(doubled) == 0
    assert [next(doubled) for _ in range(3)] == [2, 4, 6]
    with pytest.raises(ZeroDivisionError):
        next(doubled)
    assert read == [0, 1, 2, 3, 4, 5]
    assert list(ahead(double, [])) == []


@needs_kernels
def test_a_job_has_the_same_bits_without_compiled_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = dataset(tmp_path, [(13, 16)])
    spec = check({
        "model": [{"type": "Flatten"}, {"type": "Linear", "out_features": 2}], "loss": {"type": "CrossEntropyLoss"}, "optimizer": {"type": "SGD", "lr": 0.01},
        "data": {"dataset": "d", "batch_size": 4, "transform": [CROP, FLIP, NORMALIZE]}, "epochs": 3,
    })  # fmt: skip
    history = [[r.values for r in train.Run(spec, source) if isinstance(r, train.Metrics)]]
    monkeypatch.setattr(Pipeline, "compiled", lambda *_: None)
    history.append([r.values for r in train.Run(spec, source) if isinstance(r, train.Metrics)])
    assert history[0] == history[1]
