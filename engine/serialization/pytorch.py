"""PyTorch's files without PyTorch: state dicts written as ``torch.load(weights_only=True)`` reads them, and read by an unpickler that makes only tensors,
containers of them, numbers and text.

The format is a zip (stored, not compressed) of a pickle, ``data.pkl``, and the elements of each storage, ``data/KEY``; before PyTorch 1.6 it was a row of pickles
with the storages behind.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from engine.backend import transfer
from engine.backend.device import CPU
from engine.dtypes import ALL, BY_NAME, BY_NUMPY, dtype
from engine.tensor import Tensor

Array = np.ndarray[Any, Any]
ZIP = b"PK\x03\x04"
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
LEGACY = pickle.dumps(_MAGIC, protocol=2)
"""How files began before they were zips."""
_STORAGES: dict[str, dtype] = {f"{d.legacy_name}Storage": d for d in ALL}


# -- writing


def to_pytorch(tensors: Mapping[str, Tensor]) -> bytes:
    """The ``.pt`` file of a state dict: an OrderedDict of tensors in the memory of the CPU."""
    arrays = {name: np.ascontiguousarray(transfer(x._data, CPU)).reshape(x.shape) for name, x in tensors.items()}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", _pickled(arrays))
        archive.writestr("archive/byteorder", "little")
        for key, array in enumerate(arrays.values()):
            archive.writestr(f"archive/data/{key}", array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


_DICT = b"ccollections\nOrderedDict\n)R"


def _text(text: str) -> bytes:
    encoded = text.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def _ints(numbers: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(pickle.dumps(int(n), 2)[2:-1] for n in numbers) + b"t"


def _pickled(arrays: Mapping[str, Array]) -> bytes:
    """The pickle (protocol 2) that PyTorch would write: it names PyTorch's functions, which are not here to be pickled."""
    parts = [b"\x80\x02", _DICT, b"("]
    for key, (name, array) in enumerate(arrays.items()):
        kind = f"{BY_NUMPY[array.dtype].legacy_name}Storage"
        strides = tuple(s // array.itemsize for s in array.strides)
        storage = (
            b"(" + _text("storage") + f"ctorch\n{kind}\n".encode() + _text(str(key)) + _text("cpu") + _ints((array.size,))[1:-1] + b"tQ"
        )
        given = b"(" + storage + _ints((0,))[1:-1] + _ints(array.shape) + _ints(strides) + b"\x89" + _DICT + b"t"
        parts += [_text(name), b"ctorch._utils\n_rebuild_tensor_v2\n", given, b"R"]
    return b"".join([*parts, b"u."])


# -- reading


class _Storage:
    """Where the elements of tensors lie in the file."""

    __slots__ = ("dtype", "key", "numel")

    def __init__(self, key: str, kind: dtype, numel: int) -> None:
        self.key, self.dtype, self.numel = key, kind, numel


class _Found:
    """A tensor in a file: a part of a storage."""

    __slots__ = ("offset", "shape", "storage", "strides")

    def __init__(self, storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> None:
        if not isinstance(storage, _Storage):
            raise pickle.UnpicklingError("a tensor without a storage")
        shape, strides = tuple(shape), tuple(strides)
        if len(shape) != len(strides) or not all(type(n) is int and n >= 0 for n in (offset, *shape, *strides)):
            raise pickle.UnpicklingError(f"a tensor of shape {shape} with the strides {strides} from {offset} on")
        size = int(np.prod(shape, dtype=object))
        last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True)) if size else offset - 1
        if last >= storage.numel or size > storage.numel:
            raise pickle.UnpicklingError(f"a tensor of shape {shape} that lies beyond its storage of {storage.numel} elements")
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def array(self, elements: Array) -> Array:
        steps = tuple(s * elements.itemsize for s in self.strides)
        return (
            np.array(np.lib.stride_tricks.as_strided(elements[self.offset :], self.shape, steps))
            if elements.size
            else elements.reshape(self.shape)
        )


class _Unpickler(pickle.Unpickler):
    """Knows what state dicts are made of. What it gives is made anew each time, so that a file can change nothing that stays."""

    def find_class(self, module: str, name: str) -> Any:
        made: dict[tuple[str, str], Callable[[], Any]] = {
            ("collections", "OrderedDict"): lambda: OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): lambda: lambda *given: _Found(*given),
            ("torch._utils", "_rebuild_tensor"): lambda: lambda *given: _Found(*given),
            ("torch._utils", "_rebuild_parameter"): lambda: lambda data, *rest: data,
            ("torch", "Size"): lambda: tuple,
            ("torch", "device"): lambda: lambda *given: ":".join(map(str, given)),
        }
        if (module, name) in made:
            return made[module, name]()
        if module == "torch" and (name in _STORAGES or name in BY_NAME):
            return name  # of a storage's or a tensor's elements
        raise pickle.UnpicklingError(f"Weights only load failed: the file holds a {module}.{name}, which could run code")

    def persistent_load(self, pid: Any) -> _Storage:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or pid[1] not in _STORAGES:
            raise pickle.UnpicklingError(f"a reference to {pid!r:.80}")
        _, kind, key, _, numel = pid[:5]
        if type(key) is not str or type(numel) is not int or numel < 0:
            raise pickle.UnpicklingError(f"a storage {key!r:.40} of {numel!r:.40} elements")
        return _Storage(key, _STORAGES[kind], numel)


