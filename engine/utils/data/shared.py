"""Batches across processes: everything pickled once into anonymous shared memory, arrays in place and not copied again.

The memory is a file without a name whose descriptor travels over the pipe: it goes when the last array that lies in it does,
however either process ends.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import tempfile
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from typing import Any

import numpy as np

from engine.tensor import Tensor

_ALIGN = 64


class _Pickler(pickle.Pickler):
    """Tensors travel as their arrays, which pickle hands out as buffers."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Tensor) and isinstance(obj._data, np.ndarray):
            return Tensor._wrap, (np.ascontiguousarray(obj._data),)
        return NotImplemented


def _anonymous_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("epochline-batch")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def send(connection: Connection, header: tuple[Any, ...], value: Any) -> None:
    """Sends ``header`` over the pipe, and ``value`` through shared memory."""
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    _Pickler(stream, 5, buffer_callback=buffers.append).dump(value)
    parts = [stream.getbuffer(), *(b.raw() for b in buffers)]
    starts, at = [], 0
    for part in parts:
        starts.append(at)
        at += -(-part.nbytes // _ALIGN) * _ALIGN
    fd = _anonymous_file()
    try:
        os.ftruncate(fd, max(at, 1))
        with mmap.mmap(fd, max(at, 1)) as memory:
            for start, part in zip(starts, parts, strict=True):
                memory[start : start + part.nbytes] = part
        connection.send((*header, [(s, p.nbytes) for s, p in zip(starts, parts, strict=True)]))
        send_handle(connection, fd, None)
    finally:
        os.close(fd)


def receive(connection: Connection) -> tuple[Any, ...]:
    """The header that was sent, and the value as its last element; arrays lie in the shared memory."""
    *header, places = connection.recv()
    fd = recv_handle(connection)
    try:
        memory = memoryview(mmap.mmap(fd, 0))
    finally:
        os.close(fd)
    parts = [memory[start : start + n] for start, n in places]
    return (*header, pickle.loads(parts[0], buffers=parts[1:]))
