"""Decoding the images of an archive on all cores, in order."""

from __future__ import annotations

import collections
import copy
import functools
import itertools
import math
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from engine.data.images.archive import Entry
from engine.data.images.measures import Measures, measure
from engine.ops.random import Generator
from engine.utils.data import DataLoader, Dataset
from engine.vision.decode import Picture, Ranges, decode

_TOGETHER = 16  # entries that a thread decodes at a time
_LARGE = 4096  # bytes of a file
_PACKET = 256  # entries that a process decodes at a time
_MANY = 2000  # entries for which a process is worth starting
Found = tuple[Picture, Measures] | str
"""An image, or what is wrong with it."""
_Decode = Callable[[zipfile.ZipFile, list[Entry]], list[Found]]


def decoded(archive: zipfile.ZipFile, entries: list[Entry], ranges: Ranges) -> Iterator[Found]:
    """What is in each entry, in order; decoded by all cores, somewhat ahead of the one given."""
    some = functools.partial(_decode, ranges=ranges)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if sum(e.info.file_size for e in entries) >= _LARGE * len(entries):
        return _by_threads(archive, entries, cores, some)
    processes = min(cores, len(entries) // _MANY)
    if sys.platform == "linux" and processes > 1:  # threads would wait for Python's lock
        return _by_processes(archive, entries, processes, some)
    packets = (entries[at : at + _TOGETHER] for at in range(0, len(entries), _TOGETHER))
    return itertools.chain.from_iterable(some(archive, packet) for packet in packets)


def _decode(archive: zipfile.ZipFile, entries: list[Entry], ranges: Ranges) -> list[Found]:
    pictures = [_picture(archive, e, ranges) for e in entries]
    measures = iter(measure([p.pixels for p in pictures if not isinstance(p, str)]))
    return [p if isinstance(p, str) else (p, next(measures)) for p in pictures]


def _picture(archive: zipfile.ZipFile, entry: Entry, ranges: Ranges) -> Picture | str:
    try:
        return decode(archive.read(entry.info), entry.parts[-1], ranges)
    except MemoryError:
        raise
    except Exception as error:  # damaged streams make zipfile, zlib and Pillow's decoders raise anything
        return str(error) or type(error).__name__


def _by_threads(archive: zipfile.ZipFile, entries: list[Entry], n: int, some: _Decode) -> Iterator[Found]:
    ahead: collections.deque[Future[list[Found]]] = collections.deque()
    with ThreadPoolExecutor(n, "epochline-decode") as pool:
        for at in range(0, len(entries), _TOGETHER):
            ahead.append(pool.submit(some, archive, entries[at : at + _TOGETHER]))
            if len(ahead) > n:
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()


class _Packets(Dataset):
    """What is in the entries of an archive, some at a time, for a process that was forked."""

    def __init__(self, archive: zipfile.ZipFile, entries: list[Entry], some: _Decode) -> None:
        self.archive, self.entries, self.some, self.opened = archive, entries, some, 0

    def __len__(self) -> int:
        return math.ceil(len(self.entries) / _PACKET)

    def __getitem__(self, i: int) -> list[Found]:
        if self.opened != os.getpid():  # the same directory, but a place in the file of its own
            self.archive = copy.copy(self.archive)
            self.archive.fp = Path(str(self.archive.filename)).open("rb")  # noqa: SIM115 - for as long as the process lives
            self.opened = os.getpid()
        return self.some(self.archive, self.entries[i * _PACKET : (i + 1) * _PACKET])


def _by_processes(archive: zipfile.ZipFile, entries: list[Entry], n: int, some: _Decode) -> Iterator[Found]:
    packets = _Packets(archive, entries, some)
    loader = DataLoader(
        packets, batch_size=None, num_workers=n, collate_fn=lambda packet: packet, generator=Generator(), multiprocessing_context="fork"
    )
    return itertools.chain.from_iterable(loader)
