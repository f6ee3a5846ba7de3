"""What becomes of image files of every kind: the same pixels at ingestion, and later from the files of a dataset with several sizes."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.data import Rejected, ingest, open_source
from engine.vision.decode import decode
from tests.data.archives import picture, saved, zipped

RNG = np.random.default_rng(3)
GREY = RNG.integers(0, 256, (6, 9), np.uint8)
COLOUR = RNG.integers(0, 256, (6, 9, 3), np.uint8)
PLANES = COLOUR.transpose(2, 0, 1)
TURNS = {
    1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1], 5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[::-1], 7: lambda a: a[::-1, ::-1].swapaxes(0, 1), 8: lambda a: a.swapaxes(0, 1)[:, ::-1],
}  # fmt: skip
"""How a camera that notes each orientation has stored an upright picture."""


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF", "JPEG"])
def test_pictures_are_turned_upright(form: str, orientation: int) -> None:
    stored = Image.fromarray(np.ascontiguousarray(TURNS[orientation](COLOUR)))
    how: dict[str, Any] = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(form, {})
    found = decode(saved(stored, form, exif=exif(orientation), **how), "x")
    assert found.pixels.shape == (3, 6, 9) and np.abs(found.pixels.astype(int) - PLANES).max() <= (12 if form == "JPEG" else 0)
    assert found.changes == (() if orientation == 1 else ("orientation",))


def test_broken_orientation_tags_are_passed_over() -> None:
    for tag in (b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"nothing"):
        found = decode(saved(Image.fromarray(COLOUR), "PNG", exif=tag), "x.png")
        np.testing.assert_array_equal(found.pixels, PLANES)


DEEP = RNG.integers(0, 65536, (6, 9)).astype(np.uint16)


def pgm(values: np.ndarray[Any, Any]) -> bytes:
    return b"P5 9 6 65535\n" + values.astype(">u2").tobytes()


def tiff(values: np.ndarray[Any, Any]) -> bytes:
    """A TIFF in the byte order of the values."""
    order = "<" if values.dtype.byteorder in "<=|" else ">"
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    tags = [
        (256, 9),
        (257, 6),
        (258, values.dtype.itemsize * 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, 6),
        (279, values.nbytes),
        (339, kind),
    ]
    directory = np.array([len(tags)], f"{order}u2").tobytes()
    for tag, value in tags:
        directory += np.array([tag, 4], f"{order}u2").tobytes() + np.array([1, value], f"{order}u4").tobytes()
    begin = b"II*\0" if order == "<" else b"MM\0*"
    return begin + np.array([8 + values.nbytes], f"{order}u4").tobytes() + values.tobytes() + directory + bytes(4)


@pytest.mark.parametrize(
    "content", [saved(Image.fromarray(DEEP)), pgm(DEEP), tiff(DEEP.astype("<u2")), tiff(DEEP.astype(">u2")), tiff(DEEP.astype(">i4"))],
    ids=["png", "pgm", "tiff", "tiff of the other byte order", "tiff of 32 bits"],
)  # fmt: skip
def test_sixteen_bits_keep_their_brightness_whatever_the_byte_order(content: bytes) -> None:
    found = decode(content, "x", {"integers": (0, 65535)})
    np.testing.assert_array_equal(found.pixels[0], np.rint(DEEP / 257))
    assert found.changes == ("integers",) and found.span == (DEEP.min(), DEEP.max())


FLOATS = RNG.normal(size=(6, 9)).astype(np.float32)


@pytest.mark.parametrize("order", ["<", ">"])
def test_floats_are_scaled_by_their_range(order: str) -> None:
    found = decode(tiff(FLOATS.astype(f"{order}f4")), "x")
    low, high = FLOATS.min(), FLOATS.max()
    np.testing.assert_allclose(found.pixels[0], (FLOATS - low) / (high - low) * 255, atol=0.5001)
    assert found.changes == ("floats",)


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        decode(tiff(np.where(FLOATS > 1, np.inf, FLOATS).astype(np.float32)), "x")


SCALES = {
    "12 bits in 16": ([DEEP // 16, DEEP // 64], "whole numbers of more than 8 bits: 0 became 0, 4095 became 255", 4095),
    "16 bits": ([DEEP, DEEP // 2], "whole numbers of more than 8 bits: 0 became 0, 65535 became 255", 65535),
    "floats up to one": ([np.abs(FLOATS) / 9, np.abs(FLOATS) / 18], "floating-point numbers: 0 became 0, 1 became 255", 1),
}


@pytest.mark.parametrize("case", SCALES)
def test_images_of_a_dataset_are_scaled_alike(case: str, tmp_path: Path) -> None:
    values, sentence, top = SCALES[case]
    upload = zipped(tmp_path / "upload.zip", {f"a/{i}.tif": tiff(v) for i, v in enumerate(values)})
    report = ingest(upload, tmp_path / "data", "imagefolder")
    source = open_source(tmp_path / "data")
    for i, v in enumerate(values):
        np.testing.assert_array_equal(source.raw(i).numpy()[0], np.rint(v.astype(np.float64) / top * 255))
    assert report.converted == [f"2 images were scaled to 8 bits, having {sentence}"]


ALPHA = RNG.integers(0, 256, (6, 9, 1), np.uint8)
ON_WHITE = np.rint(PLANES * (ALPHA[..., 0] / 255) + (255 - ALPHA[..., 0])).astype(int)


def palette(transparent: bool) -> bytes:
    image = Image.fromarray(GREY % 3, "L").convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    return saved(image, **({"transparency": 1} if transparent else {}))


COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
CLEAR = np.array([[255, 0, 0], [255, 255, 255], [0, 0, 255]], np.uint8)
KINDS: dict[str, tuple[bytes, Any, tuple[str, ...]]] = {
    "grey": (saved(Image.fromarray(GREY)), GREY[None], ()),
    "one bit": (saved(Image.fromarray(GREY > 99)), (GREY[None] > 99) * 255, ()),
    "colour": (saved(Image.fromarray(COLOUR)), PLANES, ()),
    "transparent": (saved(Image.fromarray(np.concatenate([COLOUR, ALPHA], 2))), ON_WHITE, ("alpha",)),
    "opaque": (saved(Image.fromarray(np.concatenate([COLOUR, ALPHA * 0 + 255], 2))), PLANES, ()),
    "grey, transparent": (
        saved(Image.fromarray(np.concatenate([GREY[..., None], ALPHA], 2))), np.rint(GREY * (ALPHA[..., 0] / 255) + 255 - ALPHA[..., 0])[None], ("alpha",),
    ),
    "one grey is clear": (saved(Image.fromarray(GREY), transparency=int(GREY[2, 3])), np.where(GREY[2, 3] == GREY, 255, GREY)[None], ("alpha",)),
    "a palette": (palette(False), COLOURS[GREY % 3].transpose(2, 0, 1), ()),
    "a palette with a clear colour": (palette(True), CLEAR[GREY % 3].transpose(2, 0, 1), ("alpha",)),
    "a palette of greys": (saved(Image.fromarray(GREY).convert("P")), GREY[None], ()),
    "CMYK": (saved(Image.fromarray(COLOUR).convert("CMYK"), "TIFF"), PLANES, ("cmyk",)),
    "animated PNG": (saved(Image.fromarray(GREY), "PNG", save_all=True, append_images=[Image.new("L", (9, 6))]), GREY[None], ("frames",)),
    "animated WebP": (
        saved(Image.fromarray(COLOUR), "WEBP", lossless=True, save_all=True, append_images=[Image.new("RGB", (9, 6))]), PLANES, ("frames",)
    ),
    "TIFF of pages": (saved(Image.fromarray(COLOUR), "TIFF", save_all=True, append_images=[Image.new("RGB", (5, 5))]), PLANES, ("frames",)),
    "GIF": (saved(Image.fromarray(GREY), "GIF"), GREY[None], ()),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image_becomes_grey_or_colour(kind: str) -> None:
    content, pixels, changes = KINDS[kind]
    found = decode(content, f"{kind}.gif")
    assert found.changes == changes
    assert found.pixels.shape == pixels.shape and np.abs(found.pixels.astype(int) - pixels).max() <= (1 if "alpha" in changes else 0)


def test_gif_is_read_only_where_the_name_says_so() -> None:
    with pytest.raises(OSError, match="cannot identify"):
        decode(KINDS["GIF"][0], "x.jpg")


def test_files_of_several_sizes_are_decoded_as_at_ingestion(tmp_path: Path) -> None:
    """One image of another size makes the dataset keep files; each gives the pixels that it gives where all have one size."""
    files = {f"a/{i:02}.gif": content for i, (content, _, _) in enumerate(KINDS.values())}
    files |= {"a/x.tif": tiff(DEEP), "a/y.png": saved(Image.fromarray(COLOUR), exif=exif(3))}
    found = []
    for more in ({}, {"b/1.png": picture("b", (5, 4))}, {"b/1.png": picture("b")[:60]}):
        try:
            report = ingest(zipped(tmp_path / "upload.zip", {**files, **more}), tmp_path / "data", "imagefolder")
        except Rejected as error:
            assert "no image of class b" in str(error)
            continue
        source = open_source(tmp_path / "data")
        found.append([source.raw(i).numpy() for i in range(len(files))])
        assert (report.shape, report.sizes) == (([3, 6, 9], None) if not more else (None, {"min": [5, 4], "max": [6, 9]}))
        pixels = [source.raw(i).numpy().reshape(3, -1) / 255 for i in range(len(source))]
        flat = np.concatenate(pixels, 1)
        np.testing.assert_allclose((report.mean, report.std), (flat.mean(1), flat.std(1)), atol=1e-6)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_changes_are_counted_in_the_report(tmp_path: Path) -> None:
    files = {f"a/{kind}.gif": content for kind, (content, _, _) in KINDS.items()} | {
        "a/turned.png": saved(Image.fromarray(COLOUR), exif=exif(3))
    }
    assert ingest(zipped(tmp_path / "upload.zip", files), tmp_path / "data", "imagefolder").converted == [
        "1 image was turned upright by the orientation that the camera noted (EXIF)", "4 images were composed on white, having transparent pixels",
        "3 images were read by the first frame only, having several", "1 image was converted from CMYK to RGB",
        "7 images were given three equal channels, being grey among coloured ones",
    ]  # fmt: skip


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_archive_never_ends_in_another_error(method: int, tmp_path: Path) -> None:
    """Bytes changed anywhere in an archive, and files cut off: some images are refused, or the archive is."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name in ("a/1.png", "a/2.bmp", "b/1.jpg", "b/2.webp"):
            archive.writestr(name, picture(name, (8, 8), "RGB", {"jpg": "JPEG"}.get(name[-3:], name[4:].upper())))
        archive.writestr("labels.csv", "file,label\na/1.png,x\na/2.bmp,y\n")
    whole, rng, seen = out.getvalue(), np.random.default_rng(method), set()
    for k in range(150):
        content = bytearray(whole)
        for at in rng.integers(0, len(content), 1 + k % 8):
            content[at] = rng.integers(256)
        (tmp_path / "upload.zip").write_bytes(content[: rng.integers(len(content)) if k % 10 == 9 else None])
        try:
            report = ingest(tmp_path / "upload.zip", tmp_path / "data", "imagefolder")
        except Rejected as error:
            seen.add("rejected")
            assert error.report.reason
        else:
            seen.add("refused" if report.refused_count > 1 else "read")
    assert seen == {"rejected", "refused", "read"}