def from_pytorch(content: bytes) -> Any:
    """What a PyTorch file holds: tensors, and dicts, lists and tuples of them, of numbers and of text.

    Raises UnpicklingError for a file that is damaged, or that holds anything that could run code.
    """
    try:
        return _Zip(content).load() if content.startswith(ZIP) else _legacy(content)
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a damaged, or a hostile, file makes zipfile and pickle raise anything
        raise pickle.UnpicklingError(f"not a file of PyTorch's that can be read: {error}") from None


class _Zip:
    """The records of an archive."""

    def __init__(self, content: bytes) -> None:
        self._archive = zipfile.ZipFile(io.BytesIO(content))
        names = [n for n in self._archive.namelist() if n.endswith("/data.pkl")]
        if len(names) != 1:
            raise pickle.UnpicklingError("a zip without a data.pkl, as PyTorch writes it")
        self._prefix = names[0].removesuffix("data.pkl")

    def _record(self, name: str) -> bytes:
        entry = self._archive.getinfo(self._prefix + name)
        if entry.compress_type != zipfile.ZIP_STORED:
            raise pickle.UnpicklingError(f"{name} is compressed, which PyTorch's files are not")
        return self._archive.read(entry)

    def load(self) -> Any:
        big = f"{self._prefix}byteorder" in self._archive.namelist() and self._record("byteorder") == b"big"
        held: dict[str, bytes] = {}

        def elements(storage: _Storage) -> Array:
            if storage.key not in held:
                held[storage.key] = self._record(f"data/{storage.key}")
            return _elements(held[storage.key], storage, ">" if big else "<")

        return _Maker(elements).made(_Unpickler(io.BytesIO(self._record("data.pkl"))).load())


def _elements(data: bytes, storage: _Storage, order: str) -> Array:
    if len(data) < storage.numel * storage.dtype.itemsize:
        raise pickle.UnpicklingError(
            f"storage {storage.key} has {len(data)} bytes, too few for {storage.numel} elements of {storage.dtype.name}"
        )
    kind = storage.dtype.numpy
    if order == ">" and kind.itemsize > 1:
        swapped = np.frombuffer(data, f">u{kind.itemsize}", storage.numel)
        return swapped.astype(f"<u{kind.itemsize}").view(kind)
    return np.frombuffer(data, kind, storage.numel)


def _legacy(content: bytes) -> Any:
    """A file from before zips: a number, the protocol, the system, what was saved, the keys of its storages, and these."""
    file = io.BytesIO(content)
    magic, protocol, system, found, keys = (_Unpickler(file).load() for _ in range(5))
    if magic != _MAGIC or protocol != _PROTOCOL or not isinstance(system, dict) or not isinstance(keys, list):
        raise pickle.UnpicklingError("not a file of PyTorch's")
    order = "<" if system.get("little_endian", True) else ">"
    at = {key: i for i, key in enumerate(keys)}
    rest, lengths = content[file.tell() :], _legacy_sizes(found)
    held, start = {}, 0
    for key in keys:
        size = struct.unpack(f"{order}q", rest[start : start + 8])[0] * lengths.get(key, 1)
        held[key] = rest[start + 8 : start + 8 + size]
        start += 8 + size
    return _Maker(lambda storage: _elements(held[storage.key] if storage.key in at else b"", storage, order)).made(found)


def _legacy_sizes(found: Any) -> dict[str, int]:
    """The bytes of an element of each storage: the file has how many elements there are."""
    sizes: dict[str, int] = {}

    def note(storage: _Storage) -> Array:
        sizes[storage.key] = storage.dtype.itemsize
        return np.broadcast_to(np.zeros(1, storage.dtype.numpy), (storage.numel,))

    _Maker(note, only_look=True).made(found)
    return sizes


class _Maker:
    """Makes tensors of what was unpickled; each object once, however often the file refers to it."""

    def __init__(self, elements: Callable[[_Storage], Array], only_look: bool = False) -> None:
        self._elements, self._only_look = elements, only_look
        self._made: dict[int, Any] = {}

    def made(self, x: Any) -> Any:
        if id(x) in self._made:
            return self._made[id(x)]
        if isinstance(x, _Found):
            elements = self._elements(x.storage)
            found: Any = x if self._only_look else Tensor._wrap(x.array(elements))
        elif isinstance(x, dict):
            found = self._made[id(x)] = OrderedDict() if isinstance(x, OrderedDict) else {}
            found.update((self.made(k), self.made(v)) for k, v in x.items())
        elif isinstance(x, list):
            found = self._made[id(x)] = []
            found.extend(map(self.made, x))
        elif type(x) in (tuple, set, frozenset):
            found = type(x)(map(self.made, x))
        elif x is None or isinstance(x, int | float | complex | str | bytes):
            return x
        else:
            raise pickle.UnpicklingError(f"the file holds a {type(x).__name__}: expected tensors, containers, numbers and text")
        self._made[id(x)] = found
        return found
