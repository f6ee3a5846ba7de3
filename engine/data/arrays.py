"""Files of NumPy arrays: ``x`` and ``y`` in an ``.npz``, and ``x_val`` .. ``y_test`` where it has splits of its own."""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from engine.data.labels import read_labels
from engine.data.report import Options, Progress, Rejected, Report, listed
from engine.data.samples import describe_samples, save_splits
from engine.data.sequences import describe_lengths, lengths_of, padded
from engine.data.tables.roles import SPLITS

Array = np.ndarray[Any, Any]
_CHANNELS = (1, 3, 4)
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_SPLIT = "|".join(SPLITS)
_NAME = re.compile(rf"(?:({_SPLIT})_)?(?:(x|images)|(y|labels)|(lengths))(?:_({_SPLIT}))?", re.IGNORECASE)
_PIECE_BYTES = 1 << 26
_Part = tuple[Array, Array, Array | None]


def read_arrays(upload: Path, work: Path, report: Report, options: Options, progress: Progress) -> None:
    """Reads an ``.npz`` file into the folder ``work``. Raises Rejected."""
    if options.target is not None:
        raise Rejected(report, f"a target is a column of a table, got {options.target!r}: what an npz file predicts is its array y")
    parts, lengths = _sequences(_parts(upload, report, progress), report)
    for split, (x, y) in parts.items():
        _check_pair(report, "" if len(parts) == 1 else f"_{split}", x, y)
    empty = [split for split, (x, _) in parts.items() if split != "train" and not len(x)]
    report.warnings += [f"x_{split} has no samples: it was left out" for split in empty]
    parts = {split: pair for split, pair in parts.items() if split not in empty}
    xs, ys = [x for x, _ in parts.values()], [y for _, y in parts.values()]
    if len({(x.shape[1:], x.dtype == np.uint8, y.shape[1:]) for x, y in parts.values()}) > 1:
        shapes = ", ".join(f"x_{s} {x.dtype} {x.shape}, y_{s} {y.shape}" for s, (x, y) in parts.items())
        raise Rejected(report, f"the splits differ in the shape of a sample, or some are uint8: {shapes}")
    if len(xs[0]) < 2:
        raise Rejected(report, f"expected at least 2 samples, got {len(xs[0])}")
    xs = [_channels_first(x, report if i == 0 else None) for i, x in enumerate(xs)]
    _save(work / "x.npy", xs, report, progress)
    splits = np.repeat(list(parts), [len(x) for x in xs]) if len(parts) > 1 else None
    targets, chosen = read_labels(np.concatenate(ys), xs[0].shape, report)
    save_splits(work, report, splits)
    if lengths:
        np.save(work / "lengths.npy", np.concatenate([lengths[split] for split in parts]))
    describe_samples(work, report, splits, lambda done, total: progress(2 * total + done, 3 * total))
    targets.save(work, report, "y", chosen)


def _sequences(parts: dict[str, _Part], report: Report) -> tuple[dict[str, tuple[Array, Array]], dict[str, Array]]:
    """``x`` and ``y`` of each split, and the lengths of sequences where they are known: then ``x`` is padded with zeros to the longest."""
    found = {s: lengths_of(x, given, "" if len(parts) == 1 else f"_{s}", report) for s, (x, _, given) in parts.items()}
    lengths = {s: n for s, n in found.items() if n is not None}
    pairs = {s: (x, y) for s, (x, y, _) in parts.items()}
    if len(lengths) < len(parts):
        if any(given is not None for _, _, given in parts.values()):
            raise Rejected(
                report, f"expected lengths of every split, got them of {', '.join(s for s in lengths if parts[s][2] is not None)} only"
            )
        return pairs, {}
    longest = max(int(n.max()) for n in lengths.values())
    by_nan = all(given is None for _, _, given in parts.values())
    describe_lengths(np.concatenate(list(lengths.values())), ", ended by NaN" if by_nan else ", by the array lengths", report)
    return {s: (padded(x, lengths[s], longest), y) for s, (x, y) in pairs.items()}, lengths


