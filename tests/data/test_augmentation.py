"""Augmentation as torchvision documents it: spaces of operations, erasing, mixtures of batches."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import engine
from engine.data.mixing import Mixing
from engine.ops.random import manual_seed
from engine.spec import SpecError
from engine.train import Metrics
from engine.vision import transforms as T
from engine.vision.transforms import automatic
from engine.vision.transforms.perspective import coefficients
from engine.vision.transforms.policies import POLICIES
from tests.data.prepared import prepared
from tests.train.jobs import job, points

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 50, 3), np.uint8)
IMAGE = Image.fromarray(PIXELS)


def operated(monkeypatch: pytest.MonkeyPatch, transform: Any, n: int = 400) -> dict[str, set[float]]:
    """The magnitudes of each operation that a transform applies in ``n`` draws."""
    found: dict[str, set[float]] = {}

    def note(image: Any, name: str, magnitude: float, interpolation: str, fill: Any) -> Any:
        found.setdefault(name, set()).add(round(float(magnitude), 6))
        return image

    monkeypatch.setattr(automatic, "apply_operation", note)
    manual_seed(0)
    for _ in range(n):
        transform(IMAGE)
    return found


def test_randaugment_takes_one_magnitude_of_each_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    both = lambda x: {-round(x, 6), round(x, 6)}  # noqa: E731
    assert operated(monkeypatch, T.RandAugment()) == {
        "Identity": {0}, "ShearX": both(0.09), "ShearY": both(0.09), "TranslateX": both(150 / 331 * 50 * 0.3), "TranslateY": both(150 / 331 * 40 * 0.3),
        "Rotate": both(9), "Brightness": both(0.27), "Color": both(0.27), "Contrast": both(0.27), "Sharpness": both(0.27), "Posterize": {7}, "Solarize": {178.5},
        "AutoContrast": {0}, "Equalize": {0},
    }  # fmt: skip
    assert operated(monkeypatch, T.RandAugment(magnitude=30))["Posterize"] == {4}


def test_trivialaugment_takes_any_magnitude(monkeypatch: pytest.MonkeyPatch) -> None:
    found = operated(monkeypatch, T.TrivialAugmentWide(), 1000)
    assert len(found) == 14 and "Invert" not in found and found["Posterize"] <= {2, 3, 4, 5, 6, 7, 8}
    for name, most in {"Rotate": 135, "ShearX": 0.99, "TranslateY": 32, "Brightness": 0.99}.items():
        grid = {round(float(m), 6) for m in np.linspace(0, most, 31)}
        assert {abs(m) for m in found[name]} <= grid and len(found[name]) > 20 and min(found[name]) < 0 < max(found[name])
    assert found["Solarize"] <= {round(float(m), 6) for m in np.linspace(0, 255, 31)}


@pytest.mark.parametrize("policy", POLICIES)
def test_autoaugment_applies_the_pairs_of_its_policy(policy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = POLICIES[policy]
    assert len(pairs) == 25 and all(len(pair) == 2 for pair in pairs)
    found = operated(monkeypatch, T.AutoAugment(policy), 500)
    assert set(found) == {name for pair in pairs for name, p, _ in pair if p > 0}
    assert {name for name, _, number in sum(pairs, ()) if number is None} <= {"AutoContrast", "Equalize", "Invert"}
    numbers = {number for name, p, number in sum(pairs, ()) if name == "Solarize" and p > 0}
    assert found["Solarize"] == {round(255 - 255 / 9 * n, 6) for n in numbers if n is not None}


def test_operations_move_and_change_pixels_as_they_say() -> None:
    def applied(name: str, magnitude: float, fill: Any = None) -> Any:
        return np.asarray(automatic.apply_operation(IMAGE, name, magnitude, "nearest", fill))

    np.testing.assert_array_equal(applied("TranslateX", 3.9)[:, 3:], PIXELS[:, :-3])
    np.testing.assert_array_equal(applied("TranslateY", -4, (1, 2, 3))[-4:], np.broadcast_to([1, 2, 3], (4, 50, 3)))
    sheared = applied("ShearX", 0.5)
    for row in (1, 21):  # half a pixel for each row, from the top
        shift = math.floor(0.5 + (row + 0.5) * 0.5)  # from the middles of pixels
        np.testing.assert_array_equal(sheared[row, : 50 - shift - 1], PIXELS[row, shift : 50 - 1])
    np.testing.assert_array_equal(applied("ShearY", 0.0), PIXELS)
    np.testing.assert_array_equal(applied("Posterize", 2), PIXELS & 0b11000000)
    np.testing.assert_array_equal(applied("Solarize", 178.5), np.where(PIXELS < 178.5, PIXELS, 255 - PIXELS))
    np.testing.assert_array_equal(applied("Invert", 0), 255 - PIXELS)
    np.testing.assert_array_equal(applied("Brightness", -0.5), (PIXELS * 0.5).astype(np.uint8))
    np.testing.assert_array_equal(applied("Rotate", 180), PIXELS[::-1, ::-1])
    assert len(np.unique(applied("Color", -1.0).reshape(-1, 3).std(1))) == 1


def test_a_perspective_takes_corners_to_their_places() -> None:
    manual_seed(1)
    transform = T.RandomPerspective(0.6, 1.0)
    for _ in range(20):
        start, end = transform.corners(40, 50)
        a, b, c, d, e, f, g, h = coefficients(start, end)
        for (u, v), (x, y) in zip(start, end, strict=True):
            assert 0 <= x < 50 and 0 <= y < 40 and abs(x - u) <= 15 and abs(y - v) <= 12
            np.testing.assert_allclose(
                [(a * x + b * y + c) / (g * x + h * y + 1), (d * x + e * y + f) / (g * x + h * y + 1)], [u, v], atol=1e-6
            )
    assert np.array_equal(np.asarray(T.RandomPerspective(0.0, 1.0, "nearest")(IMAGE)), PIXELS)


def test_augmix_stays_near_the_image() -> None:
    manual_seed(0)
    smooth = Image.fromarray(np.full((20, 20, 3), 100, np.uint8))
    mixed = [np.asarray(T.AugMix(severity=1, all_ops=False)(smooth), int)[6:14, 6:14] for _ in range(20)]
    assert max(abs(m - 100).max() for m in mixed) <= 160 and min(abs(m - 100).max() for m in mixed) <= 1
    x = T.AugMix(mixture_width=1, chain_depth=2)(engine.tensor(PIXELS.transpose(2, 0, 1).copy()))
    assert x.shape == (3, 40, 50) and x.dtype is engine.uint8


def test_erasing_has_the_shares_and_ratios_it_says() -> None:
    manual_seed(0)
    erase, shares, ratios = T.RandomErasing(scale=(0.1, 0.2), ratio=(0.5, 2.0), value=(1, 2, 3)), [], []
    for _ in range(300):
        y = erase(engine.zeros(3, 60, 80)).numpy()
        if y.any():
            rows, columns = np.flatnonzero(y[0].any(1)), np.flatnonzero(y[0].any(0))
            assert (y[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] == np.array([1, 2, 3])[:, None, None]).all()
            shares.append((y[0] > 0).mean())
            ratios.append(len(rows) / len(columns))
    assert 0.4 < len(shares) / 300 < 0.6
    assert 0.095 < min(shares) < 0.11 and 0.19 < max(shares) < 0.205 and 0.45 < min(ratios) < 0.6 and 1.7 < max(ratios) < 2.2
    x = engine.zeros(1, 9, 9)
    assert T.RandomErasing(1.0, value=1, inplace=True)(x) is x and x.numpy().any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: T.RandAugment(magnitude=31), "from 0 to num_magnitude_bins - 1 = 30, got 31"),
        (lambda: T.TrivialAugmentWide(num_magnitude_bins=1), "at least 2"),
        (lambda: T.AutoAugment("mnist"), "imagenet, cifar10, svhn"),  # type: ignore[arg-type]
        (lambda: T.RandomPerspective(1.5), "between 0 and 1, got 1.5"),
        (lambda: T.AugMix(severity=11), "between 1 and 10, got 11"),
        (lambda: T.RandAugment(fill=(1, 2))(IMAGE), "each of the 3 channels"),
        (lambda: T.RandomErasing(1.0, value=(1, 2))(engine.zeros(3, 9, 9)), "each of the 3 channels"),
        (lambda: T.RandomErasing(scale=(0.5, 2.0)), "between 0 and 1"),
        (lambda: T.MixUp(alpha=0.0), "alpha must be positive, got 0.0"),
        (lambda: T.CutMix(num_classes=2)(engine.zeros(2, 3), engine.tensor([0, 1])), "at least 4 dimensions"),
        (lambda: T.MixUp()(engine.zeros(2, 3), engine.tensor([0, 1])), "num_classes"),
    ],
)
def test_wrong_arguments_are_named(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


# -- mixtures


def test_mixtures_have_torchvisions_formulas() -> None:
    x, y = engine.tensor(RNG.random((5, 3, 8, 10)).astype(np.float32)), engine.tensor([0, 2, 1, 1, 0])
    hot = np.eye(3, dtype=np.float32)[y.numpy()]
    manual_seed(3)
    share = T.MixUp().draw((5, 3, 8, 10)).share
    manual_seed(3)
    mixed, shares = T.MixUp(num_classes=3)(x, y)
    np.testing.assert_array_equal(mixed.numpy(), x.numpy() * np.float32(share) + np.roll(x.numpy(), 1, 0) * np.float32(1 - share))
    np.testing.assert_allclose(shares.numpy(), hot * share + np.roll(hot, 1, 0) * (1 - share), atol=1e-7)
    cut, shares = T.CutMix(num_classes=3)(x, y)
    other = cut.numpy() != x.numpy()
    np.testing.assert_array_equal(cut.numpy(), np.where(other, np.roll(x.numpy(), 1, 0), x.numpy()))
    assert 0 < other.mean() < 1
    np.testing.assert_allclose(shares.numpy()[1, 0], other.mean(), atol=1e-6)
    np.testing.assert_allclose(shares.numpy().sum(1), 1, atol=1e-6)


def test_shares_are_drawn_from_the_beta_distribution() -> None:
    manual_seed(0)
    shares = np.array([T.MixUp(alpha=0.4).draw((2, 2)).share for _ in range(800)])
    assert abs(shares.mean() - 0.5) < 0.04 and abs(shares.var() - 1 / (4 * (2 * 0.4 + 1))) < 0.01
    boxes = [T.CutMix().draw((2, 1, 30, 20)) for _ in range(50)]
    for share, box in boxes:
        assert box is not None
        assert share == 1 - (box[2] - box[0]) * (box[3] - box[1]) / 600 and 0 <= box[0] <= box[2] <= 30 and 0 <= box[1] <= box[3] <= 20


def test_a_batch_is_mixed_by_its_place_alone() -> None:
    spec = {"seed": 5, "data": {"mix": [{"type": "MixUp", "alpha": 1.0}, {"type": "CutMix", "alpha": 1.0}]}}
    given, y = RNG.random((4, 1, 30, 30)).astype(np.float32), np.array([0, 1, 1, 0])
    results = []
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        mixed = {}
        for number in order:
            x = given.copy()
            mixed[number] = x, Mixing(spec, 5, 2)(x, y, 7, number)
        results.append([mixed[number] for number in range(4)])
    for (x, shares), (again, same) in zip(*results, strict=True):
        np.testing.assert_array_equal(x, again)
        np.testing.assert_array_equal(shares, same)
    assert len({shares[1, 0] for _, shares in results[0]}) == 4


def images(folder: Path, n: int = 48) -> Any:
    """Two classes of 8x8 pixels: bright above, or bright below."""
    y = np.arange(n) % 2
    x = RNG.random((n, 1, 8, 8)).astype(np.float32) * 0.5
    for i in range(n):
        x[i, 0, 4 * y[i] : 4 * y[i] + 4] += 0.5
    return prepared(folder, x, y, classes=["above", "below"])


MIXED = {"mix": [{"type": "MixUp", "alpha": 0.4}, {"type": "CutMix"}], "batch_size": 8}
NET: list[dict[str, Any]] = [{"type": "Flatten"}, {"type": "Linear", "out_features": 2}]


@pytest.mark.parametrize(
    "changes", [{}, {"gradient_accumulation": 2}, {"loss": {"type": "CrossEntropyLoss", "weight": [1.0, 3.0], "label_smoothing": 0.1}}]
)
def test_a_job_on_mixed_batches_learns(tmp_path: Path, changes: dict[str, Any]) -> None:
    run = job(images(tmp_path), model=NET, data=MIXED, epochs=12, metrics=["accuracy"], optimizer={"type": "Adam", "lr": 0.03}, **changes)
    history = points(run)
    assert [p for p in history if p.split == "val"][-1].values["accuracy"] == 1
    plain = points(job(images(tmp_path), model=NET, data={"batch_size": 8}, epochs=1, **changes))
    assert plain[0].values["loss"] != history[0].values["loss"]


def test_mixed_runs_repeat_and_resume_bit_for_bit(tmp_path: Path) -> None:
    source = images(tmp_path)
    whole = [(p.step, p.values) for p in points(job(source, model=NET, data=MIXED))]
    run, first = job(source, model=NET, data=MIXED), []
    for record in run:
        if isinstance(record, Metrics):
            first.append((record.step, record.values))
        if len(first) == 7:
            break
    rest = job(source, model=NET, data=MIXED)
    rest.restore(run.state())
    assert first + [(p.step, p.values) for p in points(rest)] == whole


def test_numbers_are_mixed_as_they_are(tmp_path: Path) -> None:
    x = RNG.normal(size=(64, 3)).astype(np.float32)
    source = prepared(tmp_path, x, (x @ [1.0, -2.0, 0.5])[:, None].astype(np.float32))
    run = job(
        source,
        "MSELoss",
        [{"type": "Linear", "out_features": 1}],
        data={"mix": [{"type": "MixUp"}]},
        epochs=40,
        optimizer={"type": "SGD", "lr": 0.1},
    )
    assert points(run, "val")[-1].values["loss"] < 1e-3  # mixtures of a linear function lie on it


@pytest.mark.parametrize(
    ("changes", "at", "said"),
    [
        ({"data": {"mix": [{"type": "Mixup"}]}}, "/data/mix/0/type", "did you mean 'MixUp'"),
        ({"data": {"mix": [{"type": "MixUp", "alpha": -1.0}]}}, "/data/mix/0/alpha", "alpha must be positive"),
        ({"data": {"mix": [{"type": "MixUp", "num_classes": 2}]}}, "/data/mix/0/num_classes", "unknown key"),
        ({"data": MIXED, "loss": "MultiMarginLoss"}, "/data/mix", "MultiMarginLoss does not take mixed targets"),
        ({"data": MIXED, "loss": "SoftMarginLoss", "model": [{"type": "Flatten"}, {"type": "Linear", "out_features": 1}]}, "/data/mix", "does not take mixed"),
        ({"data": MIXED, "loss": {"type": "CrossEntropyLoss", "ignore_index": 1}}, "/data/mix", "some targets are ignored (1)"),
    ],
)  # fmt: skip
def test_mixtures_that_do_not_fit(tmp_path: Path, changes: dict[str, Any], at: str, said: str) -> None:
    with pytest.raises(SpecError) as error:
        job(images(tmp_path), **{"model": NET, **changes})
    assert [(p.pointer, said in p.detail) for p in error.value.problems] == [(at, True)], error.value.problems


def test_cutmix_is_for_images(tmp_path: Path) -> None:
    source = prepared(tmp_path, RNG.normal(size=(20, 3)).astype(np.float32), np.arange(20) % 2)
    with pytest.raises(SpecError, match="CutMix is for images"):
        job(source, data={"mix": [{"type": "CutMix"}]})
