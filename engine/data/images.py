"""Archives of images: decoded once into uint8 pixels ``(N, C, H, W)`` where all have one size; images of several sizes are kept as files."""

from __future__ import annotations

import collections
import copy
import io
import itertools
import json
import math
import os
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from engine.data.archive import BadArchive, Member, inspect, open_archive
from engine.data.report import Options, Progress, Rejected, Report
from engine.ops.random import Generator
from engine.utils.data import DataLoader, Dataset
from engine.vision.io import FORMATS as IMAGE_FORMATS
from engine.vision.io import Pixels, to_array

Image.MAX_IMAGE_PIXELS = 64_000_000


def read_images(upload: Path, work: Path, report: Report, options: Options, progress: Progress) -> None:
    """Reads an archive of images into the folder ``work``. Raises Rejected."""
    try:
        with open_archive(upload) as archive:
            members, skipped = inspect(archive)
            for name, reason in skipped:
                report.refuse(name, reason)
            found = _decode_all(archive, members, work, report, progress)
    except BadArchive as error:
        for name, reason in error.files:
            report.refuse(name, reason)
        raise Rejected(report, str(error)) from None
    if not found:
        raise Rejected(report, "no image could be read")
    report.classes = sorted({m.class_name for m in members})
    labels = {name: i for i, name in enumerate(report.classes)}
    report.counts = {name: sum(m.class_name == name for m in found) for name in report.classes}
    empty = [name for name, n in report.counts.items() if n == 0]
    if empty:
        raise Rejected(report, f"no image of class {', '.join(empty)} could be read")
    report.samples = len(found)
    np.save(work / "y.npy", np.array([labels[m.class_name] for m in found], np.int64))


def _decode_all(archive: zipfile.ZipFile, members: list[Member], work: Path, report: Report, progress: Progress) -> list[Member]:
    """Decodes every image; pixels to ``x.npy`` while all have one size, else the files to ``files/``."""
    found: list[tuple[Member, int]] = []
    sizes: set[tuple[int, ...]] = set()
    with (work / "x.npy").open("wb") as file:
        file.write(bytes(_HEADER))
        for i, (member, image) in enumerate(zip(members, _decoded(archive, members), strict=True)):
            progress(i, len(members))
            if isinstance(image, str):
                report.refuse(member.info.filename, f"broken image: {image}"[:300])
                continue
            found.append((member, len(image)))
            sizes.add(image.shape[1:])
            if len(sizes) == 1:
                file.write(image.data)
    progress(len(members), len(members))
    channels = max((c for _, c in found), default=1)
    if len(sizes) == 1:
        height, width = next(iter(sizes))
        if any(c != channels for _, c in found):
            _in_colour(work / "x.npy", [c for _, c in found], height * width)
        _put_header(work / "x.npy", (len(found), channels, height, width))
        report.shape = [channels, height, width]
    else:
        (work / "x.npy").unlink()
        names = []
        for i, (member, _) in enumerate(found):
            name = f"{i:08d}{Path(member.path).suffix.lower()}"
            (work / "files").mkdir(exist_ok=True)
            (work / "files" / name).write_bytes(archive.read(member.info))
            names.append(name)
        (work / "files.json").write_text(json.dumps({"mode": "L" if channels == 1 else "RGB", "names": names}))
    return [member for member, _ in found]


def _put_header(path: Path, shape: tuple[int, ...]) -> None:
    """Makes a ``.npy`` file of uint8 numbers that lie after room for the header."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    assert len(header.getvalue()) == _HEADER
    with path.open("r+b") as file:
        file.write(header.getvalue())


def _in_colour(path: Path, channels: list[int], plane: int) -> None:
    """Grey images among coloured ones become three times the same plane."""
    mixed = path.with_name("mixed")
    path.rename(mixed)
    with mixed.open("rb") as source, path.open("wb") as file:
        file.write(source.read(_HEADER))
        for n in channels:
            file.write(source.read(n * plane) * (3 // n))
    mixed.unlink()


_HEADER = 128
_TOGETHER = 16  # members that a thread decodes at a time
_LARGE = 4096  # bytes of a file
_PACKET = 256  # members that a process decodes at a time
_MANY = 2000  # members for which a process is worth starting
_BROKEN = (
    OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError, zipfile.BadZipFile, EOFError, RuntimeError,
)  # fmt: skip


def _decoded(archive: zipfile.ZipFile, members: list[Member]) -> Iterator[Pixels | str]:
    """What is in each member, in order; decoded by all cores, somewhat ahead of the one given."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if sum(m.info.file_size for m in members) >= _LARGE * len(members):
        return _by_threads(archive, members, cores)
    processes = min(cores, len(members) // _MANY)
    if sys.platform == "linux" and processes > 1:  # threads would wait for Python's lock
        return _by_processes(archive, members, processes)
    return (_decode(archive, m) for m in members)


def _by_threads(archive: zipfile.ZipFile, members: list[Member], n: int) -> Iterator[Pixels | str]:
    ahead: collections.deque[Future[list[Pixels | str]]] = collections.deque()
    with ThreadPoolExecutor(n, "epochline-decode") as pool:
        for at in range(0, len(members), _TOGETHER):
            ahead.append(pool.submit(lambda some: [_decode(archive, m) for m in some], members[at : at + _TOGETHER]))
            if len(ahead) > n:
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()


class _Packets(Dataset):
    """What is in the members of an archive, some at a time, for a process that was forked."""

    def __init__(self, archive: zipfile.ZipFile, members: list[Member]) -> None:
        self.archive, self.members, self.opened = archive, members, 0

    def __len__(self) -> int:
        return math.ceil(len(self.members) / _PACKET)

    def __getitem__(self, i: int) -> list[Pixels | str]:
        if self.opened != os.getpid():  # the same directory, but a place in the file of its own
            self.archive = copy.copy(self.archive)
            self.archive.fp = Path(str(self.archive.filename)).open("rb")  # noqa: SIM115 - for as long as the process lives
            self.opened = os.getpid()
        return [_decode(self.archive, m) for m in self.members[i * _PACKET : (i + 1) * _PACKET]]


def _by_processes(archive: zipfile.ZipFile, members: list[Member], n: int) -> Iterator[Pixels | str]:
    packets = _Packets(archive, members)
    loader = DataLoader(
        packets, batch_size=None, num_workers=n, collate_fn=lambda packet: packet, generator=Generator(), multiprocessing_context="fork"
    )
    return itertools.chain.from_iterable(loader)


def _decode(archive: zipfile.ZipFile, member: Member) -> Pixels | str:
    """The pixels ``(1 or 3, H, W)``, or what is wrong with them."""
    try:
        with Image.open(io.BytesIO(archive.read(member.info)), formats=IMAGE_FORMATS) as image:
            image.load()
            if image.mode in ("I", "I;16", "F"):
                raise ValueError(f"pixels of type {image.mode}; 8 bits a channel are expected")
            mode = "L" if image.mode in ("1", "L", "LA") else "RGB"
            return to_array(image if image.mode == mode else image.convert(mode))
    except _BROKEN as error:
        return str(error)