def _parts(upload: Path, report: Report, progress: Progress) -> dict[str, _Part]:
    """``x``, ``y`` and lengths, where there are some, of each split, ``train`` first."""
    with upload.open("rb") as file:
        start = file.read(6)
    if start == b"\x93NUMPY":
        raise Rejected(report, "not an npz file but one array (.npy): save both with numpy.savez(file, x=x, y=y)")
    if not zipfile.is_zipfile(upload):
        raise Rejected(report, "not an npz file that can be read: it is no zip archive, or only a part of one")
    try:
        archive = zipfile.ZipFile(upload)
    except Exception as error:  # whatever damaged bytes bring about
        raise Rejected(report, f"not an npz file that can be read: {error or type(error).__name__}") from None
    with archive:
        members = {name.removesuffix(".npy"): name for name in archive.namelist()}
        places = _places(list(members), report)
        total = 3 * sum(info.file_size for info in archive.infolist())
        done = 0

        def load(name: str) -> Array:
            nonlocal done
            before, done = done, done + archive.getinfo(members[name]).file_size
            return _load(archive, members[name], name, report, lambda n: progress(before + n, total))

        return {split: (load(x), load(y), load(n) if n else None) for split, (x, y, n) in places.items()}


def _places(names: list[str], report: Report) -> dict[str, tuple[str, str, str | None]]:
    """The names of ``x``, ``y`` and, where there are some, lengths of each split. Raises Rejected where one is missing."""
    places: dict[tuple[str, str], str] = {}
    for name in names:
        found = _NAME.fullmatch(name)
        if found and not (found[1] and found[5]):
            split = SPLITS[(found[1] or found[5] or "train").lower()]
            places.setdefault((split, "x" if found[2] else "y" if found[3] else "n"), name)
    splits = [s for s in ("train", "val", "test") if (s, "x") in places or (s, "y") in places]
    complete = "train" in splits and all((s, a) in places for s in splits for a in "xy")
    if not complete or (len(splits) == 1 and "_" in places["train", "x"] + places["train", "y"]):
        raise Rejected(
            report,
            f"expected arrays named x and y (of a file with splits x_train and y_train, beside x_val or x_test), got {', '.join(names) or 'none'}",
        )
    unused = [name for name in names if name not in places.values()]
    if unused:
        report.warnings.append(f"arrays that are not used: {listed(unused)}")
    return {s: (places[s, "x"], places[s, "y"], places.get((s, "n"))) for s in splits}


class _Counted:
    """A file that tells how far it was read, as decompressing may take long."""

    def __init__(self, file: IO[bytes], tell: Callable[[int], None]) -> None:
        self._file, self._tell = file, tell

    def read(self, size: int = -1) -> bytes:
        found = self._file.read(size)
        self._tell(self._file.tell())
        return found


def _load(archive: zipfile.ZipFile, member: str, name: str, report: Report, tell: Callable[[int], None]) -> Array:
    """One array, of which the header is looked at first. Raises Rejected."""
    try:
        with archive.open(member) as file:
            shape, dtype = _header(file)
            size, at = archive.getinfo(member).file_size, file.tell()
        if dtype.kind in "fiub":
            if at + math.prod(shape) * dtype.itemsize != size:
                raise ValueError(f"an array of shape {shape} of {dtype} does not have {size} bytes")
            with archive.open(member) as file:
                return np.lib.format.read_array(_Counted(file, tell), allow_pickle=False)
    except MemoryError:
        raise
    except Exception as error:  # zlib, struct, tokenize ..: whatever damaged bytes bring about in three decoders
        raise Rejected(report, f"not an npz file that can be read: array {name!r} is damaged ({error or type(error).__name__})") from None
    raise Rejected(report, f"{name} in the npz file must be a numeric array, got {_words(dtype)}")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    shape, _, dtype = np.lib.format.read_array_header_1_0(file) if version == (1, 0) else np.lib.format.read_array_header_2_0(file)
    return shape, dtype


def _words(dtype: np.dtype[Any]) -> str:
    """A dtype that cannot be trained on, and what to do."""
    return {
        "O": "Python objects (dtype=object): make rows of one length and save them as numbers",
        "U": "text: number the classes 0, 1, ..", "S": "text: number the classes 0, 1, ..",
        "c": "complex numbers: save the real and the imaginary part as two columns",
        "M": "dates: save them as numbers", "m": "time spans: save them as numbers",
    }.get(dtype.kind, f"{dtype}: save it as float32")  # fmt: skip


