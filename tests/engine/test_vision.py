"""Images as datasets, and transforms: sizes, types, random numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import engine as torch
from engine.utils.data import DataLoader
from engine.vision import transforms as T
from engine.vision.datasets import ImageFolder, ImageList
from engine.vision.transforms import functional as F
from engine.vision.utils import make_grid, save_image

rng = np.random.default_rng(0)


def picture(height: int = 20, width: int = 30, channels: int = 3) -> Image.Image:
    pixels = rng.integers(0, 256, (height, width, channels), np.uint8)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(4):
            picture().save(tmp_path / name / f"{i}.{'jpg' if i % 2 else 'png'}")
    return tmp_path


def test_an_index_file_names_images(folder: Path) -> None:
    (folder / "train.txt").write_text("# images\ncat/0.png 0\n\ndog/1.jpg 1\n")
    data = ImageList(folder / "train.txt", transform=T.ToTensor())
    assert len(data) == 2 and data.classes == ["0", "1"] and data.targets == [0, 1]
    assert data[1][0].shape == (3, 20, 30) and data[1][1] == 1
    (folder / "train.csv").write_text("path,label\ncat/0.png,cat\ndog/1.jpg,dog\ncat/2.png,cat\n")
    named = ImageList(folder / "train.csv")
    assert named.class_to_idx == {"cat": 0, "dog": 1} and named.targets == [0, 1, 0]


def test_bad_lines_are_named_by_number(folder: Path) -> None:
    (folder / "bad.txt").write_text("cat/0.png 0\ncat/9.png 0\nlonely\n")
    with pytest.raises(
        ValueError, match=r"(?s)2 bad line\(s\).*line 2: there is no file .*9\.png.*line 3: expected a path and a label, got 'lonely'"
    ):
        ImageList(folder / "bad.txt")
    (folder / "bad.csv").write_text("path,label\ncat/0.png\n")
    with pytest.raises(ValueError, match="line 2: expected a path and a label"):
        ImageList(folder / "bad.csv")
    (folder / "empty.txt").write_text("\n")
    with pytest.raises(ValueError, match="names no images"):
        ImageList(folder / "empty.txt")


CASES: list[tuple[Any, tuple[int, int]]] = [
    (T.Resize(10), (10, 15)), (T.Resize((8, 9)), (8, 9)), (T.CenterCrop(12), (12, 12)), (T.RandomCrop(16, padding=2), (16, 16)), (T.Pad((1, 2, 3, 4)), (26, 34)),
    (T.RandomResizedCrop(11), (11, 11)), (T.ColorJitter(0.4, 0.4, 0.4, 0.2), (20, 30)), (T.RandomRotation(30), (20, 30)),
    (T.RandomPerspective(0.5, 1.0), (20, 30)), (T.RandomAffine(10, (0.1, 0.1), (0.8, 1.2), 5), (20, 30)), (T.Grayscale(), (20, 30)), (T.RandomGrayscale(1.0), (20, 30)), (T.GaussianBlur(3), (20, 30)),
    (T.RandomInvert(1.0), (20, 30)), (T.RandomAutocontrast(1.0), (20, 30)), (T.RandomEqualize(1.0), (20, 30)), (T.RandomPosterize(3, 1.0), (20, 30)),
    (T.RandomSolarize(128, 1.0), (20, 30)), (T.RandomAdjustSharpness(2.0, 1.0), (20, 30)), (T.RandomHorizontalFlip(1.0), (20, 30)), (T.RandomVerticalFlip(1.0), (20, 30)),
]  # fmt: skip


@pytest.mark.parametrize(("transform", "size"), CASES, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("channels", [1, 3])
def test_pillow_images_and_tensors_come_out_alike(transform: Any, size: tuple[int, int], channels: int) -> None:
    image = picture(channels=channels)
    results = []
    for given in (image, T.PILToTensor()(image)):
        torch.manual_seed(4)
        result = transform(given)
        assert F.size_of(result) == size
        results.append(T.ToTensor()(result).numpy())
    np.testing.assert_allclose(
        results[0], results[1], atol=1 / 255 + 1e-6 if isinstance(transform, T.Resize | T.RandomResizedCrop) else 1e-6
    )


def test_types_go_there_and_back() -> None:
    image = picture()
    x = T.ToTensor()(image)
    assert x.dtype is torch.float32 and float(x.max()) <= 1
    assert np.array_equal(np.asarray(T.ToPILImage()(x)), np.asarray(image))
    assert np.array_equal(np.asarray(T.ToPILImage()(np.asarray(image))), np.asarray(image))
    y = T.RandomErasing(1.0, value="random")(x)
    assert y.shape == x.shape and not torch.equal(x, y)
    with pytest.raises(TypeError, match="ToTensor before it"):
        T.RandomErasing(1.0)(image)
    assert "ColorJitter" in repr(T.Compose([T.ColorJitter(), T.ToTensor()]))


def test_random_transforms_repeat_whatever_the_number_of_workers(folder: Path) -> None:
    augment = T.Compose([T.RandomResizedCrop(8), T.ColorJitter(0.5), T.RandomHorizontalFlip(), T.ToTensor()])
    epochs = []
    for workers in (0, 2):
        loader = DataLoader(
            ImageFolder(folder, augment), batch_size=3, shuffle=True, num_workers=workers, multiprocessing_context="thread" if workers else None,
            generator=torch.Generator().manual_seed(1),
        )  # fmt: skip
        epochs.append([[(x.numpy(), y.tolist()) for x, y in loader] for _ in range(2)])
    for one, other in zip(*epochs, strict=True):
        for (x, y), (v, w) in zip(one, other, strict=True):
            assert y == w
            np.testing.assert_array_equal(x, v)
    assert not np.array_equal(epochs[0][0][0][0], epochs[0][1][0][0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: T.RandomResizedCrop(0), "size must be one or two positive ints"),
        (lambda: T.RandomResizedCrop(8, scale=(1.0, 0.1)), "scale and ratio"),
        (lambda: T.ColorJitter(hue=0.9), "hue"),
        (lambda: T.RandomRotation(-1), "positive"),
        (lambda: T.GaussianBlur(4), "odd"),
        (lambda: T.RandomInvert(1.5), "probability"),
    ],
)
def test_bad_arguments_are_named(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_a_grid_of_images_is_saved(tmp_path: Path) -> None:
    images = torch.rand(10, 1, 4, 5)
    grid = make_grid(images, nrow=4, padding=1)
    assert grid.shape == (3, 3 * 5 + 1, 4 * 6 + 1)
    np.testing.assert_array_equal(grid[0, 1:5, 7:12].numpy(), images[1, 0].numpy())
    save_image(images, tmp_path / "grid.png", nrow=4, padding=1)
    with Image.open(tmp_path / "grid.png") as saved:
        assert saved.size == (25, 16)
        np.testing.assert_allclose(np.asarray(saved)[1:5, 7:12, 0] / 255, images[1, 0].numpy(), atol=0.003)
    assert float(make_grid(images * 7 - 3, normalize=True).max()) == pytest.approx(1)


RAMP = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
PICTURES = {
    "1": (Image.fromarray(np.eye(8) > 0), np.eye(8), "float32"),
    "L": (Image.fromarray((RAMP >> 8).astype(np.uint8)), (RAMP >> 8) / 255, "float32"),
    "I;16": (Image.fromarray(RAMP), RAMP, "int32"),
    "I;16L": (Image.frombytes("I;16L", (8, 8), RAMP.astype("<u2").tobytes()), RAMP, "int32"),
    "I;16B": (Image.frombytes("I;16B", (8, 8), RAMP.astype(">u2").tobytes()), RAMP, "int32"),
    "I": (Image.fromarray(RAMP.astype(np.int32) - 9), RAMP.astype(np.int32) - 9, "int32"),
    "F": (Image.fromarray(RAMP.astype(np.float32) / 7), RAMP / np.float32(7), "float32"),
}


@pytest.mark.parametrize("mode", PICTURES)
def test_to_tensor_of_every_mode(mode: str) -> None:
    """As in torchvision: 8 bits and 1 become [0, 1], other pixels stay what they are; flips, crops and borders move them."""
    picture, values, dtype = PICTURES[mode]
    expected = np.asarray(values, dtype)
    for transform, moved in (
        (lambda p: p, expected),
        (T.RandomHorizontalFlip(1.0), expected[:, ::-1]),
        (T.RandomVerticalFlip(1.0), expected[::-1]),
        (T.CenterCrop(4), expected[2:6, 2:6]),
        (T.CenterCrop(10), np.pad(expected, 1)),
        (T.Pad(2), np.pad(expected, 2)),
        (T.RandomCrop(8), expected),
    ):
        x = T.ToTensor()(transform(picture))
        assert x.dtype.name == dtype
        np.testing.assert_array_equal(x.numpy(), moved[None])


@pytest.mark.parametrize("mode", PICTURES)
def test_a_smaller_picture_of_every_mode(mode: str) -> None:
    picture, values, _ = PICTURES[mode]
    x = T.ToTensor()(T.Resize((4, 4))(picture)).double().numpy()[0]
    if mode == "1":
        assert set(np.unique(x)) <= {0.0, 1.0}
    else:  # the means of blocks, but for what lies beyond them
        blocks = np.asarray(values, np.float64).reshape(4, 2, 4, 2).mean((1, 3))
        np.testing.assert_allclose(x[1:3, 1:3], blocks[1:3, 1:3], atol=0.02 * float(np.abs(blocks).max()))


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "<u2", "<i4", ">f4", "<f8", "bool"])
def test_pixels_of_arrays_keep_their_numbers(dtype: str) -> None:
    array = (np.arange(12).reshape(2, 2, 3) * 20 % 256).astype(dtype)
    x = T.PILToTensor()(array)
    np.testing.assert_array_equal(x.numpy(), array.transpose(2, 0, 1))
    scaled = T.ToTensor()(array)
    np.testing.assert_allclose(scaled.double().numpy(), array.transpose(2, 0, 1) / (255 if dtype == "uint8" else 1), rtol=1e-6)


def test_a_border_of_one_colour_in_every_channel() -> None:
    for mode in ("1", "L", "LA", "RGB", "RGBA", "CMYK", "I", "F"):
        turned = F.rotate(Image.new(mode, (8, 8)), 45, fill=1)
        assert np.asarray(turned)[0, 0].min() == 1