def _check_pair(report: Report, suffix: str, x: Array, y: Array) -> None:
    for name, a in ((f"x{suffix}", x), (f"y{suffix}", y)):
        if a.ndim < 1:
            raise Rejected(report, f"{name} must have a first dimension of samples, got a single number")
        if len(a) and a.size == 0:
            raise Rejected(report, f"{name} has no values: its shape is {a.shape}")
        if a.dtype.kind == "f":
            _check_range(report, name, a)
    if len(x) != len(y):
        raise Rejected(report, f"x{suffix} has {len(x)} rows, y{suffix} has {len(y)}: expected as many")


def _pieces(a: Array) -> Iterator[tuple[int, Array]]:
    step = max(1, _PIECE_BYTES // max(1, a[:1].nbytes))
    for start in range(0, len(a), step):
        yield start, a[start : start + step]


def _check_range(report: Report, name: str, a: Array) -> None:
    for start, piece in _pieces(a):
        if not np.isfinite(piece).all():
            raise Rejected(
                report, f"{name} has NaN or infinite values, the first in row {start + int(np.argwhere(~np.isfinite(piece))[0][0])}"
            )
        if a.dtype.itemsize > 4 and np.abs(piece).max() > _FLOAT32_MAX:
            at = np.argwhere(np.abs(piece) > _FLOAT32_MAX)[0]
            raise Rejected(report, f"{name} has a number beyond float32 ({piece[tuple(at)]:.6g}) in row {start + int(at[0])}")


def _channels_first(x: Array, report: Report | None) -> Array:
    """``x`` with a second axis: images ``(N, H, W, C)`` of 1, 3 or 4 channels become ``(N, C, H, W)``.

    Where both ends could be channels, or the maps are small, square images decide: ``(N, 16, 4, 4)`` are 16 maps of 4x4, ``(N, 4, 4, 1)`` one.
    """
    if x.ndim == 1:
        return x[:, None]
    if x.ndim < 4 or x.shape[-1] not in _CHANNELS:
        return x
    first, square_last, square_first = x.shape[1] in _CHANNELS, x.shape[1] == x.shape[2], x.shape[-2] == x.shape[-1]
    if first and square_first == square_last and report is not None:
        report.warnings.append(f"x of shape {x.shape} is taken to have its channels first: {x.shape[1]}")
    if square_first or (first and not square_last):
        return x
    moved = np.moveaxis(x, -1, 1)
    if report is not None:
        report.converted.append(f"x has its channels last, {x.shape}: they were moved to the second axis, {moved.shape}")
    return moved


def _save(path: Path, xs: list[Array], report: Report, progress: Progress) -> None:
    """Writes ``x.npy``: pixels as bytes, all else as float32, and tells of it."""
    dtype, top = xs[0].dtype, max(int(x.max()) for x in xs) if xs[0].dtype.kind in "iub" else 0
    shape = (sum(map(len, xs)), *xs[0].shape[1:])
    pixels = all(x.dtype == np.uint8 for x in xs) and xs[0].ndim > 2 and top > 1
    if pixels:
        report.scale = 255.0
        report.converted.append("x is uint8 with more than two axes: pixels, divided by 255 when they are read")
    elif dtype != np.float32:
        report.converted.append(
            f"x: {'' if dtype.isnative else 'big-endian '}{dtype.name} became float32"
            + (", values as they are" if dtype == np.uint8 else "")
        )
    if len(shape) == 3 and pixels:
        report.warnings.append(f"x has no axis of channels, {shape}: convolutions of images take (N, 1, {shape[1]}, {shape[2]})")
    out = np.lib.format.open_memmap(path, "w+", np.uint8 if pixels else np.float32, shape)
    at, inexact, whole = 0, False, True
    for x in xs:
        for start, piece in _pieces(x):
            out[at + start : at + start + len(piece)] = piece
            if piece.dtype.kind in "iu" and piece.dtype.itemsize > 2:
                inexact = inexact or bool((piece.astype(np.float32).astype(np.float64) != piece).any())
            whole = whole and len(shape) > 3 and not pixels and bool(((piece == np.floor(piece)) & (piece >= 0)).all())
            progress(shape[0] + at + start, 3 * shape[0])
        at += len(x)
    if inexact:
        report.warnings.append("x has whole numbers beyond 2**24 = 16777216, which float32 rounds")
    if whole and 1 < out.max() <= 255:
        report.warnings.append(
            f"x looks like pixels from 0 to 255, but is {dtype.name}: it was not scaled; save it as uint8 to have it divided by 255"
        )
    out.flush()
